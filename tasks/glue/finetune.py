"""Fine-tunes an encoder for a set of GLUE, or for your own labelled texts.

python -m tasks.glue.finetune --flagfile=configs/glue_rte.flags --encoder=encoder.keras --data_dir=RTE \\
    --output_dir=runs/rte
"""

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.program import InputError, setting
from tasks.glue import data, metrics, predictions
from tasks.glue.benchmark_set import CUSTOM_SET
from tasks.glue.data import Example
from tasks.glue.file_settings import FileSettings
from tasks.shared.classification_settings import ClassificationSettings
from tasks.shared.classification_task import ClassificationTask
from tasks.shared.classifier_predictions import warn_if_alike
from tasks.shared.task import fine_tune
from tasks.shared.text_files import listed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(FileSettings, ClassificationSettings):
    """Settings of one fine-tuning run."""

    # --- data
    data_dir: str | None = setting(
        "Folder of the official files of a set, also .gz.", default=None, path=True, changeable=True
    )
    diagnostic_file: str | None = setting(
        "MNLI: file of the diagnostic set (AX). Default: diagnostic.tsv in --data_dir.",
        default=None,
        path=True,
        changeable=True,
    )
    train_file: tuple[str, ...] = setting(
        "Own training files: TSV with a header (or columns by number), or JSON lines, also .gz.",
        default=(),
        path=True,
        changeable=True,
    )
    dev_file: str | None = setting(
        "Own dev file, by which the best model is chosen.", default=None, path=True, changeable=True
    )
    test_file: str | None = setting(
        "Own test file, scored once at the end by the chosen model.", default=None, path=True, changeable=True
    )
    skip_bad_examples: bool = setting("Skips and reports bad lines.", default=False, changeable=True)
    # --- model
    label_threshold: float = setting(
        "With --multi_label: lowest probability of a predicted label; saved with the model.",
        default=0.5,
        minimum=0,
        below=1,
        changeable=True,
    )

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        super().check()
        files = self.train_file or self.dev_file or self.test_file
        names = ("data_dir", "train_file", "dev_file", "test_file")
        received = ", ".join(f"--{name}" for name in names if getattr(self, name)) or "none of them"
        if self.dataset == CUSTOM_SET and (self.data_dir or not self.train_file or not self.dev_file):
            raise InputError(
                "Your own files need --train_file and --dev_file; a set of GLUE needs --dataset and --data_dir. "
                f"Received: {received}."
            )
        if self.dataset != CUSTOM_SET and (files or not self.data_dir):
            raise InputError(
                f"--dataset={self.dataset} needs --data_dir, the folder of its files, and no other files. "
                f"Received: {received}."
            )
        if self.diagnostic_file and self.dataset != "MNLI":
            raise InputError(f"--diagnostic_file belongs to --dataset=MNLI. Received: --dataset={self.dataset}.")
        problem = self.benchmark_set().problem_type
        if problem != "single_label" and (self.label_smoothing or self.class_weights != "none"):
            received = "labels that are numbers" if problem == "regression" else "several labels for each text"
            raise InputError(f"--label_smoothing and --class_weights need classes. Received: {received}.")
        if problem != "multi_label" and self.label_threshold != type(self).label_threshold:
            raise InputError("--label_threshold needs --multi_label.")


class Glue(ClassificationTask):
    """Text classification and regression as a `FineTuningTask`.

    Args:
        config: `Config`.
    """

    model_name = "text_classifier"
    select_by = "score"

    def __init__(self, config: Config):
        super().__init__(config)
        metrics.need_libraries()
        self.set = config.benchmark_set()
        if config.dataset == CUSTOM_SET:
            trains, devs = list(config.train_file), {"": config.dev_file}
        else:
            trains = [_path_of(config, "train.tsv")]
            devs = {name: _path_of(config, file) for name, file in self.set.dev.items()}
        self.train = [one for path in trains for one in self._read(path)]
        self.labels = self._labels()
        self.devs = {name: self._read(path) for name, path in devs.items()}
        self.dev = self.devs[""]
        self.test_examples = self._read(config.test_file) if config.test_file else []
        self.unlabelled = self._unlabelled()
        if self.set.problem_type == "regression":
            self._check_widths()
            return
        for flag, examples in (("dev_file", self.dev), ("test_file", self.test_examples)):
            unknown = [label for one in examples for label in labels_of(one) if label not in self.labels]
            if unknown:
                logging.warning(
                    "--%s has labels that are not in the training data (%d occurrences): %s.",
                    flag,
                    len(unknown),
                    listed(unknown),
                )

    def _read(self, path: str) -> list[Example]:
        file = data.read(path, self.set.labelled, self.set.labels, self.config.skip_bad_examples)
        self.left_out += file.left_out
        return file.examples

    def _labels(self) -> list[str]:
        """Returns the classes or the names of several numbers, in the order of the logits; [] for one number."""
        if self.set.problem_type == "regression":
            return target_names(self.config, self.train[0])
        if self.set.labels is not None:
            return list(self.set.labels)
        labels = sorted({label for example in self.train for label in labels_of(example)})
        if self.set.problem_type == "multi_label" and not labels:
            raise InputError("--train_file must have a label on some line. Received: no label on any.")
        if self.set.problem_type == "single_label" and len(labels) < 2:
            raise InputError(
                f"--train_file must have at least two labels. Received: {labels[0]!r} on every line. "
                "Give --regression if labels are numbers."
            )
        return labels

    def _check_widths(self) -> None:
        """Raises `InputError` unless every line of all files has as many targets as the first one."""
        wanted = data.width_of(self.train[0])
        for one in (*self.train, *self.dev, *self.test_examples):
            if data.width_of(one) != wanted:
                raise InputError(
                    f"Every line must have as many numbers as the first one, {wanted}. "
                    f"Received: {data.width_of(one)} (example {one.id!r})."
                )

    def _unlabelled(self) -> dict[str, list[Example]]:
        """Returns the examples of the test files that exist, by the name of their submission file."""
        found = {}
        for name, (file, columns) in self.set.test.items():
            path = self.config.diagnostic_file if name == "AX" else None
            path = path or _path_of(self.config, file, needed=False)
            if path:  # the benchmark's site expects every line
                found[name] = data.read(path, columns, None).examples
        return found

    def sets(self) -> dict[str, list]:
        """Returns the examples."""
        others = {f"dev_{name}": examples for name, examples in self.devs.items() if name}
        return super().sets() | others

    def make_model(self):
        """Returns the model over the encoder."""
        config = self.config
        encoder, row_length = self.load_encoder("max_sequence_length")
        self.log_left_out()
        return self.build(
            spanbert_keras.SpanBertTextClassifier,
            encoder,
            labels=self.labels,
            row_length=row_length,
            pooler=config.pooler,
            dropout=config.classifier_dropout,
            takes_pairs=self.set.labelled.pair is not None,
            problem_type=self.set.problem_type,
            threshold=config.label_threshold,
        )

    def inputs_of(self, examples: Sequence) -> list:
        """Returns the text, or the pair of texts, of each example."""
        return predictions.inputs_of(examples)

    def targets_of(self, model, examples: Sequence) -> np.ndarray:
        """Returns the targets, float32 `(N, C)`: the numbers of a regression, 1 for each of
        several labels, or the targets of a classifier with one label per text."""
        if model.problem_type == "regression":
            return np.array([[float(number) for number in labels_of(one)] for one in examples], np.float32)
        if model.problem_type == "multi_label":
            return np.array([[label in labels_of(one) for label in model.labels] for one in examples], np.float32)
        return super().targets_of(model, examples)

    def places_of(self, model, examples: Sequence) -> list[int]:
        """Returns the place of each example's label among the model's."""
        places = {label: place for place, label in enumerate(model.labels)}
        return [places[example.label] for example in examples]

    def scores_of(self, model, examples: Sequence, logits: np.ndarray) -> dict[str, float]:
        """Returns the set's scores, and their mean as `score`."""
        found = predictions.found_of(model, logits)
        warn_if_alike(found, "texts")
        return metrics.score_examples(self.set.scores, examples, found, self.set.chosen)

    def write(self, model, folder: Path, examples: Sequence, logits: np.ndarray) -> None:
        """Writes the predictions of a set."""
        found = predictions.found_of(model, logits)
        predictions.write(folder / "predictions.tsv", [example.id for example in examples], found)

    def finish(self, model, folder: Path, predict, rows: int) -> dict[str, Any]:
        """Writes predictions, and returns dev's scores."""
        scores = super().finish(model, folder, predict, rows)
        for name, examples in self.devs.items():
            if name:
                logits = self._logits(model, examples, predict, rows)
                self.write(model, folder / f"dev_{name}", examples, logits)
                of_name = self.scores_of(model, examples, logits)
                scores |= {f"{name}_{key}": value for key, value in of_name.items()}
        if self.set.majority:
            always = metrics.score_examples(self.set.scores, self.dev, [self._majority()] * len(self.dev))
            scores["majority"] = always["score"]
        return scores

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Scores your own test file; for a set of GLUE, writes the submission files of the test files that exist."""
        for name, examples in self.unlabelled.items():
            path = folder / "submission" / f"{name}.tsv"
            ids = [example.id for example in examples]
            if predictions.ids_in(path) == ids:
                continue
            if self.set.majority:
                found: list = [self._majority()] * len(examples)
            else:
                found = predictions.found_of(model, self._logits(model, examples))
            predictions.write(path, ids, predictions.for_site(found))
        return super().test(model, folder)

    def _majority(self) -> str:
        """Returns the most frequent label of the training data; the first of several."""
        counts = collections.Counter(example.label for example in self.train)
        return max(self.labels, key=lambda label: counts[label])


def labels_of(example: Example) -> tuple[str, ...]:
    """Returns the labels, or the numbers, of an example that has one or several."""
    return example.label if isinstance(example.label, tuple) else (str(example.label),)


def target_names(config: FileSettings, example: Example) -> list[str]:
    """Returns the names of a regression's numbers: those of the columns, else numbered names; [] for one number."""
    if config.target_columns or not isinstance(example.label, tuple):
        return list(config.target_columns)
    return [f"{config.label_column}_{i}" for i in range(len(example.label))]


def _path_of(config: Config, file: str, needed: bool = True) -> str:
    """Returns the path of a file of the set, gzipped or not; "" if it is missing and not needed."""
    for name in (file, f"{file}.gz"):
        path = Path(config.data_dir or "") / name
        if path.is_file():
            return str(path)
    if needed:
        raise InputError(
            f"--data_dir={config.data_dir} has no {file} or {file}.gz. Expected: the files of {config.dataset}."
        )
    return ""


def main(config: Config) -> None:
    """Fine-tunes, evaluates, and writes the results."""
    fine_tune(config, Glue)


if __name__ == "__main__":
    program.run(main, Config)
