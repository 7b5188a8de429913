"""How likely spans are mentions. Shape letters: B batch, T tokens, S spans, W span widths, D hidden_dim, F hidden."""

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.coreference.feed_forward_score import FeedForwardScore
from spanbert_keras.layers.coreference.span_vectors import SpanVectors
from spanbert_keras.layers.functional import as_tensor, initializer
from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class MentionScorer(SavedState, keras.layers.Layer):
    """Scores spans as mentions: one score of the span's vector and one, a prior, of its width alone.

    `grid` scores every span of a text without making their vectors, one span width at a time.

    Args:
        max_span_width: int. W. Defaults to `30` (released code).
        feature_dim: int. Size of the prior's vector of each width. Defaults to `20` (released code).
        hidden_dim: int. F. Defaults to `3000` (released code).
        dropout: float. Dropout rate of the hidden layers. Defaults to `0.3` (released code).

    Call arguments:
        vectors: float `(B, S, G)`. See `SpanVectors`.
        widths: int `(B, S)`. Number of pieces less one.

    Returns:
        float32 `(B, S)`.

    Reference: Joshi et al., 2019 (BERT for coreference); the prior is the released code's.
    """

    def __init__(self, max_span_width=30, feature_dim=20, hidden_dim=3000, dropout=0.3, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.max_span_width = whole_number("max_span_width", max_span_width)
        self.feature_dim = whole_number("feature_dim", feature_dim, maximum=MAX_WIDTH)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)
        self.span_score = FeedForwardScore(self.hidden_dim, self.dropout, name="span_score")
        self.width_score = FeedForwardScore(self.hidden_dim, self.dropout, name="width_score")

    def build(self, vectors_shape, widths_shape=None):
        self.width_embeddings = self.add_weight(
            name="width_embeddings", shape=(self.max_span_width, self.feature_dim), initializer=initializer()
        )
        self.span_score.build(vectors_shape)
        self.width_score.build((None, self.feature_dim))

    def call(self, vectors, widths=None, span_vectors=None, training=None):
        if span_vectors is not None:
            return self._grid(vectors, span_vectors)
        prior = self.width_score(as_tensor(self.width_embeddings), training=training)  # (W,)
        return self.span_score(vectors, training=training) + ops.take(prior, widths, axis=0)

    def grid(self, sequence, span_vectors: SpanVectors):
        """Returns the scores of all spans, without dropout; those of spans that end past the text mean nothing.

        The hidden layer is linear in a span's vector, so it is a sum of contributions: of the first piece, the last
        one, the width, and the attended piece, which grows by one piece as the span does (a running softmax). So arrays
        of size `(B, T, F)` exist at a time, instead of `(B, T W, 3D + F)`.

        Args:
            sequence: float `(B, T, D)`.
            span_vectors: `SpanVectors`, built.

        Returns:
            float32 `(B, T, W)`.
        """
        return self(sequence, span_vectors=span_vectors)  # as a call, so that no model's policy casts the weights

    def _grid(self, sequence, span_vectors):
        size = sequence.shape[-1]
        of_start, of_end, of_width, of_head = self.span_score.parts(size, size, span_vectors.feature_dim, size)
        bias = ops.convert_to_tensor(self.span_score.hidden.bias)
        widths = ops.matmul(ops.convert_to_tensor(span_vectors.width_embeddings), of_width) + bias  # (W, F)
        prior = self.width_score(as_tensor(self.width_embeddings), training=False)  # (W,)
        start, end, head = (ops.matmul(sequence, part) for part in (of_start, of_end, of_head))  # (B, T, F)
        attention = span_vectors.head_score(sequence)  # (B, T, 1)
        highest, total, attended = attention, ops.ones_like(attention), head
        columns = []
        for width in range(self.max_span_width):
            if width:
                new = _ahead(attention, width)
                before, highest = highest, ops.maximum(highest, new)
                kept, added = ops.exp(before - highest), ops.exp(new - highest)
                total = total * kept + added
                attended = attended * kept + _ahead(head, width) * added
            hidden = start + _ahead(end, width) + widths[width] + attended / total
            columns.append(self.span_score.score(hidden, training=False) + prior[width])
        return ops.stack(columns, axis=-1)

    def compute_output_shape(self, vectors_shape, widths_shape=None):
        return vectors_shape[:-1]

    def get_config(self):
        return super().get_config() | {
            "max_span_width": self.max_span_width,
            "feature_dim": self.feature_dim,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
        }


def _ahead(x, by: int):
    """Returns `(B, T, F)` with the entry at t + by at t, zeros at the end."""
    return ops.pad(x, ((0, 0), (0, by), (0, 0)))[:, by:] if by else x
