"""What `fine_tune` trains: a model and rows. Shape letters: N rows, B rows of a batch."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spanbert_keras.errors import InputError, shown
from spanbert_keras.fine_tuning.pretrainer_objective import PretrainerObjective
from spanbert_keras.fine_tuning.scored_objective import ScoredObjective
from spanbert_keras.preprocessing.length_buckets import LengthBuckets
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows

MAX_SHAPES = 4  # lengths that validation rows are padded to
ROWS_HASHED = 256  # rows that a checksum makes at once


class ModelTask:
    """A task model and its rows as a `FineTuningTask`.

    Args:
        model: the model to train.
        train: `ExampleRows` with targets.
        validation: the same, or `None`.
        batch_size: int. Most rows of a batch of validation rows.
        evaluate: function of the model that returns scores by name, or `None`.
        select_by: name of the score that chooses the best model; `None`: the first of `evaluate`, else `"loss"`.
        task_learning_rate: float or `None`. See `fine_tune`.

    Attributes:
        model_name: `"text_classifier"` of a `SpanBertTextClassifier`, and so on.
    """

    def __init__(
        self,
        model,
        train: ExampleRows,
        validation: ExampleRows | None = None,
        batch_size: int = 32,
        evaluate: Callable[[Any], dict[str, float]] | None = None,
        select_by: str | None = None,
        task_learning_rate: float | None = None,
    ):
        self.model = model
        self.train = train
        self.validation = validation
        self.batch_size = batch_size
        self.task_learning_rate = task_learning_rate
        self._evaluate = evaluate
        self.select_by = select_by or ("" if evaluate else "loss")
        self.model_name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(model).__name__.removeprefix("SpanBert")).lower()

    def facts(self) -> dict[str, Any]:
        """Returns checksums of the model's settings and of all rows."""
        rows = {"train": self.train, "validation": self.validation}
        found = {name: None if of_set is None else rows_checksum(of_set) for name, of_set in rows.items()}
        return {"model": config_checksum(self.model), **found}

    def make_model(self):
        """Returns the model."""
        return self.model

    def objective(self, model) -> Any:
        """Returns the objective: the model's loss, and how validation rows are scored."""
        kind = PretrainerObjective if "mask_ids" in model.target_keys else ScoredObjective
        return kind(model, weighted=self._is_weighted)

    @property
    def _is_weighted(self) -> bool:
        return any(rows is not None and rows.weights is not None for rows in (self.train, self.validation))

    def training_rows(self, model) -> "_WeightedRows":
        """Returns the training rows."""
        return _WeightedRows(self.train, self._is_weighted)

    def evaluate(self, model, predict: Callable[[dict], dict], rows: int) -> dict[str, float]:
        """Returns the scores of the validation rows, and those of the given function."""
        scores: dict[str, float] = {}
        if self.validation is not None:
            scores = self._validate(model, self.validation, predict, min(rows, self.batch_size))
        if self._evaluate is not None:
            own = {name: float(score) for name, score in self._evaluate(model).items()}
            self.select_by = self.select_by or next(iter(own), "")
            scores |= own
        if self.select_by not in scores:
            raise InputError(
                f"`select_by` must be the name of a score. Expected: one of {', '.join(scores) or 'the scores'}. "
                f"Received: {shown(self.select_by)}."
            )
        return scores

    def finish(self, model, folder: Path, predict: Callable[[dict], dict], rows: int) -> dict[str, float]:
        """Returns the scores of the best model; {} if nothing is evaluated."""
        is_evaluated = self.validation is not None or self._evaluate is not None
        return self.evaluate(model, predict, rows) if is_evaluated else {}

    def test(self, model, folder: Path) -> dict[str, float]:
        """Returns {}, since only training and validation examples are given."""
        return {}

    def _validate(self, model, validation: ExampleRows, predict: Callable, batch_rows: int) -> dict[str, float]:
        """Returns the loss of the validation rows, and what else the model's objective scores."""
        objective, rows = self.objective(model), _WeightedRows(validation, self._is_weighted)
        batches = LengthBuckets(rows.lengths, rows.batch, batch_rows, (0, 0), MAX_SHAPES, zeroed=objective.count_keys)
        sums: dict[str, float] = {}
        for number in range(batches.steps_per_epoch):
            batch = batches.batch(number)
            found = predict(batch) | {"rows": np.ones(batch_rows)}
            for name, values in found.items():
                sums[name] = sums.get(name, 0.0) + float((values * batch["example_weights"]).sum(dtype=np.float64))
        return objective.scores(sums)


class _WeightedRows:
    """Rows as a run trains with them: with the weight of each row, float32 `row_weights` `(B,)`, if there are any."""

    def __init__(self, rows: ExampleRows, is_weighted: bool):
        self.rows = rows
        self.weights = rows.weights
        if is_weighted and self.weights is None:
            self.weights = np.ones(len(rows), np.float32)

    @property
    def lengths(self) -> Any:
        return self.rows.lengths

    def batch(self, rows: np.ndarray, length: int, epoch: int) -> dict[str, np.ndarray]:
        batch = self.rows.batch(rows, length, epoch)
        return batch if self.weights is None else batch | {"row_weights": self.weights[rows]}


def rows_checksum(rows: ExampleRows) -> str:
    """Returns a checksum of all rows, as they are in the first epoch, with their targets and weights."""
    digest = hashlib.sha256(np.ascontiguousarray(rows.lengths).tobytes())
    for start in range(0, len(rows), ROWS_HASHED):
        some = np.arange(start, min(start + ROWS_HASHED, len(rows)))
        for key, values in sorted(rows.batch(some, int(rows.lengths[some].max()), 0).items()):
            digest.update(key.encode() + np.ascontiguousarray(values).tobytes())
    digest.update(b"" if rows.weights is None else rows.weights.tobytes())
    return digest.hexdigest()[:16]


def config_checksum(model) -> str:
    """Returns a checksum of a model's settings, without the names that Keras numbers.

    Without the tokenizer, too, which may be shared with other models: the rows have its pieces.
    """

    def plain(value):
        if isinstance(value, dict):
            left_out = ("name", "tokenizer", "compile_config", "build_config")
            return {key: plain(one) for key, one in value.items() if key not in left_out or _is_policy(value)}
        return [plain(one) for one in value] if isinstance(value, list | tuple) else value

    text = json.dumps(plain(keras.saving.serialize_keras_object(model)), sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_policy(config: dict) -> bool:
    """Returns whether this is the config of a dtype policy, whose name is what it is."""
    return str(config.get("name", "")).endswith(("float16", "bfloat16", "float32", "float64"))
