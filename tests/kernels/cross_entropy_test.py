"""Cross-entropy against float64, with gradients, and hits against NumPy's argmax."""

import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels.cross_entropy import fused_cross_entropy, is_largest

N, V = 7, 50


@pytest.mark.parametrize("traced", [True, False])
def test_value_and_gradient_are_exact(value_and_gradients, fuse_all, rng, traced):
    logits, ids, upstream = 20.0 * rng.normal(size=(N, V)), rng.integers(0, V, N), rng.normal(size=N)
    shifted = logits - logits.max(1, keepdims=True)
    softmax = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    ids32 = ops.convert_to_tensor(ids.astype("int32"))
    y, gradient = value_and_gradients(lambda x: fused_cross_entropy(x, ids32), [logits], upstream, traced)
    np.testing.assert_allclose(y, -np.log(softmax[np.arange(N), ids]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(gradient, (softmax - np.eye(V)[ids]) * upstream[:, None], rtol=1e-5, atol=1e-6)


def test_a_hit_is_the_first_of_the_largest(rng):
    logits = rng.integers(0, 4, (200, 9)).astype("float32")  # with many ties
    for ids in (logits.argmax(1), rng.integers(0, 9, 200)):
        hits = ops.convert_to_numpy(is_largest(ops.convert_to_tensor(logits), ops.cast(ids, "int32")))
        assert hits.tolist() == (logits.argmax(1) == ids).tolist()
