"""Classification beside `transformers`: training steps, pairs classified, and the wait for one label.

    python -m benchmarks.classification --encoder=minilm/ --data_dir=MRPC --dataset=MRPC

Both have the same weights and texts. They take turns in one process, and a ratio is the median of the turns' ratios, so
that a noisy machine is noisy for all. Training: the same texts, AdamW, gradients clipped by their norm, float32;
`transformers` pads to the full length, or to the longest of a batch with rows grouped by length in pools of 20 batches.
Classifying: text in, label out, tokenization included, rows of like length together on both sides. Shapes are compiled
before the clock starts.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from benchmarks.shared.training_steps import TrainingSteps
from benchmarks.shared.transformers_classifier import TransformersClassifier
from benchmarks.shared.turns import compare_with_transformers, latency
from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

LEARNING_RATE = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    encoder: str = setting("Hugging Face folder of a BERT.", path=True)
    data_dir: str = setting("Folder of a GLUE set's files; texts of train.tsv are used.", path=True)
    dataset: str = setting("Which set that is.", default="MRPC")
    steps: int = setting("Training steps of each.", default=100, minimum=1)
    batch_size: int = setting("Rows of a step.", default=32, minimum=1)
    max_sequence_length: int = setting("Pieces of a row.", default=128, minimum=3)
    turns: int = setting("Turns into which the steps and the texts are divided.", default=5, minimum=1)
    texts: int = setting("Texts classified by each.", default=1000, minimum=1)
    latency_texts: int = setting("Texts classified one by one.", default=50, minimum=1)


class _Sides:
    """Both sides with the same texts.

    Args:
        config: `Config`.
    """

    def __init__(self, config: Config):
        from tasks.glue import finetune

        flags = [f"--{name}={getattr(config, name)}" for name in ("encoder", "data_dir", "dataset", "batch_size")]
        flags += [f"--max_sequence_length={config.max_sequence_length}", "--output_dir=unused"]
        task = finetune.Glue(program.parse(finetune.Config, flags))
        order = np.random.default_rng(0).permutation(len(task.train)).tolist()
        task.train = [task.train[i] for i in order]
        wanted = max(config.texts, config.latency_texts)
        if len(task.train) < wanted:
            raise InputError(f"--data_dir={config.data_dir} has {len(task.train)} texts. Expected: {wanted}.")
        self.examples = task.train[:wanted]
        self.model = task.make_model()
        task.train = task.train[: config.steps * config.batch_size]
        rows = task.training_rows(self.model)
        self.steps = TrainingSteps(self.model, rows, config.batch_size, LEARNING_RATE)
        self.other = TransformersClassifier(
            config.encoder, max(1, len(self.model.labels)), LEARNING_RATE, 10 * config.steps, config.batch_size,
            config.max_sequence_length,
        )  # fmt: skip
        self.encoded = self.other.encode(*_columns(task.train))
        if self.model.labels:
            self.targets = np.array(task.places_of(self.model, task.train), np.int64)
        else:
            self.targets = task.targets_of(self.model, task.train)[:, 0]
        self.orders = {kind: self.other.epoch(self.encoded, kind == "grouped") for kind in ("padded", "grouped")}

    def train_other(self, kind: str, first: int, last: int) -> None:
        """Makes these steps of `transformers`, `padded` or `grouped`."""
        for number in range(first, last):
            rows = self.orders[kind][number % len(self.orders[kind])]
            self.other.step(self.encoded, self.targets, rows, kind == "padded")

    def classify(self, examples: list) -> list:
        """Returns our labels, or numbers."""
        texts, pairs = _columns(examples)
        given = texts if pairs is None else list(zip(texts, pairs, strict=True))
        found = self.model.classify(given, batch_size=self.steps.batch_size)
        return [one.label if self.model.labels else one.score for one in found]

    def classify_other(self, examples: list, padded: bool = False) -> list:
        """Returns the labels of `transformers`, or numbers."""
        logits = self.other.logits(self.other.encode(*_columns(examples)), padded)
        if not self.model.labels:
            return logits[:, 0].tolist()
        return [self.model.labels[place] for place in logits.argmax(axis=1)]


def _columns(examples: list) -> tuple[list[str], list[str] | None]:
    """Returns the first texts, and the second ones of pairs."""
    pairs = [example.pair for example in examples if example.pair is not None]
    return [example.text for example in examples], pairs or None


def main(config: Config) -> None:
    """Measures and prints."""
    sides = _Sides(config)
    sides.steps.warm_up()
    sides.model.warm_up(config.batch_size)
    sides.train_other("padded", 0, 1)
    asked = sides.examples[: config.texts]
    ours: Callable = sides.classify
    theirs: Callable = sides.classify_other
    ours(asked), theirs(asked[:4])
    print(f"{len(sides.encoded['input_ids'])} rows to train on, {config.batch_size} a step")
    compare_with_transformers(
        "training", config.steps, "steps", config.turns, sides.steps.train,
        lambda a, b, padded: sides.train_other("padded" if padded else "grouped", a, b),
    )  # fmt: skip
    compare_with_transformers(
        "classifying", len(asked), "texts", config.turns, lambda a, b: ours(asked[a:b]),
        lambda a, b, padded: theirs(asked[a:b], padded),
    )  # fmt: skip
    print("\none text")
    for name, side in (("ours", ours), ("transformers", theirs)):
        side(sides.examples[:1])
        latency(name, sides.examples[: config.latency_texts], side)


if __name__ == "__main__":
    program.run(main, Config)
