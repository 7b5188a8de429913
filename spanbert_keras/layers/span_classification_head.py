"""The classes of all spans of a text. Shape letters: B batch, T tokens, N words, W span widths, D hidden_dim, F hidden
layer, C classes."""

import math

import keras
from keras import ops

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import as_tensor, gather_positions, gelu, initializer
from spanbert_keras.layers.saving.saved_state import SavedState

PRIOR = 0.99  # of class 0


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanClassificationHead(SavedState, keras.layers.Layer):
    """Scores the classes of every span of at most W words from its boundaries and its width.

        logits(i, j) = V GELU(A x_start(i) + B x_end(j) + w_(j - i) + b) + c

    x_start(i) is the encoding of word i's first piece, x_end(j) that of word j's last one. This is a layer on the
    vector [x_start; x_end; width] (Zhong and Chen, 2021, section 3.1), with one hidden layer. Since that is linear in
    its input, words are multiplied once, and arrays of size `(B, N, F)` exist at a time, one for each width, instead of
    `(B, N W, 2D)`. Class 0 means "none of the others". Nearly all spans have it, so the layer begins with
    a probability of 99 % for it (Lin et al., 2017, section 3.3).

    Args:
        num_classes: int. C, with class 0.
        max_span_width: int. W.
        hidden_dim: int. F. Defaults to `256`.
        dropout: float. Dropout rate of the words' vectors and of the hidden layer. Defaults to `0.1`.

    Call arguments:
        sequence: float `(B, T, D)`. The encoder's output.
        word_starts, word_ends: int `(B, N)`. Places of the first and last piece of each word.

    Returns:
        float32 `(B, N, W, C)`, at [first word, number of words - 1]. Where a span ends past the N words the numbers
        mean nothing.

    Reference: Zhong and Chen, 2021 (A Frustratingly Easy Approach for Entity and Relation Extraction); Lin et al., 2017
    (Focal Loss).
    """

    def __init__(self, num_classes, max_span_width, hidden_dim=256, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = whole_number("num_classes", num_classes, minimum=2, maximum=MAX_WIDTH)
        self.max_span_width = whole_number("max_span_width", max_span_width, maximum=MAX_WIDTH)
        self.hidden_dim = whole_number("hidden_dim", hidden_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)

    def build(self, sequence_shape, *shapes, **named_shapes):
        def dense(units, name, dtype=self.dtype_policy, **kwargs):
            return keras.layers.Dense(units, kernel_initializer=initializer(), dtype=dtype, name=name, **kwargs)

        self.start_dense = dense(self.hidden_dim, "start_dense")
        self.end_dense = dense(self.hidden_dim, "end_dense", use_bias=False)
        self.classifier = dense(self.num_classes, "classifier", dtype="float32", bias_initializer=_FirstClassPrior())
        self.input_dropout = Dropout(self.dropout, dtype=self.dtype_policy, name="input_dropout")
        self.hidden_dropout = Dropout(self.dropout, dtype=self.dtype_policy, name="hidden_dropout")
        for layer in (self.start_dense, self.end_dense, self.input_dropout):
            layer.build((None, sequence_shape[-1]))
        for layer in (self.hidden_dropout, self.classifier):
            layer.build((None, self.hidden_dim))
        self.width_embeddings = self.add_weight(
            name="width_embeddings", shape=(self.max_span_width, self.hidden_dim), initializer=initializer()
        )

    def call(self, sequence, word_starts, word_ends, training=None):
        sequence = self.input_dropout(sequence, training=training)
        starts = self.start_dense(gather_positions(sequence, word_starts))  # (B, N, F)
        ends = self.end_dense(gather_positions(sequence, word_ends))
        widths = ops.cast(as_tensor(self.width_embeddings), starts.dtype)
        # A span of w + 1 words ends w words further on.
        ends = ops.pad(ends, ((0, 0), (0, self.max_span_width - 1), (0, 0)))  # (B, N + W - 1, F)
        columns = []
        for width in range(self.max_span_width):
            stop = width + 1 - self.max_span_width
            hidden = gelu(starts + ends[:, width : stop or None] + widths[width])
            columns.append(self.classifier(self.hidden_dropout(hidden, training=training)))  # (B, N, C)
        return ops.stack(columns, axis=2)

    def compute_output_spec(self, sequence, word_starts, word_ends, training=None):
        shape = (*word_starts.shape, self.max_span_width, self.num_classes)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return super().get_config() | {
            "num_classes": self.num_classes,
            "max_span_width": self.max_span_width,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
        }


class _FirstClassPrior(keras.initializers.Initializer):
    """Biases with which class 0 has a probability of `PRIOR`, and the others the same."""

    def __call__(self, shape, dtype=None):
        first = ops.cast(ops.arange(shape[0]) == 0, dtype or "float32")
        return first * math.log(PRIOR / (1 - PRIOR) * (shape[0] - 1))
