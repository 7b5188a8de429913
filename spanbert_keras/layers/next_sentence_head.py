"""The next-sentence head. Shape letters: B batch, T tokens, P pairs of a row, D hidden_dim."""

import keras

from spanbert_keras.layers.functional import gather_positions, initializer
from spanbert_keras.layers.saving.saved_state import SavedState

CLASSES = 2  # 0: the second segment is what follows the first; 1: it is from another document


@keras.saving.register_keras_serializable(package="spanbert_keras")
class NextSentenceHead(SavedState, keras.layers.Layer):
    """Predicts from [CLS] whether the second segment of a pair follows the first in the same document.

        logits = W tanh(P x_[CLS] + p) + b

    A packed row holds several pairs, and the head reads the [CLS] of each of them.

    Call arguments:
        sequence: float `(B, T, D)`. The encoder's output.
        pair_positions: int `(B, P)`. Column of each pair's [CLS]; padding entries are 0.

    Returns:
        float32 `(B, P, 2)`. Logits of "is next" and of "random"; those of padding entries mean nothing.

    Example:

    ```python
    import numpy as np
    from spanbert_keras import NextSentenceHead

    head = NextSentenceHead()
    sequence = np.zeros((2, 9, 8), "float32")
    tuple(head(sequence, np.array([[0, 5], [0, 0]])).shape)  # (2, 2, 2): the first row holds two pairs
    ```

    Reference: Devlin et al., 2019. SpanBERT leaves it out (Joshi et al., 2020, section 3.3); the baselines of section
    4.2 and table 7 have it.
    """

    def build(self, sequence_shape, pair_positions_shape=None):
        width = sequence_shape[-1]
        self.pooler_dense = keras.layers.Dense(
            width, activation="tanh", kernel_initializer=initializer(), dtype=self.dtype_policy, name="pooler_dense"
        )
        self.pooler_dense.build((None, None, width))
        self.classifier = keras.layers.Dense(
            CLASSES, kernel_initializer=initializer(), dtype="float32", name="classifier"
        )
        self.classifier.build((None, None, width))

    def call(self, sequence, pair_positions):
        x = gather_positions(sequence, pair_positions)  # x_[CLS]       (B, P, D)
        return self.classifier(self.pooler_dense(x))  # (B, P, 2)

    def compute_output_spec(self, sequence, pair_positions):
        return keras.KerasTensor((*pair_positions.shape, CLASSES), dtype="float32")
