"""The masked-LM head. Shape letters: B batch, T tokens, M masked positions, D hidden_dim, V vocabulary."""

import keras

from spanbert_keras.layers.functional import dense_gelu, gather_positions, initializer, layer_norm
from spanbert_keras.layers.vocabulary_head import VocabularyHead


@keras.saving.register_keras_serializable(package="spanbert_keras")
class MaskedLMHead(VocabularyHead):
    """Predicts each masked piece from its own encoding: P(x_i | **x**_i).

    logits = LayerNorm(GELU(W x_i + b)) E^T + c, with E the input embedding and c this head's bias.
    Computed at the masked positions only.

    Args:
        embedding: `keras.layers.ReversibleEmbedding`. The encoder's `token_embedding`.

    Call arguments:
        sequence: float `(B, T, D)`. The encoder's output.
        mask_positions: int `(B, M)`. Positions of the masked pieces; padding entries are 0.

    Returns:
        float32 `(B, M, V)`. Logits; those of padding entries mean nothing.

    Example:

    ```python
    import keras
    import numpy as np
    from spanbert_keras import MaskedLMHead

    embedding = keras.layers.ReversibleEmbedding(30, 8)  # of an encoder: `encoder.token_embedding`
    head = MaskedLMHead(embedding)
    sequence = np.zeros((2, 9, 8), "float32")
    tuple(head(sequence, np.array([[1, 4, 5], [2, 3, 0]])).shape)  # (2, 3, 30)
    ```

    Reference: Devlin et al., 2019.
    """

    def build(self, sequence_shape, mask_positions_shape=None):
        self.dense = keras.layers.Dense(
            sequence_shape[-1], kernel_initializer=initializer(), dtype=self.dtype_policy, name="dense"
        )
        self.norm = layer_norm(self.dtype_policy, "norm")
        self.dense.build(sequence_shape)
        self.norm.build(sequence_shape)
        self.build_vocabulary_bias()

    def call(self, sequence, mask_positions, training=False):
        x = gather_positions(sequence, mask_positions)  # x_i        (B, M, D)
        x = self.norm(dense_gelu(self.dense, x, training))  # (B, M, D)
        return self.logits(x, training)  # (B, M, V)

    def compute_output_spec(self, sequence, mask_positions, training=False):
        return self.logits_spec(mask_positions)
