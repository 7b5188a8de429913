"""Batches of rows for `fit`, `evaluate` and `predict`. Shape letters: E examples, N rows, B batch, T tokens."""

import math

import keras
import numpy as np

from spanbert_keras.preprocessing.length_buckets import LengthBuckets
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows

MAX_SHAPES = 4  # lengths that rows are padded to; JAX compiles each


class RowBatches(keras.utils.PyDataset):
    """All rows of some examples, in batches of similar length; the last batch of an epoch may be smaller.

    Args:
        rows: `ExampleRows`.
        batch_size: int. B.
        length: int or `None`. The only length that rows are padded to; `None`: at most four that fit the rows.
        seed: two integers of 31 bits, or `None`. Seed of the order, another one in each epoch; `None`: always the same.
        in_order: bool. Whether rows stay in the order of the examples, as `predict` needs it.
        epoch: int. Number of earlier passes.
        is_fixed: bool. Whether all passes are the same, as for evaluation, rather than new ones.
        multiple: int. Number of devices that share a batch. A batch that they cannot share equally is filled up with
            copies of its rows, whose weight is 0; the others weigh more, so that the mean of the batch stays the same,
            or that of all rows if `is_fixed`.
    """

    def __init__(
        self,
        rows: ExampleRows,
        batch_size=32,
        length=None,
        seed=None,
        in_order=False,
        epoch=0,
        is_fixed=False,
        multiple=1,
    ):
        super().__init__()
        self.rows = rows
        self.multiple = multiple
        self.batch_size = -(-min(int(batch_size), max(1, len(rows))) // multiple) * multiple
        self.length = length
        self.in_order = in_order
        self.is_shuffled = seed is not None
        self.epoch = epoch
        self.is_fixed = is_fixed
        self._has_begun = False
        lengths = None if length is None else [length]
        self._buckets = LengthBuckets(
            rows.lengths,
            rows.batch,
            self.batch_size,
            (0, 0) if seed is None else seed,
            MAX_SHAPES,
            lengths,
        )

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.batch_size)

    def __getitem__(self, number: int):
        """Returns batch `number` of the epoch as x, (x, y) or (x, y, sample_weight)."""
        return self._packed(number, self.epoch)

    def on_epoch_begin(self) -> None:
        self._has_begun = True

    def on_epoch_end(self) -> None:
        self.epoch += self._has_begun and not self.is_fixed  # Keras also calls this before the first epoch

    def _packed(self, number: int, epoch: int):
        if self.in_order:
            rows = np.arange(number * self.batch_size, min(len(self.rows), (number + 1) * self.batch_size))
            length = self.length
        else:
            rows, length = self._buckets.plan(epoch if self.is_shuffled else 0)[number]
            rows = rows[rows >= 0]
        packed = self.rows.packed(self._filled(rows), length, epoch)
        if len(self.rows) % self.multiple == 0 or not isinstance(packed, tuple):
            return packed
        x, y, weights = keras.utils.unpack_x_y_sample_weight(packed)
        size = len(self._filled(rows))
        weights = np.ones(size, np.float32) if weights is None else weights
        total = len(self.rows)  # Keras' mean over batches counts copies as rows
        factor = -(-total // self.multiple) * self.multiple / total if self.is_fixed else size / len(rows)
        return x, y, weights * np.where(np.arange(size) < len(rows), factor, 0.0).astype(np.float32)

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        """Returns rows, and copies of them until their number is a multiple."""
        return np.resize(rows, -(-len(rows) // self.multiple) * self.multiple)

    def for_backend(self):
        """Returns these batches as Keras takes them on the backend in use: for TensorFlow a `tf.data.Dataset`.

        Keras would make one itself, but from the shapes of the first two batches alone.
        """
        if keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        def epoch():
            number = self.epoch
            self.epoch += not self.is_fixed
            for batch in range(len(self)):
                yield self._packed(batch, number)

        def spec(array):
            sizes = (None if self.length is None and size == first_length else size for size in array.shape[1:])
            return tf.TensorSpec((None, *sizes), array.dtype)

        first = self._packed(0, self.epoch)
        inputs = first[0] if isinstance(first, tuple) else first
        first_length = inputs["token_ids"].shape[1]
        dataset = tf.data.Dataset.from_generator(epoch, output_signature=tf.nest.map_structure(spec, first))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(2)
