"""The product with the embedding matrix, with gradients."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels.tied_logits import tied_logits

B, M, D, V = 2, 3, 8, 21


@pytest.mark.parametrize("traced", [True, False])
def test_value_and_gradients_are_those_of_the_product(value_and_gradients, rng, traced):
    x, matrix, bias = rng.normal(size=(B, M, D)), rng.normal(size=(V, D)), rng.normal(size=V)
    upstream = rng.normal(size=(B, M, V))
    y, to_x, to_matrix, to_bias = value_and_gradients(tied_logits, [x, matrix, bias], upstream, traced)
    np.testing.assert_allclose(y, x @ matrix.T + bias, atol=1e-5)
    np.testing.assert_allclose(to_x, upstream @ matrix, atol=1e-5)
    np.testing.assert_allclose(to_matrix, np.einsum("bmv,bmd->vd", upstream, x), atol=1e-5)
    np.testing.assert_allclose(to_bias, upstream.sum((0, 1)), atol=1e-5)


def test_logits_are_float32_whatever_the_input(rng):
    x = ops.cast(rng.normal(size=(B, M, D)), "bfloat16")
    matrix = rng.normal(size=(V, D)).astype("float32")
    logits = tied_logits(x, ops.convert_to_tensor(matrix), ops.zeros(V))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    wide = ops.convert_to_numpy(ops.cast(x, "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(logits), wide @ matrix.T, atol=1e-5)
