"""Vectors of spans. Shape letters: B batch, T tokens, S spans, W span widths, D hidden_dim, F feature_dim."""

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import MASKED, gather_positions, initializer
from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanVectors(SavedState, keras.layers.Layer):
    """A span's vector: its first piece, its last piece, its width, and the piece that it attends to.

        g = [x_start; x_end; width; sum_t a_t x_t],  a = softmax over the span of a linear score of its pieces

    Args:
        max_span_width: int. W, in pieces. Defaults to `30` (released code).
        feature_dim: int. F. Defaults to `20` (released code).
        dropout: float. Dropout rate of the width's vector. Defaults to `0.3` (released code).

    Call arguments:
        pieces: float `(B, S, W, D)`. The encoder's vectors of W pieces from each span's first; see `gather_spans`.
        widths: int `(B, S)`. Number of pieces less one.

    Returns:
        float32 `(B, S, 3D + F)`.

    Reference: Lee et al., 2017, section 4; Joshi et al., 2019 (BERT for coreference).
    """

    def __init__(self, max_span_width=30, feature_dim=20, dropout=0.3, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.max_span_width = whole_number("max_span_width", max_span_width)
        self.feature_dim = whole_number("feature_dim", feature_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)
        self.head_score = keras.layers.Dense(
            1, kernel_initializer=initializer(), dtype=self.dtype_policy, name="head_score"
        )
        self.width_dropout = Dropout(self.dropout, dtype=self.dtype_policy, name="width_dropout")

    def build(self, pieces_shape, widths_shape=None):
        self.width_embeddings = self.add_weight(
            name="width_embeddings", shape=(self.max_span_width, self.feature_dim), initializer=initializer()
        )
        self.head_score.build((None, pieces_shape[-1]))
        self.width_dropout.build((None, self.feature_dim))

    def call(self, pieces, widths, training=None):
        places = ops.arange(self.max_span_width, dtype="int32")
        inside = places <= ops.expand_dims(widths, -1)  # (B, S, W)
        scores = ops.where(inside, ops.squeeze(self.head_score(pieces), -1), MASKED)
        head = ops.einsum("bsw,bswd->bsd", ops.softmax(scores, axis=-1), pieces)  # (B, S, D)
        last = ops.cast(ops.equal(places, ops.expand_dims(widths, -1)), pieces.dtype)
        end = ops.einsum("bsw,bswd->bsd", last, pieces)  # (B, S, D)
        width = self.width_dropout(ops.take(self.width_embeddings, widths, axis=0), training=training)  # (B, S, F)
        return ops.concatenate([pieces[:, :, 0], end, width, head], axis=-1)

    def compute_output_shape(self, pieces_shape, widths_shape=None):
        return (*pieces_shape[:2], 3 * pieces_shape[-1] + self.feature_dim)

    def get_config(self):
        return super().get_config() | {
            "max_span_width": self.max_span_width,
            "feature_dim": self.feature_dim,
            "dropout": self.dropout,
        }


def gather_spans(sequence, starts, max_span_width: int):
    """Returns the vectors of the W pieces from each span's first; past the end of the text, of its last piece.

    Args:
        sequence: float `(B, T, D)`.
        starts: int `(B, S)`.
        max_span_width: int. W.

    Returns:
        float32 `(B, S, W, D)`.
    """
    tokens, width = ops.shape(sequence)[1], sequence.shape[-1]
    spans = ops.shape(starts)[1]
    positions = ops.expand_dims(starts, -1) + ops.arange(max_span_width, dtype="int32")
    positions = ops.reshape(ops.minimum(positions, tokens - 1), (-1, spans * max_span_width))
    gathered = gather_positions(ops.cast(sequence, "float32"), positions)
    return ops.reshape(gathered, (-1, spans, max_span_width, width))
