"""GELU, layer normalisation, initial weights, gathering: against NumPy."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers import functional


def test_gelu_is_x_times_the_normal_distribution(oracle, to_numpy):
    x = np.linspace(-6.0, 6.0, 241)
    y = functional.gelu(keras.ops.convert_to_tensor(x, "float32"))
    np.testing.assert_allclose(to_numpy(y), oracle.gelu(x), atol=1e-6)


def test_gelu_is_not_the_tanh_approximation(oracle):
    x = np.linspace(-4.0, 4.0, 161)
    tanh = 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))
    assert 4e-4 < np.abs(oracle.gelu(x) - tanh).max() < 6e-4  # so the test above tells them apart
    one = keras.ops.convert_to_numpy(functional.gelu(keras.ops.convert_to_tensor(1.0)))
    np.testing.assert_allclose(one, 0.8413447, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_gelu_keeps_the_dtype_and_stays_finite(dtype):
    y = functional.gelu(keras.ops.convert_to_tensor([-300.0, -1.0, 0.0, 300.0], dtype))
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")))
    assert values[0] == 0.0 and values[3] == 300.0 and np.isfinite(values).all()


def test_gelu_can_be_named_in_a_saved_file():
    assert keras.saving.get_registered_name(functional.gelu) == "spanbert_keras>gelu"


def test_layer_norm_equals_float64(oracle, randomize, to_numpy, rng):
    x = rng.normal(3.0, 2.0, (2, 5, 7))
    layer = functional.layer_norm("float32", "norm")
    layer.build(x.shape)
    weights = randomize(layer)
    expected = oracle.layer_norm(x, weights["gamma"], weights["beta"])
    np.testing.assert_allclose(to_numpy(layer(x.astype("float32"))), expected, atol=2e-6)


def test_layer_norm_has_berts_epsilon(to_numpy):
    layer = functional.layer_norm("float32", "norm")
    x = np.array([[-1e-4, 1e-4]], "float32")  # variance 1e-8: Keras' own epsilon of 1e-3 would flatten it
    np.testing.assert_allclose(to_numpy(layer(x)), [[-1.0, 1.0]], atol=1e-3)


def test_initial_weights_are_normal_with_deviation_0_02_and_differ():
    first, second = (keras.ops.convert_to_numpy(functional.initializer()((300, 400))) for _ in range(2))
    assert abs(first.std() - 0.02) < 2e-4 and abs(first.mean()) < 3e-4
    assert np.abs(first).max() > 0.04  # not truncated at two deviations
    assert (first != second).mean() > 0.99


def test_gather_positions_picks_vectors(oracle, to_numpy, rng):
    sequence = rng.normal(size=(3, 7, 4)).astype("float32")
    positions = rng.integers(0, 7, (3, 5))
    for dtype in ("int32", "int64"):
        gathered = functional.gather_positions(
            keras.ops.convert_to_tensor(sequence), keras.ops.convert_to_tensor(positions.astype(dtype))
        )
        np.testing.assert_array_equal(to_numpy(gathered), oracle.pick(sequence, positions))
