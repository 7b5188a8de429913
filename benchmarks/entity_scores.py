"""Scores of named entities compared with a token classifier of `transformers`, over seeds.

    python -m benchmarks.entity_scores --encoder=minilm/ --train_file=train.tsv --dev_file=dev.tsv \\
        --output_dir=runs/scores

Both fine-tune the same weights on the same rows, ours, with the same learning rates of the encoder and of the layer on
top of it, batch size, epochs, warm-up and decay, score dev after every epoch and report the best by their F1 there.
Ours is `tasks.named_entities.finetune`, which scores all spans. The other side is `BertForTokenClassification` with BIO
tags on the first piece of each word. It has one tag for a word, so it learns and finds outermost entities alone.
"""

import dataclasses
import json
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from benchmarks.shared.transformers_tagger import IGNORED, TransformersTagger
from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    encoder: str = setting("Hugging Face folder of a BERT.", path=True)
    train_file: str = setting("Training file of `tasks.named_entities`, of tokens.", path=True)
    dev_file: str = setting("Dev file.", path=True)
    output_dir: str = setting(
        "Folder of our runs and results.json; results that it already has are not computed again.", path=True
    )
    seeds: int = setting("Runs per side.", default=3, minimum=1)
    epochs: int = setting("Passes over the rows.", default=4, minimum=1)
    learning_rate: float = setting("Peak learning rate.", default=1e-4, above=0)
    task_learning_rate: float = setting("Initial learning rate of the layer on top.", default=5e-4, above=0)
    batch_size: int = setting("Rows per step.", default=16, minimum=1)
    max_sequence_length: int = setting("Tokens per row.", default=256, minimum=3)
    max_span_width: int = setting("Words of the longest entity of ours.", default=16, minimum=1)


class _Sides:
    """Both sides on one data set.

    Args:
        config: `Config`.
    """

    def __init__(self, config: Config):
        from tasks.named_entities import finetune

        self.config, self.finetune = config, finetune
        self.task = finetune.NamedEntities(self._settings(0))
        self.model = self.task.make_model()
        self.tags = ["O", *(f"{kind}-{label}" for label in self.model.labels for kind in "BI")]
        if any(isinstance(example.text, str) for example in [*self.task.train, *self.task.dev]):
            raise InputError("--train_file and --dev_file must have tokens, whose tags are compared. Received: texts.")

    def _settings(self, seed: int) -> Any:
        config = self.config
        names = ("encoder", "train_file", "dev_file", "epochs", "learning_rate", "batch_size")
        names += ("task_learning_rate", "max_sequence_length", "max_span_width")
        flags = [f"--{name}={getattr(config, name)}" for name in names]
        folder = Path(config.output_dir) / f"seed_{seed}"
        flags += [f"--output_dir={folder}", f"--seed={seed}", "--evaluations_per_epoch=1"]
        return program.parse(self.finetune.Config, flags)

    def ours(self, seed: int) -> dict[str, float]:
        """Returns dev's scores of our run with this seed."""
        settings = self._settings(seed)
        self.finetune.main(settings)
        return json.loads((Path(settings.output_dir) / "run.json").read_text(encoding="utf-8"))["scores"]["dev"]

    def theirs(self, seed: int) -> dict[str, float]:
        """Returns dev's best scores with `transformers`."""
        config = self.config
        train, dev = (self.model.preprocessor.rows([e.text for e in part]) for part in (self.task.train, self.task.dev))
        steps = config.epochs * math.ceil(len(train) / config.batch_size)
        rates = (config.learning_rate, config.task_learning_rate)
        settings = {"batch_size": config.batch_size, "max_length": config.max_sequence_length, "seed": seed}
        other = TransformersTagger(config.encoder, len(self.tags), *rates, steps, **settings)
        rows, dev_rows = _encoded(train), _encoded(dev)
        targets = self.targets(train, self.task.train)
        best: dict[str, float] = {}
        for epoch in range(config.epochs):
            losses = [other.train_on(rows, targets, batch) for batch in other.epoch(rows)]
            scores = self.scores(dev, other.classes_of(dev_rows))
            logging.info("transformers, seed %d, epoch %d: loss %.3f, %s", seed, epoch, np.mean(losses), scores)
            if not best or scores["outermost_f1"] > best["outermost_f1"]:
                best = scores
        return best

    def targets(self, rows, examples: Sequence) -> list[np.ndarray]:
        """Returns the tag of each token of every row: of the outermost entities, on the first piece of the words that
        are scored in the row."""
        from tasks.named_entities.tags import outermost

        numbers = {tag: number for number, tag in enumerate(self.tags)}
        of_words = []  # the tag of each word of an example
        for words, example in zip(rows.word_texts, examples, strict=True):
            tags = np.zeros(len(words), np.int64)
            for start, end, label in outermost(example.entities):
                first, last = words.words_of(start, end)
                tags[first : last + 1] = numbers[f"I-{label}"]
                tags[first] = numbers[f"B-{label}"]
            of_words.append(tags)
        found = []
        for row, example in zip(rows.rows, rows.examples, strict=True):
            target = np.full(len(row), IGNORED, np.int64)
            words = np.flatnonzero(row.owned[:, 0])
            target[row.word_starts[words]] = of_words[example][row.first_word + words]
            found.append(target)
        return found

    def scores(self, rows, classes: Sequence[np.ndarray]) -> dict[str, float]:
        """Returns the scores of a class for each token of dev's rows."""
        from tasks.named_entities import metrics, tags

        of_words = [["O"] * len(words) for words in rows.word_texts]
        for row, example, found in zip(rows.rows, rows.examples, classes, strict=True):
            for word in np.flatnonzero(row.owned[:, 0]).tolist():
                of_words[example][row.first_word + word] = self.tags[found[row.word_starts[word]]]
        predicted = [
            [(int(words.starts[a]), int(words.ends[b - 1]), label) for a, b, label in tags.entities_of(one)]
            for words, one in zip(rows.word_texts, of_words, strict=True)
        ]
        tables = metrics.score([example.entities for example in self.task.dev], predicted)
        outer = tables.get("outermost", tables["all"])
        return {"f1": tables["all"]["f1"], "outermost_f1": outer["f1"]}


def _encoded(rows) -> dict[str, list]:
    """Returns our rows as `transformers` takes them."""
    return {
        "input_ids": [row.token_ids.tolist() for row in rows.rows],
        "token_type_ids": [row.segment_ids.tolist() for row in rows.rows],
        "attention_mask": [[1] * len(row) for row in rows.rows],
    }


def main(config: Config) -> None:
    """Runs what has no result yet, and prints the table."""
    path = Path(config.output_dir) / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    settings = {
        name: value for name, value in dataclasses.asdict(config).items() if name not in ("output_dir", "seeds")
    }
    if results.setdefault("settings", settings) != settings:
        raise InputError(
            f"{path} has results with other settings. Expected: {results['settings']}. Received: {settings}. "
            "Give another --output_dir."
        )
    sides = _Sides(config)
    for seed in range(config.seeds):
        for name, measure in (("ours", sides.ours), ("transformers", sides.theirs)):
            if f"{name}, {seed}" not in results:
                began = time.monotonic()
                results[f"{name}, {seed}"] = measure(seed) | {"seconds": round(time.monotonic() - began)}
                path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"{'':14} {'all entities':>14} {'outermost':>14}   F1 on dev, {config.seeds} seeds")
    for name in ("ours", "transformers"):
        of_seeds = [results[f"{name}, {seed}"] for seed in range(config.seeds)]
        cells = []
        for key in ("f1", "outermost_f1"):
            values = [one.get(key, one["f1"]) for one in of_seeds]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.1f} ± {spread:.1f}")
        print(f"{name:14} {cells[0]:>14} {cells[1]:>14}")


if __name__ == "__main__":
    program.run(main, Config)
