"""A hidden layer and a score, for mentions, widths and pairs. Shape letters: I inputs, F hidden_dim."""

import keras

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import initializer
from spanbert_keras.layers.saving.saved_state import SavedState


@keras.saving.register_keras_serializable(package="spanbert_keras")
class FeedForwardScore(SavedState, keras.layers.Layer):
    """score = w_2 dropout(ReLU(W_1 x + b_1)) + b_2.

    Args:
        hidden_dim: int. F. Defaults to `3000` (released code).
        dropout: float. Dropout rate of the hidden layer. Defaults to `0.3` (released code).

    Call arguments:
        x: float `(..., I)`.

    Returns:
        float32 `(...)`.
    """

    def __init__(self, hidden_dim=3000, dropout=0.3, **kwargs):
        super().__init__(dtype=kwargs.pop("dtype", "float32"), **kwargs)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)
        dense = {"kernel_initializer": initializer(), "dtype": self.dtype_policy}
        self.hidden = keras.layers.Dense(self.hidden_dim, name="hidden", **dense)
        self.hidden_dropout = Dropout(self.dropout, dtype=self.dtype_policy, name="hidden_dropout")
        self.out = keras.layers.Dense(1, name="out", **dense | {"kernel_initializer": initializer()})

    def build(self, input_shape):
        self.hidden.build((None, input_shape[-1]))
        self.hidden_dropout.build((None, self.hidden_dim))
        self.out.build((None, self.hidden_dim))

    def call(self, x, training=None):
        return self.score(self.hidden(x), training)

    def score(self, hidden, training=None):
        """Returns the score for a precomputed `W_1 x + b_1`, float `(..., F)`."""
        return keras.ops.squeeze(self.out(self.hidden_dropout(keras.ops.relu(hidden), training=training)), -1)

    def parts(self, *sizes: int):
        """Returns the hidden layer's kernel in parts of `sizes` inputs, `(size, F)`, in order."""
        if self.hidden.quantization_mode is None:
            kernel = keras.ops.convert_to_tensor(self.hidden.kernel)
        else:  # Keras' `kernel` has the integers without their scales
            kernel = self.hidden(keras.ops.eye(sum(sizes))) - keras.ops.convert_to_tensor(self.hidden.bias)
        parts, first = [], 0
        for size in sizes:
            parts.append(kernel[first : first + size])
            first += size
        return parts

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

    def get_config(self):
        return super().get_config() | {"hidden_dim": self.hidden_dim, "dropout": self.dropout}
