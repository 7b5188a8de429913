"""Dropout, addition and layer normalisation of a transformer block, fused. Shape letters: N tokens, D hidden_dim."""

from keras import ops

from spanbert_keras.kernels.fusion import fused
from spanbert_keras.kernels.keep_mask import drop, row_keys


@fused
def _forward(x, added, keys, bias, gamma, beta, *, rate, epsilon):
    """Returns the normalised sum, and the sum itself in the precision of `x`."""
    total = x + drop(added + bias, keys, rate)
    wide = ops.cast(total, "float32")
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)
    return ops.cast(centred * scale * gamma + beta, x.dtype), total


@fused
def _backward(total, upstream, keys, gamma, *, rate, epsilon):
    """Returns the gradients of `x`, `added`, the bias, `gamma` and `beta`; that of the bias in float32."""
    wide, upstream = ops.cast(total, "float32"), ops.cast(upstream, "float32")
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)
    scale = ops.rsqrt(ops.mean(ops.square(centred), axis=-1, keepdims=True) + epsilon)
    normalised = centred * scale
    scaled = upstream * gamma
    mean = ops.mean(scaled, axis=-1, keepdims=True)
    along = ops.mean(scaled * normalised, axis=-1, keepdims=True)
    gradient = ops.cast((scaled - mean - normalised * along) * scale, total.dtype)
    to_added = drop(gradient, keys, rate)
    return (
        gradient,
        to_added,
        ops.sum(ops.cast(to_added, "float32"), axis=0),
        ops.sum(upstream * normalised, axis=0),
        ops.sum(upstream, axis=0),
    )


def residual_norm(x, added, bias, seed, gamma, beta, *, rate, epsilon):
    """Returns LayerNorm(x + Dropout(added + bias)); the sum alone is kept for the gradient.

    Args:
        x, added: float `(B, T, D)`.
        bias: `(D,)`, of the dtype of `added`.
        seed: int `(2,)`. Seed of the dropout.
        gamma, beta: float32 `(D,)`. Scale and offset of the layer norm, which is computed in float32.
        rate: float. Probability of zeroing an element of `added`.
        epsilon: float. Added to the variance.

    Returns:
        As `x`.
    """
    shape = ops.shape(x)
    flat = (-1, shape[-1])

    @ops.custom_gradient
    def apply(x, added, bias, gamma, beta):
        rows, keys = ops.reshape(x, flat), row_keys(seed, shape[0] * shape[1])
        result, total = _forward(rows, ops.reshape(added, flat), keys, bias, gamma, beta, rate=rate, epsilon=epsilon)

        def gradient(*arguments, upstream=None):
            upstream = ops.reshape(arguments[0] if upstream is None else upstream, flat)
            gradients = _backward(total, upstream, keys, gamma, rate=rate, epsilon=epsilon)
            to_x, to_added, to_bias, to_gamma, to_beta = gradients
            of_bias = ops.cast(to_bias, bias.dtype)
            return ops.reshape(to_x, shape), ops.reshape(to_added, shape), of_bias, to_gamma, to_beta

        return ops.reshape(result, shape), gradient

    return apply(x, added, bias, gamma, beta)
