"""The head of the classifiers. Shape letters: B batch, T tokens, D hidden_dim, C classes."""

import keras

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import initializer
from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class ClassificationHead(SavedState, keras.layers.Layer):
    """A linear layer on the encoding of [CLS].

        logits = W x_[CLS] + b        (paper, section 4.1)
        logits = W tanh(P x_[CLS] + p) + b        with the pooler, as the released code

    Args:
        num_outputs: int. C: the number of labels, or of a regression's targets.
        pooler: bool. Whether a dense layer with tanh comes first.
        dropout: float. Dropout rate before the linear layer. Defaults to `0.1` (released code).

    Call arguments:
        sequence: float `(B, T, D)`. The encoder's output; [CLS] is first.

    Returns:
        float32 `(B, C)`.
    """

    def __init__(self, num_outputs, pooler=False, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.num_outputs = whole_number("num_outputs", num_outputs, maximum=MAX_WIDTH)
        self.pooler = bool(pooler)
        self.dropout = dropout_rate("dropout", dropout)

    def build(self, sequence_shape):
        width = sequence_shape[-1]
        if self.pooler:
            self.pooler_dense = keras.layers.Dense(
                width, activation="tanh", kernel_initializer=initializer(), dtype=self.dtype_policy, name="pooler_dense"
            )
            self.pooler_dense.build((None, width))
        self.dropout_layer = Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
        self.classifier = keras.layers.Dense(
            self.num_outputs, kernel_initializer=initializer(), dtype="float32", name="classifier"
        )
        self.classifier.build((None, width))

    def call(self, sequence, training=None):
        x = sequence[:, 0]  # (B, D)
        if self.pooler:
            x = self.pooler_dense(x)  # (B, D)
        return self.classifier(self.dropout_layer(x, training=training))  # (B, C)

    def compute_output_spec(self, sequence, training=None):
        return keras.KerasTensor((sequence.shape[0], self.num_outputs), dtype="float32")

    def get_config(self):
        return super().get_config() | {
            "num_outputs": self.num_outputs,
            "pooler": self.pooler,
            "dropout": self.dropout,
        }
