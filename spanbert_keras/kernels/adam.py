"""The update of AdamW, fused: one pass over a weight and its moments."""

import functools

from spanbert_keras.kernels.fusion import SMALLEST, fusion_applies


@functools.cache
def _compiled(beta_1: float, beta_2: float, epsilon: float, decay: float):
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def update(variable, moment, square, gradient, factor, rate, corrected_rate):
        places = (variable, moment, square)
        read = [tf.raw_ops.ReadVariableOp(resource=place, dtype=gradient.dtype) for place in places]
        w, m, v = (tf.ensure_shape(value, gradient.shape) for value in read)
        gradient *= factor
        m += (gradient - m) * (1 - beta_1)
        v += (tf.square(gradient) - v) * (1 - beta_2)
        w -= w * (decay * rate)
        w -= m * corrected_rate / (tf.sqrt(v) + epsilon)
        for place, value in zip(places, (w, m, v), strict=True):
            tf.raw_ops.AssignVariableOp(resource=place, value=value)

    return update


def fused_adam(variable, moment, square, gradient, factor, rates, *, beta_1, beta_2, epsilon, decay) -> bool:
    """Updates a weight and its moments by AdamW; returns `False`, with nothing done, where the fusion does not apply.

    Args:
        variable, moment, square: `keras.Variable` of the same shape, float32.
        gradient: float32 tensor of that shape.
        factor: float32 scalar, by which the gradient is multiplied.
        rates: pair of float32 scalars: the learning rate, by which `decay` is multiplied, and the one whose bias is
            corrected.
        beta_1, beta_2, epsilon: float. As for `keras.optimizers.Adam`.
        decay: float. Weight decay.

    Reference: Loshchilov and Hutter, 2019.
    """
    size = 1
    for length in variable.shape:
        size *= length
    if size < SMALLEST or variable.dtype != "float32" or not fusion_applies():
        return False
    places = [x.handle for x in (variable, moment, square)]
    _compiled(beta_1, beta_2, epsilon, decay)(*places, gradient, factor, *rates)
    return True
