"""Bias and GELU against float64, with gradients."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels.gelu import bias_gelu

phi = np.vectorize(lambda x: 0.5 * (1.0 + math.erf(x / math.sqrt(2.0))))


@pytest.mark.parametrize("traced", [True, False])
def test_value_and_gradients_are_exact(value_and_gradients, fuse_all, rng, traced):
    x, bias, upstream = 2.0 * rng.normal(size=(2, 5, 16)), rng.normal(size=16), rng.normal(size=(2, 5, 16))
    z = x + bias
    slope = upstream * (phi(z) + z * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi))
    y, to_x, to_bias = value_and_gradients(bias_gelu, [x, bias], upstream, traced)
    np.testing.assert_allclose(y, z * phi(z), atol=1e-6)
    np.testing.assert_allclose(to_x, slope, atol=1e-6)
    np.testing.assert_allclose(to_bias, slope.sum((0, 1)), atol=1e-5)


def test_bfloat16_is_rounded_once():
    x = ops.cast(np.linspace(-4.0, 4.0, 97, dtype="float32"), "bfloat16")
    wide = ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")
    y = ops.convert_to_numpy(ops.cast(bias_gelu(ops.reshape(x, (1, 97)), ops.zeros(97, "bfloat16")), "float32"))[0]
    np.testing.assert_allclose(y, wide * phi(wide), rtol=2**-8, atol=1e-6)
    assert keras.backend.standardize_dtype(x.dtype) == "bfloat16"
