"""The coarse choice of antecedents. Shape letters: B batch, Q queries, K earlier spans, A antecedents,
G span_dim, F feature_dim."""

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import MASKED, as_tensor, initializer
from spanbert_keras.layers.saving.saved_state import SavedState

DISTANCE_BUCKETS = 10


def distance_buckets(distances):
    """Returns the bucket of each distance, int32: 0, 1, 2, 3, 4, 5-7, 8-15, 16-31, 32-63, 64 and more.

    Args:
        distances: int, not negative. Differences of span ranks (not of pieces).
    """
    distances = ops.cast(distances, "int32")
    above = sum(ops.cast(distances >= first, "int32") for first in (5, 8, 16, 32, 64))
    return ops.minimum(distances, 4) + above


@keras.saving.register_keras_serializable(package="spanbert_keras")
class CoarseAntecedents(SavedState, keras.layers.Layer):
    """Chooses the antecedents of each span that are scored closely, by a cheap score.

        coarse(i, j) = mention_i + mention_j + (W g_i + b) . g_j + prior(distance of i and j)

    Args:
        max_antecedents: int. A. Defaults to `50` (released code).
        feature_dim: int. F. Defaults to `20` (released code).
        dropout: float. Dropout rate of both vectors of the product, and of the prior's. Defaults to `0.3` (released
            code).

    Call arguments:
        queries: float `(B, Q, G)`. Vectors g_i.
        query_scores: float `(B, Q)`. Their mention scores.
        spans: float `(B, K, G)`. Vectors g_j.
        span_scores: float `(B, K)`. Their mention scores.
        distances: int `(B, Q, K)`. Ranks of i less ranks of j.
        allowed: bool `(B, Q, K)`. Whether j may be an antecedent of i.

    Returns:
        scores: float32 `(B, Q, A)`, best first; about -1e9 at padding.
        antecedents: int32 `(B, Q, A)`. Places among the K.
        real: bool `(B, Q, A)`. Which entries are antecedents.

        If K is less than A, A is K.

    Reference: Lee et al., 2018, section 4; the prior is the released code's.
    """

    def __init__(self, max_antecedents=50, feature_dim=20, dropout=0.3, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.max_antecedents = whole_number("max_antecedents", max_antecedents)
        self.feature_dim = whole_number("feature_dim", feature_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)
        self.query_dropout, self.span_dropout, self.distance_dropout = (
            Dropout(self.dropout, dtype=self.dtype_policy, name=name)
            for name in ("query_dropout", "span_dropout", "distance_dropout")
        )
        self.distance_score = keras.layers.Dense(
            1, kernel_initializer=initializer(), dtype=self.dtype_policy, name="distance_score"
        )

    def build(self, queries_shape, *shapes, **named_shapes):
        size = queries_shape[-1]
        self.projection = keras.layers.Dense(
            size, kernel_initializer=initializer(), dtype=self.dtype_policy, name="projection"
        )
        self.projection.build((None, size))
        self.distance_embeddings = self.add_weight(
            name="distance_embeddings", shape=(DISTANCE_BUCKETS, self.feature_dim), initializer=initializer()
        )
        self.distance_score.build((None, self.feature_dim))
        for dropout in (self.query_dropout, self.span_dropout, self.distance_dropout):
            dropout.build((None, size))

    def call(self, queries, query_scores, spans, span_scores, distances, allowed, training=None):
        source = self.query_dropout(self.projection(queries), training=training)
        target = self.span_dropout(spans, training=training)
        scores = ops.matmul(source, ops.swapaxes(target, 1, 2))  # (B, Q, K)
        scores += ops.expand_dims(query_scores, 2) + ops.expand_dims(span_scores, 1)
        embeddings = self.distance_dropout(as_tensor(self.distance_embeddings), training=training)
        prior = ops.squeeze(self.distance_score(embeddings), -1)  # (10,)
        scores += ops.take(prior, distance_buckets(distances), axis=0)
        scores = ops.where(allowed, scores, MASKED)
        earlier = spans.shape[1]  # unknown where TensorFlow traces several numbers at once; then it is large
        count = self.max_antecedents if earlier is None else min(self.max_antecedents, earlier)
        scores, antecedents = ops.top_k(scores, count)
        return scores, ops.cast(antecedents, "int32"), scores > MASKED / 2

    def get_config(self):
        return super().get_config() | {
            "max_antecedents": self.max_antecedents,
            "feature_dim": self.feature_dim,
            "dropout": self.dropout,
        }
