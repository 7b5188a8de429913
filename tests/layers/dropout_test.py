"""Dropout: in training alone, another mask each time, the same one from the same seed."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.dropout import Dropout


def test_it_acts_in_training_alone_and_keeps_the_mean(to_numpy):
    layer, x = Dropout(0.25), np.ones((400, 50), "float32")
    np.testing.assert_array_equal(to_numpy(layer(x)), x)
    y = to_numpy(layer(x, training=True))
    np.testing.assert_allclose(np.unique(y), [0.0, 1 / 0.75], rtol=1e-6)
    assert abs(y.mean() - 1.0) < 0.02


def test_each_call_draws_another_mask(to_numpy):
    layer, x = Dropout(0.5, seed=3), np.ones((8, 64), "float32")
    first, second = (to_numpy(layer(x, training=True)) for _ in range(2))
    assert 0.3 < (first != second).mean() < 0.7


def test_a_drawn_seed_gives_the_same_mask_and_is_not_drawn_again(to_numpy):
    if keras.backend.backend() == "torch":
        pytest.skip("torch draws its dropout itself")
    layer, x = Dropout(0.5, seed=3), np.ones((8, 64), "float32")
    seed = layer.drawn_seed()
    state = to_numpy(layer.seed_generator.state)
    first, second = (to_numpy(layer(x, training=True, seed=seed)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(state, to_numpy(layer.seed_generator.state))
    assert 0.3 < (first != to_numpy(layer(x, training=True))).mean() < 0.7
    other = Dropout(0.5, seed=3)  # the seed that a call draws by itself
    np.testing.assert_array_equal(first, to_numpy(other(x, training=True)))


@pytest.mark.parametrize("shape", [(64,), (2, 3, 4, 16)])
def test_shapes_of_any_rank_are_kept(to_numpy, shape):
    assert to_numpy(Dropout(0.5)(np.ones(shape, "float32"), training=True)).shape == shape
