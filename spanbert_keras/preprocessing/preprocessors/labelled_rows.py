"""Rows of the classifiers, with labels. Shape letters: E examples, N rows, B rows of a batch, T tokens, C classes."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.examples.given_texts import plain
from spanbert_keras.preprocessing.piece_row import PieceRow, pad_rows
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows


class LabelledRows(ExampleRows):
    """One row for each example, and its label, labels or numbers.

    Args:
        rows: sequence of N `PieceRow`.
        labels: `None`, or an array of `label_array`.
        num_classes: int. C.
        sample_weight: float `(N,)` or `None`.

    Attributes:
        cut: int. Rows that were too long and lost tokens.
    """

    def __init__(self, rows: Sequence[PieceRow], labels: np.ndarray | None, num_classes: int, sample_weight=None):
        super().__init__([len(row) for row in rows], sample_weight=sample_weight)
        if labels is not None and len(labels) != len(rows):
            raise InputError(
                f"There must be as many labels as examples. Expected: {len(rows)}. Received: {len(labels)}."
            )
        self.rows = list(rows)
        self.labels = labels
        self.num_classes = num_classes
        self.target_keys = () if labels is None else ("label_targets",)
        self.cut = sum(row.cut for row in rows)

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns the inputs, int32 `(B, T)`, and `label_targets`, float32 `(B, C)`; the same in every epoch."""
        batch = pad_rows([self.rows[row] for row in rows.tolist()], length)
        if self.labels is None:
            return batch
        labels = self.labels[rows]
        if labels.ndim == 1:
            labels = (labels[:, None] == np.arange(self.num_classes)).astype(np.float32)
        return batch | {"label_targets": labels}

    def weights_of_classes(self, class_weight: dict[int, float]) -> np.ndarray:
        """Returns the weight of each row's class, float32 `(N,)`, 1 for a class without one.

        Raises:
            ValueError: the rows have weights already, or no labels.
        """
        if self.weights is not None:
            raise ValueError("`fit` takes `class_weight` or `sample_weight`. Expected: one of them. Received: both.")
        if self.labels is None:
            raise ValueError("`class_weight` needs labels. Received: examples without.")
        classes = self.labels if self.labels.ndim == 1 else self.labels.argmax(axis=1)
        return np.array([class_weight.get(one, 1.0) for one in classes.tolist()], np.float32)

    def targets(self, rows: np.ndarray, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Returns the labels as they were given: class numbers, int32 `(B,)`, or float32 `(B, C)`."""
        return self.labels[rows]  # type: ignore[index]


def label_array(y, labels: Sequence[str], problem_type: str) -> np.ndarray:
    """Returns the labels of examples as numbers.

    Args:
        y: sequence of E. Single labels: names or numbers of classes, or a row of C probabilities for each example.
            Several labels: for each example a list of names, or a row of C zeros and ones. Regression: one number or C
            numbers for each example.
        labels: the names of the classes, or of a regression's numbers; C of them, or none for one number.
        problem_type: `"single_label"`, `"multi_label"` or `"regression"`.

    Returns:
        int32 `(E,)` for names or numbers of classes, else float32 `(E, C)`.

    Raises:
        InputError: a label is unknown, or the labels do not have one of these forms.
    """
    count = len(labels) or 1
    try:
        values = [_as_text(one) for one in plain(y)]
    except TypeError:
        raise InputError(f"Labels must be a list with one entry for each example. Received: {shown(y)}.") from None
    places = {name: place for place, name in enumerate(labels)}
    if problem_type == "multi_label" and any(_holds_names(one) for one in values):
        rows = np.zeros((len(values), count), np.float32)
        for number, names in enumerate(values):
            for name in [names] if isinstance(names, str) else names:
                rows[number, _place(name, places, number)] = 1.0
        return rows
    if problem_type == "single_label":
        values = [one[0] if isinstance(one, list) and len(one) == 1 else one for one in values]
        if any(isinstance(one, str) for one in values):
            return np.array([_place(one, places, number) for number, one in enumerate(values)], np.int32)
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"Labels must be {_expected(problem_type, count)}. Received: {values[:3]!r} and so on."
        ) from None
    if problem_type == "single_label" and found.ndim == 1:
        wrong = (found != np.floor(found)) | (found < 0) | (found >= count)
        if wrong.any():
            number = int(np.argmax(wrong))
            raise InputError(
                f"The label of example {number} is unknown. Expected: {_expected(problem_type, count)}. "
                f"Received: {shown(values[number])}."
            )
        return found.astype(np.int32)
    found = found[:, None] if found.ndim == 1 and count == 1 else found
    if found.ndim != 2 or found.shape[1] != count:
        raise InputError(f"Labels must be {_expected(problem_type, count)}. Received: shape {found.shape}.")
    if not np.isfinite(found).all():
        number = int(np.argmin(np.isfinite(found).all(axis=1)))
        raise InputError(f"The labels of example {number} must be finite. Received: {shown(values[number])}.")
    return found.astype(np.float32)


def _as_text(value):
    """Returns bytes, of which TensorFlow's strings are made, as text; also in lists."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_as_text(one) for one in value] if isinstance(value, list | tuple | np.ndarray) else value


def _holds_names(value) -> bool:
    return isinstance(value, str) or isinstance(value, list) and (not value or isinstance(value[0], str))


def _place(name, places: dict[str, int], number: int) -> int:
    if name not in places:
        raise InputError(
            f"The label of example {number} is unknown. Expected: one of {', '.join(map(repr, places))[:200]}. "
            f"Received: {shown(name)}."
        )
    return places[name]


def _expected(problem_type: str, count: int) -> str:
    """Returns what labels of examples may be."""
    if problem_type == "single_label":
        return f"names of the model's labels, numbers from 0 to {count - 1}, or rows of {count} probabilities"
    if problem_type == "multi_label":
        return f"lists of the model's labels, or rows of {count} zeros and ones"
    return "one number for each example" if count == 1 else f"a row of {count} numbers for each example"
