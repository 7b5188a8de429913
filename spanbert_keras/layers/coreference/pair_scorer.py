"""The close score of a span and an antecedent. Shape letters: B batch, Q queries, K earlier spans, A antecedents,
G span_dim, F feature_dim, H hidden layer."""

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.coreference.coarse_antecedents import DISTANCE_BUCKETS, distance_buckets
from spanbert_keras.layers.coreference.feed_forward_score import FeedForwardScore
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import initializer
from spanbert_keras.layers.saving.saved_state import SavedState

FEATURE_TABLES = ("speaker_embeddings", "genre_embeddings", "distance_embeddings", "segment_embeddings")


@keras.saving.register_keras_serializable(package="spanbert_keras")
class PairScorer(SavedState, keras.layers.Layer):
    """Scores a span and an antecedent by their vectors, the product of these, and four features of the pair.

        fine(i, j) = FFNN([g_i; g_j; g_i * g_j; same speaker; genre; distance; segment distance])

    Args:
        num_genres: int. Rows of the genre table.
        max_segment_distance: int. Rows of the segment table; segments further apart use the last.
        feature_dim: int. F, size of each feature's vector. Defaults to `20` (released code).
        hidden_dim: int. H. Defaults to `3000` (released code).
        dropout: float. Dropout rate of the four features, and of the hidden layer. Defaults to `0.3` (released code).

    Call arguments:
        queries: float `(B, Q, G)`.
        spans: float `(B, K, G)`.
        antecedents: int `(B, Q, A)`. Places among the K.
        same_speaker: int `(B, Q, A)`. 1 if the first pieces of both have the same speaker.
        genres: int `(B, Q)`.
        distances: int `(B, Q, A)`. Differences of span ranks.
        segment_distances: int `(B, Q, A)`.

    Returns:
        float32 `(B, Q, A)`.

    Reference: Lee et al., 2018; the released code's features and their order.
    """

    def __init__(self, num_genres=7, max_segment_distance=3, feature_dim=20, hidden_dim=3000, dropout=0.3, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.num_genres = whole_number("num_genres", num_genres)
        self.max_segment_distance = whole_number("max_segment_distance", max_segment_distance)
        self.feature_dim = whole_number("feature_dim", feature_dim, maximum=MAX_WIDTH)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)
        self.feature_dropout = Dropout(self.dropout, dtype=self.dtype_policy, name="feature_dropout")
        self.score = FeedForwardScore(self.hidden_dim, self.dropout, name="score")

    def build(self, queries_shape, *shapes, **named_shapes):
        rows = (2, self.num_genres, DISTANCE_BUCKETS, self.max_segment_distance)
        for name, count in zip(FEATURE_TABLES, rows, strict=True):
            table = self.add_weight(name=name, shape=(count, self.feature_dim), initializer=initializer())
            setattr(self, name, table)
        self.feature_dropout.build((None, 4 * self.feature_dim))
        self.score.build((None, 3 * queries_shape[-1] + 4 * self.feature_dim))

    def call(self, queries, spans, antecedents, same_speaker, genres, distances, segment_distances, training=None):
        size = queries.shape[-1]
        of_query, of_span, of_product, of_features = self.score.parts(size, size, size, 4 * self.feature_dim)
        segments = ops.clip(segment_distances, 0, self.max_segment_distance - 1)
        genres = ops.broadcast_to(ops.expand_dims(genres, -1), ops.shape(antecedents))
        looked_up = zip(FEATURE_TABLES, (same_speaker, genres, distance_buckets(distances), segments), strict=True)
        features = ops.concatenate([ops.take(getattr(self, name), rows, axis=0) for name, rows in looked_up], -1)
        features = self.feature_dropout(features, training=training)  # (B, Q, A, 4F)
        # The hidden layer is linear in the pair's vector: what i and j contribute is computed once for each.
        product = ops.expand_dims(queries, 2) * gather_antecedents(spans, antecedents)  # (B, Q, A, G)
        hidden = ops.matmul(product, of_product) + ops.matmul(features, of_features)  # (B, Q, A, H)
        hidden += gather_antecedents(ops.matmul(spans, of_span), antecedents)
        hidden += ops.expand_dims(ops.matmul(queries, of_query) + self.score.hidden.bias, 2)
        return self.score.score(hidden, training)

    def get_config(self):
        return super().get_config() | {
            "num_genres": self.num_genres,
            "max_segment_distance": self.max_segment_distance,
            "feature_dim": self.feature_dim,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
        }


def gather_antecedents(spans, antecedents):
    """Returns the entries of `spans` `(B, K, X)` at `antecedents` `(B, Q, A)`, as `(B, Q, A, X)`."""
    spans, antecedents = ops.convert_to_tensor(spans), ops.cast(antecedents, "int32")
    rows = ops.reshape(ops.arange(ops.shape(antecedents)[0], dtype="int32"), (-1, 1, 1))
    flat = ops.reshape(spans, (-1, spans.shape[-1]))  # one lookup of whole vectors; `take_along_axis` makes several
    return ops.take(flat, antecedents + rows * ops.shape(spans)[1], axis=0)
