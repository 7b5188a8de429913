"""Refining spans by their antecedents. Shape letters: B batch, Q spans, A antecedents, G span_dim."""

import keras
from keras import ops

from spanbert_keras.layers.functional import initializer
from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanRefinement(SavedState, keras.layers.Layer):
    """Moves a span's vector towards the expected vector of its antecedent.

        a_i = softmax([0; s(i, j)]) . [g_i; g_j]      the dummy antecedent stands for the span itself
        f_i = sigmoid(W [g_i; a_i] + b)
        g_i' = f_i a_i + (1 - f_i) g_i

    Call arguments:
        queries: float `(B, Q, G)`. g_i.
        antecedent_scores: float `(B, Q, A + 1)`. The dummy's first.
        antecedent_vectors: float `(B, Q, A, G)`. g_j.

    Returns:
        float32 `(B, Q, G)`.

    Reference: Lee et al., 2018, section 3 (there f_i weights g_i; in the released code it weights a_i, as here).
    """

    def __init__(self, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)

    def build(self, queries_shape, *shapes, **named_shapes):
        size = queries_shape[-1]
        self.gate = keras.layers.Dense(
            size, activation="sigmoid", kernel_initializer=initializer(), dtype=self.dtype_policy, name="gate"
        )
        self.gate.build((None, 2 * size))

    def call(self, queries, antecedent_scores, antecedent_vectors):
        attention = ops.softmax(antecedent_scores, axis=-1)  # (B, Q, A + 1)
        attended = attention[:, :, :1] * queries + ops.einsum("bqa,bqag->bqg", attention[:, :, 1:], antecedent_vectors)
        gate = self.gate(ops.concatenate([queries, attended], axis=-1))
        return gate * attended + (1.0 - gate) * queries

    def compute_output_shape(self, queries_shape, *shapes, **named_shapes):
        return queries_shape


def with_dummy(scores):
    """Returns antecedents' scores `(B, Q, A)` preceded by the dummy's, 0."""
    return ops.concatenate([ops.zeros_like(scores[:, :, :1]), scores], axis=-1)
