"""The encoder's input layer. Shape letters: B batch, T tokens, D hidden_dim."""

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import initializer, layer_norm
from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class InputEmbedding(SavedState, keras.layers.Layer):
    """Adds learned positions and segments to the piece embeddings, then layer normalisation and dropout.

    Args:
        max_sequence_length: int. Rows of the position table.
        num_segments: int. Rows of the segment table.
        dropout: float. Probability of zeroing. Defaults to `0.1` (paper, section 4.2).

    Call arguments:
        embedded: float `(B, T, D)`. The pieces' embeddings.
        segment_ids: int `(B, T)`, each in [0, num_segments).
        positions: int `(B, T)`, each in [0, max_sequence_length).

    Returns:
        float `(B, T, D)`.

    Raises:
        ValueError: more tokens than `max_sequence_length`.

    Reference: Devlin et al., 2019.
    """

    def __init__(self, max_sequence_length, num_segments, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.max_sequence_length = whole_number("max_sequence_length", max_sequence_length, maximum=MAX_WIDTH)
        self.num_segments = whole_number("num_segments", num_segments)
        self.dropout = dropout_rate("dropout", dropout)
        self.norm = layer_norm(self.dtype_policy, "norm")
        self.dropout_layer = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, embedded_shape, segment_ids_shape=None, positions_shape=None):
        width = embedded_shape[-1]
        self.position_embeddings = self.add_weight(
            name="position_embeddings", shape=(self.max_sequence_length, width), initializer=initializer()
        )
        self.segment_embeddings = self.add_weight(
            name="segment_embeddings", shape=(self.num_segments, width), initializer=initializer()
        )
        self.norm.build(embedded_shape)

    def call(self, embedded, segment_ids, positions):
        length = embedded.shape[1]
        if isinstance(length, int) and length > self.max_sequence_length:
            raise ValueError(
                "The sequence is longer than the position table. "
                f"Expected at most max_sequence_length={self.max_sequence_length} tokens. Received: {length}."
            )
        x = embedded + ops.take(self.position_embeddings, positions, axis=0)  # (B, T, D)
        x = x + ops.take(self.segment_embeddings, segment_ids, axis=0)  # (B, T, D)
        return self.dropout_layer(self.norm(x))

    def compute_output_spec(self, embedded, segment_ids, positions):
        return keras.KerasTensor(embedded.shape, dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "max_sequence_length": self.max_sequence_length,
            "num_segments": self.num_segments,
            "dropout": self.dropout,
        }
