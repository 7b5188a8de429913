"""Dropout, addition and layer norm together against the same steps one by one."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels.keep_mask import keep_mask, row_keys
from spanbert_keras.kernels.residual_norm import residual_norm

pytestmark = pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch runs the layers one by one")
B, T, D = 2, 3, 24
SEED = np.array([11, 5], "int64")


def step_by_step(rate):
    def compute(x, added, bias, gamma, beta):
        added = added + bias
        if rate:
            kept = ops.reshape(keep_mask(row_keys(SEED, B * T), D, rate), (B, T, D))
            added = ops.where(kept, added / (1.0 - rate), 0.0)
        total = x + added
        mean = ops.mean(total, -1, keepdims=True)
        variance = ops.mean(ops.square(total - mean), -1, keepdims=True)
        return (total - mean) / ops.sqrt(variance + 1e-12) * gamma + beta

    return compute


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_value_and_gradients_equal_those_of_the_steps(value_and_gradients, fuse_all, rng, rate, traced):
    arrays = [rng.normal(size=shape) for shape in ((B, T, D), (B, T, D), D, D, D)]
    upstream = rng.normal(size=(B, T, D))

    def fused(x, added, bias, gamma, beta):
        return residual_norm(x, added, bias, SEED, gamma, beta, rate=rate, epsilon=1e-12)

    found = value_and_gradients(fused, arrays, upstream, traced)
    expected = value_and_gradients(step_by_step(rate), arrays, upstream, traced)
    for name, a, b in zip(("value", "x", "added", "bias", "gamma", "beta"), found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5, err_msg=name)
