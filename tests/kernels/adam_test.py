"""The fused update against NumPy, also on the replicas of a strategy."""

import keras
import numpy as np
import pytest

from spanbert_keras.kernels import adam
from spanbert_keras.kernels.adam import fused_adam

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow's update is fused")
SETTINGS = {"beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-6, "decay": 0.1}


def variables(rng, shape=(6, 5)):
    return [keras.Variable(np.abs(rng.normal(size=shape)).astype("float32")) for _ in range(3)]


def test_it_is_adams_update_with_decoupled_decay(monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(adam, "SMALLEST", 1)
    rng = np.random.default_rng(0)
    places, gradient = variables(rng), rng.normal(size=(6, 5)).astype("float32")
    w, m, v = (np.array(x) for x in places)
    factor, rate, corrected = 0.5, 1e-2, 3e-2

    @tf.function(autograph=False)
    def update(gradient):
        return fused_adam(
            *places, gradient, tf.constant(factor), (tf.constant(rate), tf.constant(corrected)), **SETTINGS
        )

    assert bool(update(gradient))
    scaled = factor * gradient
    m += 0.1 * (scaled - m)
    v += 0.01 * (scaled**2 - v)
    w = w - 0.1 * rate * w - corrected * m / (np.sqrt(v) + 1e-6)
    for found, expected in zip(places, (w, m, v), strict=True):
        np.testing.assert_allclose(np.array(found), expected, rtol=1e-6, atol=1e-7)


def test_small_weights_and_eager_calls_are_left_to_keras():
    rng = np.random.default_rng(0)
    places, gradient = variables(rng), np.ones((6, 5), "float32")
    before = np.array(places[0])
    assert fused_adam(*places, gradient, 1.0, (1.0, 1.0), **SETTINGS) is False
    np.testing.assert_array_equal(np.array(places[0]), before)
