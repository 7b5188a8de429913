"""Scores of classifiers beside the same recipe in `transformers` and beside a bag of words, over seeds.

    python -m benchmarks.classification_scores --encoder=minilm/ --glue_dir=glue --semeval_dir=re \\
        --output_dir=runs/scores

Both fine-tune the same weights on the same rows with the same learning rate, batch size, epochs, warm-up, decay and
clipping, score dev after every epoch and keep the best, which is what counts. Ours are the programs of `tasks/`, the
other side is `BertForSequenceClassification` with rows grouped by length. Both have the paper's head, a linear layer on
[CLS]; with `--pooler` both have the layer with tanh before it, ours a fresh one, the other side the folder's own. Of
relations the rows of pieces are ours, since `transformers` has no such task. The bag of words is scikit-learn's: TF-IDF
of words and pairs of words, for two texts also their difference and product, and a logistic or ridge regression.
"""

import dataclasses
import gzip
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from benchmarks.shared.transformers_classifier import TransformersClassifier
from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

SETS = ("SemEval", "SST-2", "MRPC", "RTE", "STS-B")
RELATIONS = "SemEval"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the benchmark."""

    encoder: str = setting("Hugging Face folder of a BERT.", path=True)
    output_dir: str = setting(
        "Where our runs and results.json live; what is there already is not run again.", path=True
    )
    glue_dir: str | None = setting("Folder of GLUE's folders.", default=None, path=True)
    semeval_dir: str | None = setting(
        "Folder of semeval_train.json.gz and semeval_dev.json.gz.", default=None, path=True
    )
    sets: tuple[str, ...] = setting("Which are run.", default=SETS)
    seeds: int = setting("Runs of each side.", default=3, minimum=1)
    epochs: int = setting("Passes over the rows.", default=3, minimum=1)
    learning_rate: float = setting("Peak.", default=1e-4, above=0)
    batch_size: int = setting("Rows of a step.", default=32, minimum=1)
    pooler: bool = setting("Both sides have a layer with tanh before the linear one.", default=False)
    train_rows: int = setting(
        "At most so many training rows of a set of GLUE, the file's first.", default=10_000, minimum=1
    )


class _Set:
    """One data set, as both sides see it: the task's examples, its scores, and the command that trains ours.

    Args:
        config: `Config`.
        name: str. One of `SETS`.
    """

    def __init__(self, config: Config, name: str):
        from tasks.glue import finetune as of_texts
        from tasks.relation_extraction import finetune as of_relations

        self.config, self.name = config, name
        self.program: Any = of_relations if name == RELATIONS else of_texts
        self.flags = self._relation_flags() if name == RELATIONS else self._glue_flags()
        flags = [f"--encoder={config.encoder}", "--output_dir=unused", *self.flags]
        settings = program.parse(self.program.Config, flags)
        self.task = (of_relations.RelationExtraction if name == RELATIONS else of_texts.Glue)(settings)
        self.regression = name == "STS-B"

    def _relation_flags(self) -> list[str]:
        folder = self.config.semeval_dir
        if not folder:
            raise InputError("--sets with SemEval needs --semeval_dir.")
        files = [f"--{part}_file={Path(folder) / f'semeval_{part}.json.gz'}" for part in ("train", "dev")]
        return [*files, "--feature_mode=text"]

    def _glue_flags(self) -> list[str]:
        """Returns flags of a folder with at most so many training rows."""
        if not self.config.glue_dir:
            raise InputError(f"--sets with {self.name} needs --glue_dir.")
        source = Path(self.config.glue_dir) / self.name
        folder = Path(self.config.output_dir) / "data" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        for part, rows in (("train", self.config.train_rows), ("dev", None)):
            path = next((path for path in (source / f"{part}.tsv", source / f"{part}.tsv.gz") if path.is_file()), None)
            if path is None:
                raise InputError(f"{source} has no {part}.tsv, packed or not.")
            opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
            with opened as file:
                lines = file.read().split("\n")
            kept = lines if rows is None else lines[: rows + 1]
            (folder / f"{part}.tsv").write_text("\n".join(kept), encoding="utf-8")
        return [f"--dataset={self.name}", f"--data_dir={folder}"]

    def ours(self, seed: int) -> dict[str, float]:
        """Returns dev's scores of our run with this seed."""
        config = self.config
        folder = Path(config.output_dir) / self.name / f"seed_{seed}"
        flags = [
            f"--encoder={config.encoder}", f"--output_dir={folder}", f"--seed={seed}", f"--epochs={config.epochs}",
            f"--learning_rate={config.learning_rate}", f"--batch_size={config.batch_size}", "--evaluations_per_epoch=1",
            f"--pooler={config.pooler}", *self.flags,
        ]  # fmt: skip
        self.program.main(program.parse(self.program.Config, flags))
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["scores"]["dev"]

    def theirs(self, seed: int, model) -> dict[str, float]:
        """Returns dev's best scores with `transformers`.

        Args:
            seed: int.
            model: ours, whose rows of relations and labels are used.
        """
        config, task = self.config, self.task
        steps = config.epochs * math.ceil(len(task.train) / config.batch_size)
        classes = 1 if self.regression else len(model.labels)
        other = TransformersClassifier(
            config.encoder, classes, config.learning_rate, steps, config.batch_size, seed=seed, pooler=config.pooler
        )
        train, dev = (self._encoded(other, model, examples) for examples in (task.train, task.dev))
        if self.regression:
            targets = np.array([float(example.label) for example in task.train], np.float32)
        else:
            targets = np.array(task.places_of(model, task.train), np.int64)
        best: dict[str, float] = {}
        for _ in range(config.epochs):
            for rows in other.epoch(train):
                other.step(train, targets, rows)
            scores = task.scores_of(model, task.dev, other.logits(dev))
            if not best or scores[task.select_by] > best[task.select_by]:
                best = scores
        return best

    def _encoded(self, other: TransformersClassifier, model, examples: Sequence) -> dict[str, list]:
        """Returns the rows of `transformers`; of relations those of ours."""
        if self.name != RELATIONS:
            pairs = None if examples[0].pair is None else [example.pair for example in examples]
            return other.encode([example.text for example in examples], pairs)
        rows = self.task.rows_of(model, examples)
        return {
            "input_ids": [row.token_ids.tolist() for row in rows],
            "token_type_ids": [row.segment_ids.tolist() for row in rows],
            "attention_mask": [[1] * len(row) for row in rows],
        }

    def bag_of_words(self, model) -> dict[str, float]:
        """Returns dev's scores of scikit-learn's classifier or regressor."""
        from scipy import sparse
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression, Ridge

        task = self.task
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+")
        sides = [self._texts(task.train), self._texts(task.dev)]
        vectorizer.fit([text for texts in sides[0] for text in texts])

        def features(texts: list[list[str]]) -> Any:
            parts = [vectorizer.transform(column) for column in zip(*texts, strict=True)]
            if len(parts) == 2:
                parts += [abs(parts[0] - parts[1]), parts[0].multiply(parts[1])]
                parts.append(sparse.csr_matrix(parts[3].sum(axis=1)))  # the cosine
            return sparse.hstack(parts).tocsr()

        train, dev = map(features, sides)
        if self.regression:
            found = Ridge(alpha=1.0).fit(train, [float(example.label) for example in task.train]).predict(dev)
            return task.scores_of(model, task.dev, np.asarray(found)[:, None])
        fitted = LogisticRegression(C=10.0, max_iter=1000).fit(train, task.places_of(model, task.train))
        logits = np.zeros((len(task.dev), len(model.labels)), np.float32)
        logits[np.arange(len(task.dev)), fitted.predict(dev)] = 1.0
        return task.scores_of(model, task.dev, logits)

    def _texts(self, examples: Sequence) -> list[list[str]]:
        """Returns the texts of each example; a relation's with its entities marked."""
        if self.name == RELATIONS:
            return [[_marked(example.pair)] for example in examples]
        return [[example.text] if example.pair is None else [example.text, example.pair] for example in examples]


def _marked(pair) -> str:
    """Returns a sentence whose entities' words, and those between, are words of their own kind as well."""
    first, second = sorted((pair.subject, pair.object))
    between = [f"between:{word}" for word in pair.units[first[1] : second[0]]]
    ends = [f"first:{pair.units[first[1] - 1]}", f"second:{pair.units[second[1] - 1]}"]
    return " ".join([*pair.units, *between, *ends])


def summary(values: Sequence[float]) -> str:
    """Returns mean and standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {spread:.1f}"


def main(config: Config) -> None:
    """Runs what is not there yet, and prints the table."""
    wrong = [name for name in config.sets if name not in SETS]
    if wrong:
        raise InputError(f"--sets must be of {', '.join(SETS)}. Received: {', '.join(wrong)}.")
    path = Path(config.output_dir) / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    names = ("encoder", "epochs", "learning_rate", "batch_size", "train_rows", "pooler")
    settings = {name: getattr(config, name) for name in names}
    if results.setdefault("settings", settings) != settings:
        raise InputError(
            f"{path} has results of other settings. Expected: {results['settings']}. Received: {settings}. "
            "Give another --output_dir."
        )

    def once(key: str, measure: Callable[[], dict[str, float]]) -> None:
        if key not in results:
            began = time.monotonic()
            results[key] = measure() | {"seconds": round(time.monotonic() - began)}
            path.write_text(json.dumps(results, indent=1))
            logging.info("%s: %s", key, results[key])

    for name in config.sets:
        one = _Set(config, name)
        model = one.task.make_model()
        once(f"{name}, bag of words", lambda one=one, model=model: one.bag_of_words(model))
        for seed in range(config.seeds):
            once(f"{name}, ours, {seed}", lambda one=one, seed=seed: one.ours(seed))
            once(f"{name}, transformers, {seed}", lambda one=one, model=model, seed=seed: one.theirs(seed, model))
    print_table(config, results)


def print_table(config: Config, results: dict[str, dict[str, float]]) -> None:
    """Prints a line for each set: means and standard deviations over the seeds."""
    print(f"\n{'':10} {'ours':>14} {'transformers':>14} {'difference':>10} {'bag of words':>12}")
    for name in config.sets:
        chosen = "f1" if name == RELATIONS else "score"
        sides = [
            [results[f"{name}, {side}, {seed}"][chosen] for seed in range(config.seeds)]
            for side in ("ours", "transformers")
        ]
        difference = statistics.mean(sides[0]) - statistics.mean(sides[1])
        bag = results[f"{name}, bag of words"][chosen]
        print(f"{name:10} {summary(sides[0]):>14} {summary(sides[1]):>14} {difference:>+10.1f} {bag:>12.1f}")


if __name__ == "__main__":
    program.run(main, Config)
