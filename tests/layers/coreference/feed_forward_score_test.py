"""One hidden layer and a score against NumPy. I 5 inputs, F 7."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.coreference.feed_forward_score import FeedForwardScore

I, F = 5, 7  # noqa: E741


@pytest.fixture
def scorer(randomize):
    """A built layer full of noise, and its weights."""
    layer = FeedForwardScore(F, 0.5)
    layer.build((None, I))
    return layer, randomize(layer)


def slow(x, weights):
    hidden = x @ weights["hidden/kernel"] + weights["hidden/bias"]
    return (np.where(hidden > 0, hidden, 0.0) @ weights["out/kernel"] + weights["out/bias"])[..., 0]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_it_is_a_hidden_layer_with_relu_and_a_score(scorer, to_numpy, rng, shape):
    layer, weights = scorer
    x = rng.normal(size=(*shape, I))
    found = layer(x.astype("float32"))
    assert tuple(found.shape) == shape
    np.testing.assert_allclose(to_numpy(found), slow(x, weights), atol=2e-6)


def test_the_hidden_layer_may_be_summed_from_its_parts(scorer, to_numpy, rng):
    layer, weights = scorer
    x = rng.normal(size=(6, I))
    parts = [to_numpy(part) for part in layer.parts(2, 1, 2)]
    assert [part.shape for part in parts] == [(2, F), (1, F), (2, F)]
    np.testing.assert_array_equal(np.concatenate(parts), weights["hidden/kernel"])
    hidden = x[:, :2] @ parts[0] + x[:, 2:3] @ parts[1] + x[:, 3:] @ parts[2] + weights["hidden/bias"]
    np.testing.assert_allclose(to_numpy(layer.score(hidden.astype("float32"))), slow(x, weights), atol=2e-6)


def test_dropout_is_of_the_hidden_layer_and_in_training_only(scorer, to_numpy):
    """The input is fixed, so a score in training is a sum over the hidden numbers of 0 or twice each."""
    layer, weights = scorer
    x = np.ones((400, I))
    exact = slow(x, weights)
    for training in (None, False):
        np.testing.assert_allclose(to_numpy(layer(x.astype("float32"), training=training)), exact, atol=2e-6)
    hidden = np.maximum(x[0] @ weights["hidden/kernel"] + weights["hidden/bias"], 0.0)
    terms = 2.0 * hidden * weights["out/kernel"][:, 0]
    possible = np.array([terms @ [n >> f & 1 for f in range(F)] for n in range(2**F)]) + weights["out/bias"]
    found = to_numpy(layer(x.astype("float32"), training=True))
    assert np.abs(found[:, None] - possible).min(-1).max() < 1e-5
    assert len(np.unique(found.round(4))) > 3
    np.testing.assert_allclose(found.mean(), exact[0], atol=5 * found.std() / 20)


def test_it_computes_in_float32_under_every_policy_of_the_process():
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        layer = FeedForwardScore(F)
        found = layer(np.ones((2, I), "float32"))
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert {keras.backend.standardize_dtype(w.dtype) for w in layer.trainable_weights} == {"float32"}
    assert layer.hidden.compute_dtype == layer.out.compute_dtype == "float32"


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_parts_of_a_quantized_layer_are_its_kernel_with_scales(randomize, mode):
    layer = FeedForwardScore(8)
    layer.build((None, 6))
    randomize(layer)
    exact = keras.ops.convert_to_numpy(layer.hidden.kernel)
    layer.hidden.quantize(mode)
    parts = [keras.ops.convert_to_numpy(part) for part in layer.parts(4, 2)]
    assert [part.shape for part in parts] == [(4, 8), (2, 8)]
    off = {"int8": 0.01, "int4": 0.2, "float8": 0.1}[mode]
    np.testing.assert_allclose(np.concatenate(parts), exact, atol=off * np.abs(exact).max())


def test_initial_weights_are_berts_and_differ():
    layer = FeedForwardScore(3000)
    layer.build((None, 40))
    hidden, out = (keras.ops.convert_to_numpy(d.kernel) for d in (layer.hidden, layer.out))
    assert abs(hidden.std() - 0.02) < 3e-4 and abs(out.std() - 0.02) < 2e-3
    assert (hidden[0] != out[:, 0]).any()
    assert not keras.ops.convert_to_numpy(layer.hidden.bias).any()


def test_symbolic_shapes_are_those_of_a_call(scorer):
    assert scorer[0](keras.KerasTensor((None, 4, I))).shape == (None, 4)


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(FeedForwardScore(9, 0.25, name="mine"))
    assert (layer.hidden_dim, layer.dropout, layer.hidden_dropout.rate, layer.name) == (9, 0.25, 0.25, "mine")
    assert (FeedForwardScore().hidden_dim, FeedForwardScore().dropout) == (3000, 0.3)
