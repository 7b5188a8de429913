"""The encoder's attention mask and positions, from `padding_mask`. Shape letters: B batch, T tokens."""

import keras
from keras import ops

from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class AttentionMask(SavedState, keras.layers.Layer):
    """Computes which piece may attend to which, and the position of each piece in its block.

    `padding_mask` is 1 at pieces and 0 at padding. A row may also hold several blocks one after the other: then it is 1
    at the pieces of the first block, 2 at those of the second, and so on. Blocks do not see each other and each counts
    its positions from 0, so that a packed row computes exactly what its blocks compute in separate rows.
    Padding may attend to every piece, as in BERT; nothing attends to padding.

    Call arguments:
        padding_mask: int `(B, T)`. 0 padding, j >= 1 the j-th block of the row.

    Returns:
        attention_mask: bool `(B, T, T)`. Entry [b, t, u]: may piece t attend to piece u?
        positions: int32 `(B, T)`. Index of each piece in its block; with a mask of zeros and ones simply 0..T-1.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.built = True

    def call(self, padding_mask):
        mask = ops.cast(padding_mask, "int32")
        query = ops.expand_dims(mask, 2)  # (B, T, 1)
        key = ops.expand_dims(mask, 1)  # (B, 1, T)
        same = ops.logical_or(ops.equal(query, key), ops.equal(query, 0))
        attention_mask = ops.logical_and(same, ops.greater(key, 0))  # (B, T, T)
        earlier = ops.logical_and(ops.greater(key, 0), ops.less(key, query))  # pieces of the row's earlier blocks
        block_starts = ops.sum(ops.cast(earlier, "int32"), axis=-1)  # (B, T)
        positions = ops.arange(mask.shape[1] or ops.shape(mask)[1], dtype="int32") - block_starts
        return attention_mask, positions

    def compute_output_spec(self, padding_mask):
        batch, length = padding_mask.shape
        return (
            keras.KerasTensor((batch, length, length), dtype="bool"),
            keras.KerasTensor((batch, length), dtype="int32"),
        )
