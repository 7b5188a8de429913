"""Multi-head self-attention. Shape letters: B batch, T tokens, D hidden_dim, H heads."""

import math

import keras
from keras import ops

from spanbert_keras.arguments import dropout_rate, one_of, whole_number
from spanbert_keras.kernels.attention import KINDS, fused_attention, is_fused
from spanbert_keras.kernels.attention_weights import MASKED_SCORE
from spanbert_keras.layers.dropout import Dropout
from spanbert_keras.layers.functional import apply_dropout, initializer, is_dropout
from spanbert_keras.layers.saving.saved_state import SavedState

SCORE_LIMIT = 10000.0  # the released code clamps attention logits, since the large model overflowed in float16


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SelfAttention(SavedState, keras.layers.Layer):
    """Multi-head self-attention: softmax(q k^T / sqrt(D / H)) v, then a projection.

    The three projections are separate layers (`query`, `key`, `value`: names for LoRA and for conversion) but are
    computed as one matrix product. The softmax is computed in float32 under every dtype policy.

    Args:
        num_heads: int. Number of heads; must divide D.
        dropout: float. Probability of zeroing an attention weight. Defaults to `0.1` (paper, section 4.2).
        attention: `"reference"` stores the weights `(B, H, T, T)`; `"fused"` computes them again for the gradient;
            `"auto"` is fused in training, but for float16. Not saved: a loaded layer has `"auto"`.

    Call arguments:
        x: float `(B, T, D)`.
        attention_mask: bool `(B, T, T)`. True where query t may attend to key u.

    Returns:
        float `(B, T, D)`.

    Raises:
        ValueError: D is not a multiple of `num_heads`, or `"fused"` with float16.

    Reference: Vaswani et al., 2017; Devlin et al., 2019.
    """

    def __init__(self, num_heads, dropout=0.1, attention="auto", **kwargs):
        super().__init__(**kwargs)
        self.attention = one_of("attention", attention, KINDS)
        self.num_heads = whole_number("num_heads", num_heads)
        self.dropout = dropout_rate("dropout", dropout)
        self.dropout_layer = Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, x_shape, attention_mask_shape=None):
        width = x_shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"`hidden_dim` must be a multiple of `num_heads`. Received: hidden_dim={width}, "
                f"num_heads={self.num_heads}."
            )
        self.head_dim = width // self.num_heads
        for name in ("query", "key", "value", "output"):
            dense = keras.layers.Dense(width, kernel_initializer=initializer(), dtype=self.dtype_policy, name=name)
            dense.build(x_shape)
            setattr(self, f"{name}_dense", dense)

    def _project(self, x, first_only):
        """Returns queries, keys and values, each `(B, T, D)`; with `first_only` the first query alone."""
        layers = (self.query_dense, self.key_dense, self.value_dense)
        if first_only:
            return [self.query_dense(x[:, :1]), self.key_dense(x), self.value_dense(x)]
        if any(layer.quantization_mode is not None for layer in layers):
            return [layer(x) for layer in layers]
        kernel = ops.concatenate([ops.convert_to_tensor(layer.kernel) for layer in layers], axis=-1)  # (D, 3D)
        bias = ops.concatenate([ops.convert_to_tensor(layer.bias) for layer in layers], axis=-1)  # (3D,)
        return ops.split(ops.matmul(x, kernel) + bias, 3, axis=-1)

    def _heads(self, x):
        """Splits `(B, T, D)` into `(B, H, T, D / H)`."""
        length = x.shape[1] or ops.shape(x)[1]
        return ops.transpose(ops.reshape(x, (-1, length, self.num_heads, self.head_dim)), (0, 2, 1, 3))

    def call(self, x, attention_mask, training=False):
        return self.output_dense(self.context(x, attention_mask, training))

    def context(self, x, attention_mask, training=False, seed=None, first_only=False):
        """Returns what the projection gets: the heads' weighted values, float `(B, T, D)`.

        Args:
            x, attention_mask: as for a call.
            training: bool. Whether dropout applies.
            seed: int `(2,)`. That of dropout; `None`: the next one of its layer.
            first_only: bool. Whether only the first piece is wanted, `(B, 1, D)`.
        """
        query, key, value = (self._heads(part) for part in self._project(x, first_only))  # (B, H, T, D/H)
        if first_only:
            attention_mask = attention_mask[:, :1]
        # Scaled before the product, which keeps float16 scores small.
        query = query * (1.0 / math.sqrt(self.head_dim))
        fused = not first_only and is_fused(self.attention, self.compute_dtype, training)
        if fused and is_dropout(self.dropout_layer):
            seed = self.dropout_layer.drawn_seed() if seed is None else seed
            context = fused_attention(query, key, value, attention_mask, seed, rate=self.dropout_layer.rate)
        else:
            context = self._attend(query, key, value, attention_mask, seed)
        context = ops.transpose(context, (0, 2, 1, 3))  # (B, T, H, D/H)
        length = 1 if first_only else x.shape[1] or ops.shape(x)[1]
        return ops.reshape(context, (-1, length, self.num_heads * self.head_dim))

    def _attend(self, query, key, value, attention_mask, seed):
        """Returns the weighted values `(B, H, T, D / H)`; the weights are stored."""
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2))  # (B, H, T, T)
        if self.compute_dtype == "float16":
            scores = ops.clip(scores, -SCORE_LIMIT, SCORE_LIMIT)
        bias = ops.cast(ops.logical_not(ops.expand_dims(attention_mask, 1)), "float32") * MASKED_SCORE  # (B, 1, T, T)
        weights = ops.softmax(ops.cast(scores, "float32") + bias, axis=-1)
        weights = apply_dropout(self.dropout_layer, ops.cast(weights, self.compute_dtype), seed)
        return ops.matmul(weights, value)

    def compute_output_spec(self, x, attention_mask, training=False):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"num_heads": self.num_heads, "dropout": self.dropout}
