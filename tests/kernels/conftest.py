"""Gradients on every backend, and functions run as a training step runs them: traced, with the fusion applied."""

import keras
import numpy as np
import pytest

from spanbert_keras.kernels import fusion


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def fuse_all(monkeypatch):
    """Fuses functions of any size."""
    monkeypatch.setattr(fusion, "SMALLEST", 1)


def _with_tensorflow(function, arrays, upstream):
    import tensorflow as tf

    inputs = [tf.convert_to_tensor(x) for x in arrays]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
    return y, tape.gradient(y, inputs, tf.cast(upstream, y.dtype))


def _with_jax(function, arrays, upstream):
    import jax

    y, backward = jax.vjp(function, *(jax.numpy.asarray(x) for x in arrays))
    return y, backward(jax.numpy.asarray(upstream).astype(y.dtype))


def _with_torch(function, arrays, upstream):
    import torch

    inputs = [torch.tensor(x, requires_grad=True) for x in arrays]
    y = function(*inputs)
    return y.detach(), torch.autograd.grad(y, inputs, torch.tensor(upstream).to(y.dtype))


@pytest.fixture
def value_and_gradients():
    """Returns a function: value and gradients of a function of arrays, given the gradient of its value."""

    def compute(function, arrays, upstream, traced=True):
        backend = keras.backend.backend()
        arrays = [np.asarray(x, "float32") for x in arrays]
        upstream = np.asarray(upstream, "float32")
        if backend == "jax":
            y, gradients = _with_jax(function, arrays, upstream)
        elif backend == "torch":
            y, gradients = _with_torch(function, arrays, upstream)
        elif traced:
            import tensorflow as tf

            call = tf.function(lambda *x: _with_tensorflow(function, x, upstream), autograph=False)
            y, gradients = call(*(tf.constant(x) for x in arrays))
        else:
            y, gradients = _with_tensorflow(function, arrays, upstream)
        return [keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in (y, *gradients)]

    return compute
