"""The span-boundary head. Shape letters: B batch, T tokens, M masked positions, D hidden_dim, P position_dim."""

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, whole_number
from spanbert_keras.layers.functional import dense_gelu, gather_positions, initializer, layer_norm
from spanbert_keras.layers.vocabulary_head import VocabularyHead


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBoundaryHead(VocabularyHead):
    """Predicts each piece of a masked span from the observed pieces around it and its place in the span.

    For x_i in the span (s, e), both ends inclusive:

        h_0 = [x_(s-1); x_(e+1); p_(i-s+1)]
        h_1 = LayerNorm(GELU(W_1 h_0))
        y_i = LayerNorm(GELU(W_2 h_1))
        logits = y_i E^T + c

    with E the input embedding and c this head's bias. Row i - s of the table is the paper's p_(i-s+1).
    Offsets past the table use its last row: such pieces get logits, too; the loss weights decide whether they count.

    Args:
        embedding: `keras.layers.ReversibleEmbedding`. The encoder's `token_embedding`.
        max_span_positions: int. Rows of the position table, in pieces. Defaults to `15` (the released recipe).
        position_dim: int. Width of a position vector. Defaults to `200` (paper, section 4.2).

    Call arguments:
        sequence: float `(B, T, D)`. The encoder's output.
        left_positions: int `(B, M)`. s - 1 for each masked piece.
        right_positions: int `(B, M)`. e + 1 for each masked piece.
        span_offsets: int `(B, M)`. i - s, from zero.

    Returns:
        float32 `(B, M, V)`. Logits; those of padding entries mean nothing.

    Raises:
        ValueError: `max_span_positions` or `position_dim` is not positive.

    Example:

    ```python
    import keras
    import numpy as np
    from spanbert_keras import SpanBoundaryHead

    embedding = keras.layers.ReversibleEmbedding(30, 8)  # of an encoder: `encoder.token_embedding`
    head = SpanBoundaryHead(embedding, position_dim=4)
    sequence = np.zeros((1, 9, 8), "float32")
    left, right = np.array([[2, 2, 2]]), np.array([[6, 6, 6]])  # the span (3, 5): pieces 3, 4 and 5 are masked
    tuple(head(sequence, left, right, np.array([[0, 1, 2]])).shape)  # (1, 3, 30)
    ```

    Reference: Joshi et al., 2020, section 3.2.
    """

    def __init__(self, embedding, max_span_positions=15, position_dim=200, **kwargs):
        super().__init__(embedding, **kwargs)
        self.max_span_positions = whole_number("max_span_positions", max_span_positions, maximum=MAX_WIDTH)
        self.position_dim = whole_number("position_dim", position_dim, maximum=MAX_WIDTH)

    def build(self, sequence_shape, *position_shapes, **named_position_shapes):
        width = sequence_shape[-1]
        self.span_position_embeddings = self.add_weight(
            name="span_position_embeddings",
            shape=(self.max_span_positions, self.position_dim),
            initializer=initializer(),
        )
        self.transforms = []
        input_width = 2 * width + self.position_dim
        for number in (1, 2):
            dense = keras.layers.Dense(
                width, kernel_initializer=initializer(), dtype=self.dtype_policy, name=f"dense_{number}"
            )
            norm = layer_norm(self.dtype_policy, f"norm_{number}")
            dense.build((None, None, input_width))
            norm.build((None, None, width))
            self.transforms.append((dense, norm))
            setattr(self, f"dense_{number}", dense)
            setattr(self, f"norm_{number}", norm)
            input_width = width
        self.build_vocabulary_bias()

    def call(self, sequence, left_positions, right_positions, span_offsets, training=False):
        left = gather_positions(sequence, left_positions)  # x_(s-1)          (B, M, D)
        right = gather_positions(sequence, right_positions)  # x_(e+1)        (B, M, D)
        rows = ops.minimum(span_offsets, self.max_span_positions - 1)
        position = ops.take(self.span_position_embeddings, rows, axis=0)  # p_(i-s+1)  (B, M, P)
        x = ops.concatenate([left, right, ops.cast(position, left.dtype)], axis=-1)  # (B, M, 2D + P)
        for dense, norm in self.transforms:
            x = norm(dense_gelu(dense, x, training))  # (B, M, D)
        return self.logits(x, training)  # (B, M, V)

    def compute_output_spec(self, sequence, left_positions, right_positions, span_offsets, training=False):
        return self.logits_spec(left_positions)

    def get_config(self):
        return super().get_config() | {
            "max_span_positions": self.max_span_positions,
            "position_dim": self.position_dim,
        }
