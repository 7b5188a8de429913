"""Bias and exact GELU, fused. Shape letters: N rows, I width."""

import math

from keras import ops

from spanbert_keras.kernels.fusion import fused


@fused
def _forward(x, bias):
    wide = ops.cast(x + bias, "float32")
    return ops.cast(0.5 * wide * (1.0 + ops.erf(wide * math.sqrt(0.5))), x.dtype)


@fused
def _backward(x, upstream, bias):
    """Returns the gradients of `x` and of the bias."""
    wide = ops.cast(x + bias, "float32")
    distribution = 0.5 * (1.0 + ops.erf(wide * math.sqrt(0.5)))
    density = ops.exp(-0.5 * wide * wide) * (1.0 / math.sqrt(2.0 * math.pi))
    gradient = ops.cast(upstream, "float32") * (distribution + wide * density)
    return ops.cast(gradient, x.dtype), ops.cast(ops.sum(gradient, axis=0), bias.dtype)


def bias_gelu(x, bias):
    """Returns GELU(x + bias), x Phi(x) computed in float32; only `x` is kept for the gradient.

    Args:
        x: float `(..., I)`.
        bias: `(I,)`, of the dtype of `x`.

    Returns:
        As `x`.

    Reference: Hendrycks and Gimpel, 2016.
    """
    shape = ops.shape(x)
    flat = (-1, shape[-1])

    @ops.custom_gradient
    def apply(x, bias):
        rows = ops.reshape(x, flat)

        def gradient(*arguments, upstream=None):
            upstream = ops.reshape(arguments[0] if upstream is None else upstream, flat)
            to_x, to_bias = _backward(rows, upstream, bias)
            return ops.reshape(to_x, shape), to_bias

        return ops.reshape(_forward(rows, bias), shape), gradient

    return apply(x, bias)
