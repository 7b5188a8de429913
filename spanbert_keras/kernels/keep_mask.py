"""Which elements dropout keeps, as a function of a seed and of each element's place."""

import numpy as np
from keras import ops
from keras.backend import standardize_dtype

from spanbert_keras.kernels.fusion import fused

GOLDEN = np.uint32(0x9E3779B9)
# Shifts and odd factors of a 32-bit hash that is a bijection and changes half of the bits, nearly without bias.
FIRST_FACTOR, SECOND_FACTOR = np.uint32(0x21F0AAAD), np.uint32(0xD35A2D97)


def _constant(value):
    return ops.convert_to_tensor(np.uint32(value), "uint32")


def _shifted(x, bits):
    return ops.bitwise_xor(x, ops.right_shift(x, _constant(bits)))


def _hash(x):
    x = _shifted(x, 16) * _constant(FIRST_FACTOR)
    x = _shifted(x, 15) * _constant(SECOND_FACTOR)
    return _shifted(x, 15)


def row_keys(seed, count):
    """Returns a key for each row, of both words of the seed and the row's number.

    Args:
        seed: int `(2,)`. Two words of 32 bits.
        count: int. N, number of rows.

    Returns:
        uint32 `(N,)`.
    """
    seed = ops.cast(seed, "uint32")
    rows = ops.cast(ops.arange(count, dtype="int32"), "uint32")
    return _hash(ops.bitwise_xor(_hash(rows * _constant(GOLDEN) + seed[0]), seed[1]))


def keep_mask(keys, columns, rate):
    """Returns which elements of each row dropout keeps: each with probability 1 - `rate`, rounded to 2^-32.

    The bits come from a counter, not from a stream: the same row and column get the same bit in the forward and in the
    backward pass, in any division of the rows and on every backend, and nothing of the mask's size is stored.

    Args:
        keys: uint32 `(N,)`. From `row_keys`.
        columns: int. Elements of each row.
        rate: float. Probability of zeroing an element.

    Returns:
        bool `(N, columns)`.
    """
    places = ops.cast(ops.arange(columns, dtype="int32"), "uint32") * _constant(GOLDEN)
    bits = _hash(ops.bitwise_xor(ops.expand_dims(keys, 1), ops.expand_dims(places, 0)))
    return ops.greater_equal(bits, _constant(min(round(rate * 2**32), 2**32 - 1)))


def drop(x, keys, rate):
    """Returns `x` `(N, C)` with the elements that dropout leaves out zeroed, and the others divided by 1 - `rate`.

    By a factor in float32: in bfloat16, 1 / 0.9 is 0.16 % too small.
    """
    if not rate:
        return x
    kept = keep_mask(keys, ops.shape(x)[-1], rate)
    wide = x if standardize_dtype(x.dtype) == "float64" else ops.cast(x, "float32")
    grown = ops.cast(wide * (1.0 / (1.0 - rate)), x.dtype)
    return ops.where(kept, grown, ops.zeros((), x.dtype))


_fused_drop = fused(drop)


def dropped(x, keys, *, rate):
    """Returns `drop` of `x`; its gradient draws the mask again."""

    @ops.custom_gradient
    def apply(x, keys):  # keys, too: JAX does not find what a function takes from around it when it is recomputed
        def gradient(*arguments, upstream=None):
            return _fused_drop(arguments[0] if upstream is None else upstream, keys, rate=rate), None

        return _fused_drop(x, keys, rate=rate), gradient

    return apply(x, keys)
