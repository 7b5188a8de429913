"""One transformer block. Shape letters: B batch, T tokens, D hidden_dim, I intermediate_dim."""

import keras

from spanbert_keras.arguments import MAX_WIDTH, dropout_rate, one_of, whole_number
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import add_and_norm, dense_gelu, initializer, is_plain, layer_norm, recomputed
from spanbert_keras.layers.saving.saved_state import SavedState
from spanbert_keras.layers.self_attention import SelfAttention

RECOMPUTE = ("none", "attention", "blocks")
PURE = (SelfAttention, Dropout, keras.layers.Dense, keras.layers.LayerNormalization)


def _has_no_effects(layer):
    """Returns whether nothing but the result of a call matters: float8 layers adapt their scales in each."""
    return type(layer) in PURE and is_plain(layer) and getattr(layer, "quantization_mode", None) != "float8"


def is_pure(block):
    """Returns whether a block has no effect but its result: nothing in it was replaced or adapts to what it sees."""
    return type(block) is EncoderBlock and is_plain(block) and all(map(_has_no_effects, _inner_layers(block)))


def _inner_layers(block):
    return block._flatten_layers(include_self=False)


@keras.saving.register_keras_serializable(package="spanbert_keras")
class EncoderBlock(SavedState, keras.layers.Layer):
    """Post-layer-norm transformer block of BERT: attention, then a feed-forward network, each added and normalised.

    Args:
        num_heads: int. Number of attention heads.
        intermediate_dim: int. Width of the feed-forward network.
        dropout: float. Probability of zeroing a hidden state. Defaults to `0.1` (paper, section 4.2).
        attention_dropout: float. Probability of zeroing an attention weight. Defaults to `0.1` (paper, section 4.2).
        recompute: what training computes again for the gradient instead of keeping it: `"blocks"`, all but `x`;
            `"attention"`, what precedes the projection of the heads' values; `"none"`. It changes no result. A block
            with layers of other classes, with another `call` or with losses of their activations, and one in float8
            keeps all. Not saved: a loaded block has `"none"`.

    Call arguments:
        x: float `(B, T, D)`.
        attention_mask: bool `(B, T, T)`. True where a piece may attend to another.
        first_only: bool. Whether the first piece's vector alone is wanted, as of the last block of a classifier: keys
            and values are computed for all pieces, everything else for the first. Defaults to `False`.

    Returns:
        float `(B, T, D)`; with `first_only` `(B, 1, D)`.

    Reference: Devlin et al., 2019; Chen et al., 2016.
    """

    def __init__(self, num_heads, intermediate_dim, dropout=0.1, attention_dropout=0.1, recompute="none", **kwargs):
        super().__init__(**kwargs)
        self.recompute = one_of("recompute", recompute, RECOMPUTE)
        self.num_heads = whole_number("num_heads", num_heads)
        self.intermediate_dim = whole_number("intermediate_dim", intermediate_dim, maximum=MAX_WIDTH)
        self.dropout = dropout_rate("dropout", dropout)
        self.attention_dropout = dropout_rate("attention_dropout", attention_dropout)
        policy = self.dtype_policy
        self.attention = SelfAttention(num_heads, attention_dropout, dtype=policy, name="attention")
        self.attention_norm = layer_norm(policy, "attention_norm")
        self.intermediate = keras.layers.Dense(
            intermediate_dim, kernel_initializer=initializer(), dtype=policy, name="intermediate"
        )
        self.output_norm = layer_norm(policy, "output_norm")
        self.attention_output_dropout = Dropout(dropout, dtype=policy, name="attention_output_dropout")
        self.output_dropout = Dropout(dropout, dtype=policy, name="output_dropout")

    def build(self, x_shape, attention_mask_shape=None):
        self.output_dense = keras.layers.Dense(
            x_shape[-1], kernel_initializer=initializer(), dtype=self.dtype_policy, name="output"
        )
        self.attention.build(x_shape)
        self.attention_norm.build(x_shape)
        self.intermediate.build(x_shape)
        self.output_dense.build((*x_shape[:-1], self.intermediate_dim))
        self.output_norm.build(x_shape)

    def call(self, x, attention_mask, training=False, first_only=False):
        attention, dropout, norm = self.attention, self.attention_output_dropout, self.attention_norm
        known = type(attention) is SelfAttention and is_plain(attention)
        recompute = self.recompute if training and all(map(_has_no_effects, _inner_layers(self))) else "none"
        seeds = [None] * 3
        if recompute != "none":  # the same dropout both times
            seeds = [layer.drawn_seed() for layer in (attention.dropout_layer, dropout, self.output_dropout)]

        def attend(x):
            return attention.context(x, attention_mask, training, seeds[0], first_only)  # (B, T, D)

        def block(x):
            if known:
                context = recomputed(attend, x, self.compute_dtype) if recompute == "attention" else attend(x)
                x = x[:, :1] if first_only else x
                x = add_and_norm(x, attention.output_dense, context, dropout, norm, training, seeds[1])
            else:
                x = norm(x + dropout(attention(x, attention_mask)))
                x = x[:, :1] if first_only else x
            inner = dense_gelu(self.intermediate, x, training)  # (B, T, I)
            return add_and_norm(
                x, self.output_dense, inner, self.output_dropout, self.output_norm, training, seeds[2]
            )  # (B, T, D)

        return recomputed(block, x, self.compute_dtype) if recompute == "blocks" else block(x)

    def compute_output_spec(self, x, attention_mask, training=False, first_only=False):
        shape = (x.shape[0], 1, x.shape[2]) if first_only else x.shape
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {
            "num_heads": self.num_heads,
            "intermediate_dim": self.intermediate_dim,
            "dropout": self.dropout,
            "attention_dropout": self.attention_dropout,
        }
