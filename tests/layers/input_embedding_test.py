"""Positions, segments, normalisation: against NumPy. B 2, T 5, D 6, 9 positions, 3 segments."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.input_embedding import InputEmbedding

B, T, D, POSITIONS, SEGMENTS = 2, 5, 6, 9, 3


@pytest.fixture
def inputs(rng):
    segments = rng.integers(0, SEGMENTS, (B, T)).astype("int32")
    positions = np.stack([rng.permutation(POSITIONS)[:T] for _ in range(B)]).astype("int32")
    return rng.normal(size=(B, T, D)), segments, positions


def built(dtype="float32", dropout=0.1, **kwargs):
    layer = InputEmbedding(POSITIONS, SEGMENTS, dropout, dtype=dtype, **kwargs)
    layer.build((None, None, D))
    return layer


def test_it_equals_float64_under_every_policy(oracle, randomize, to_numpy, inputs, policy):
    (x, segments, positions), (name, tolerance) = inputs, policy
    layer = built(name)
    weights = randomize(layer)
    total = x + weights["position_embeddings"][positions] + weights["segment_embeddings"][segments]
    expected = oracle.layer_norm(total, weights["norm/gamma"], weights["norm/beta"])
    y = layer(x.astype("float32"), segments, positions)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    np.testing.assert_allclose(to_numpy(y), expected, atol=tolerance)


def test_weights_begin_as_in_bert():
    keras.utils.set_random_seed(1)  # a spread of 18 numbers is out of bounds once in some hundred runs
    layer = built()
    shapes = {weight.path.split("/", 1)[1]: tuple(weight.shape) for weight in layer.weights}
    assert shapes == {
        "position_embeddings": (POSITIONS, D),
        "segment_embeddings": (SEGMENTS, D),
        "norm/gamma": (D,),
        "norm/beta": (D,),
    }
    assert 0.01 < keras.ops.convert_to_numpy(layer.position_embeddings).std() < 0.03
    assert 0.01 < keras.ops.convert_to_numpy(layer.segment_embeddings).std() < 0.03


def test_dropout_acts_only_in_training(randomize, to_numpy, inputs):
    x, segments, positions = inputs
    layer = built(dropout=0.5)
    randomize(layer)
    still = to_numpy(layer(x.astype("float32"), segments, positions, training=False))
    dropped = to_numpy(layer(x.astype("float32"), segments, positions, training=True))
    zeros = dropped == 0.0
    assert 0.2 < zeros.mean() < 0.8
    np.testing.assert_allclose(dropped[~zeros], 2.0 * still[~zeros], rtol=1e-5)  # after the normalisation


def test_a_row_longer_than_the_table_is_rejected():
    ids = np.zeros((B, POSITIONS + 1), "int32")
    with pytest.raises(ValueError, match=f"max_sequence_length={POSITIONS} tokens. Received: {POSITIONS + 1}"):
        built()(np.zeros((B, POSITIONS + 1, D), "float32"), ids, ids)


def test_symbolic_shapes_are_those_of_a_call():
    for length in (None, T):
        ids = keras.KerasTensor((None, length), dtype="int32")
        y = built("mixed_bfloat16")(keras.KerasTensor((None, length, D)), ids, ids)
        assert (y.shape, y.dtype) == ((None, length, D), "bfloat16")


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(InputEmbedding(POSITIONS, SEGMENTS, 0.2, name="mine"))
    assert (layer.max_sequence_length, layer.num_segments, layer.name) == (POSITIONS, SEGMENTS, "mine")
    assert layer.dropout_layer.rate == 0.2
