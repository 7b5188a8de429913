"""Rows made from raw examples. Shape letters: E examples, N rows, B rows of a batch, T tokens."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.errors import InputError, shown


class ExampleRows:
    """Rows of different lengths that a task model reads, and what it should predict for them.

    An example may make several rows, as a long context does. `fit`, `predict` and `fine_tune` choose the order of the
    rows and pad those of a batch to one length.

    Args:
        lengths: sequence of int. Tokens of each row, N of them.
        examples: int `(N,)` or `None`. The example that each row was made from; `None`: one row for each example.
        sample_weight: float `(E,)` or `None`. Weight of each example, and so of its rows.
        num_examples: int. E; by default the last example is one that made a row.

    Attributes:
        input_keys: entries of a batch that the model reads.
        target_keys: entries of a batch that it should predict; () if the examples came without.
        lengths: int64 `(N,)`.
        examples: int64 `(N,)`.
        weights: float32 `(N,)` or `None`. Weight of each row.

    Raises:
        InputError: the weights are not one number for each example.
    """

    input_keys: tuple[str, ...] = ("token_ids", "segment_ids", "padding_mask")
    target_keys: tuple[str, ...] = ()

    def __init__(self, lengths: Sequence[int], examples=None, sample_weight=None, num_examples: int | None = None):
        self.lengths = np.asarray(lengths, np.int64)
        self.examples = np.arange(len(self.lengths)) if examples is None else np.asarray(examples, np.int64)
        if num_examples is None:
            num_examples = int(self.examples.max()) + 1 if len(self) else 0
        self.weights = None if sample_weight is None else self._of_rows(sample_weight, num_examples)

    def __len__(self) -> int:
        return len(self.lengths)

    def _of_rows(self, sample_weight, count: int) -> np.ndarray:
        try:
            weights = np.asarray(sample_weight, np.float32)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"`sample_weight` must be numbers. Received: {shown(sample_weight)}.") from None
        if weights.shape not in ((count,), (count, 1)):
            raise InputError(
                f"`sample_weight` must have one number for each example. Expected: shape ({count},). "
                f"Received: {weights.shape}."
            )
        if not np.isfinite(weights).all():
            raise InputError("`sample_weight` must be finite numbers. Received: NaN or infinity among them.")
        return weights.reshape(-1)[self.examples]

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns the inputs and targets of some rows by name, padded to one length.

        Args:
            rows: int `(B,)`.
            length: int. T, at least the length of the longest of these rows.
            epoch: int. Number of earlier passes; what is drawn at random differs between epochs.
        """
        raise NotImplementedError

    def targets(self, rows: np.ndarray, batch: dict[str, np.ndarray]):
        """Returns the targets of a batch as `y` for Keras: by default its entries `target_keys`, by name."""
        return {key: batch[key] for key in self.target_keys}

    def packed(self, rows: np.ndarray, length: int, epoch: int = 0):
        """Returns a batch as Keras takes it: x, (x, y) or (x, y, sample_weight); see `batch` for the arguments."""
        batch = self.batch(rows, length, epoch)
        x = {key: batch[key] for key in self.input_keys}
        if not self.target_keys and self.weights is None:
            return x
        y = self.targets(rows, batch) if self.target_keys else None
        return (x, y) if self.weights is None else (x, y, self.weights[rows])
