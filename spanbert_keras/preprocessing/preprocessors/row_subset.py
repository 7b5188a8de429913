"""Some of the rows of examples, as those for training and those for validation."""

import math

import numpy as np

from spanbert_keras.arguments import real_number
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows


class RowSubset(ExampleRows):
    """Some rows of others.

    Args:
        rows: `ExampleRows`.
        numbers: int `(N,)`. The rows that are chosen.
        weights: float `(N,)` or `None`. Their weights; `None`: those that they have.
    """

    def __init__(self, rows: ExampleRows, numbers: np.ndarray, weights: np.ndarray | None = None):
        super().__init__(rows.lengths[numbers], rows.examples[numbers])
        self.input_keys, self.target_keys = rows.input_keys, rows.target_keys
        self.rows = rows
        self.numbers = numbers
        own = None if rows.weights is None else rows.weights[numbers]
        self.weights = own if weights is None else weights

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns a batch of the other rows; see `ExampleRows.batch`."""
        return self.rows.batch(self.numbers[rows], length, epoch)

    def targets(self, rows: np.ndarray, batch: dict[str, np.ndarray]):
        return self.rows.targets(self.numbers[rows], batch)

    def weights_of_classes(self, class_weight) -> np.ndarray:
        """Returns the weights of the classes of these rows; see `LabelledRows.weights_of_classes`."""
        return self.rows.weights_of_classes(class_weight)[self.numbers]  # type: ignore[attr-defined]


def split_rows(rows: ExampleRows, share: float) -> tuple[RowSubset, RowSubset]:
    """Returns the rows of the first examples, for training, and of the last ones, for validation.

    Args:
        rows: `ExampleRows`.
        share: float. Share of the examples for validation.

    Raises:
        ValueError: there are too few examples for two parts.
    """
    at = split_place(int(rows.examples.max(initial=-1)) + 1, share)
    first, last = np.flatnonzero(rows.examples < at), np.flatnonzero(rows.examples >= at)
    return RowSubset(rows, first), RowSubset(rows, last)


def split_place(count: int, share: float) -> int:
    """Returns how many of `count` examples are for training; `ValueError` if one of both parts has none."""
    share = real_number("validation_split", share)
    at = math.floor(count * (1.0 - share))
    if not 0 < at < count:
        raise ValueError(
            f"`validation_split` leaves one part without examples. Expected: at least one in each. "
            f"Received: validation_split={share} of {count} examples."
        )
    return at
