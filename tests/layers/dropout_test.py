"""Dropout: in training alone, another mask each time, the same one from the same seed."""

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


@pytest.mark.parametrize("shape", [(64,), (2, 3, 4, 16)])
def test_shapes_of_any_rank_are_kept(to_numpy, shape):
    assert to_numpy(Dropout(0.5)(np.ones(shape, "float32"), training=True)).shape == shape
