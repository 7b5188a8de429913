"""Dropout's masks: their law, and that they depend on seed and place alone."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels.keep_mask import drop, dropped, keep_mask, row_keys

pytestmark = pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch draws its dropout itself")
ROWS, COLUMNS = 512, 1024


def mask_of(seed, rows=ROWS, columns=COLUMNS, rate=0.1):
    return ops.convert_to_numpy(keep_mask(row_keys(np.array(seed, "int64"), rows), columns, rate))


def reference(seed, rows, columns, rate):
    """The same by Python's integers."""

    def mix(x):
        x = (x ^ (x >> 16)) * 0x21F0AAAD % 2**32
        x = (x ^ (x >> 15)) * 0xD35A2D97 % 2**32
        return x ^ (x >> 15)

    golden = 0x9E3779B9
    keys = [mix(mix((row * golden + seed[0]) % 2**32) ^ seed[1]) for row in range(rows)]
    return [[mix(key ^ (column * golden % 2**32)) >= round(rate * 2**32) for column in range(columns)] for key in keys]


@pytest.mark.parametrize("seed", [(0, 0), (7, 2**31 + 5), (2**32 - 1, 12345)])
def test_masks_are_those_of_the_definition(seed):
    assert mask_of(seed, 9, 33, 0.3).tolist() == reference(seed, 9, 33, 0.3)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5])
def test_each_element_is_kept_with_its_probability(rate):
    kept = mask_of((3, 9), rate=rate)
    spread = np.sqrt(rate * (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 4 * spread / np.sqrt(kept.size)
    for axis in (0, 1):  # by column and by row, whose means have the spread of independent draws
        means = kept.mean(axis)
        assert means.std() * np.sqrt(kept.shape[axis]) / spread == pytest.approx(1.0, abs=0.1)


def test_neighbours_rows_and_seeds_are_independent():
    kept = mask_of((3, 9)) - 0.9
    pairs = {
        "columns": (kept[:, 1:], kept[:, :-1]),
        "rows": (kept[1:], kept[:-1]),
        "first word of the seed": (kept, mask_of((4, 9)) - 0.9),
        "second word of the seed": (kept, mask_of((3, 10)) - 0.9),
    }
    for name, (a, b) in pairs.items():
        assert abs((a * b).mean()) < 4 * 0.09 / np.sqrt(a.size), name


def test_a_row_depends_on_its_number_alone():
    np.testing.assert_array_equal(mask_of((5, 6), 7, 20), mask_of((5, 6), 64, 50)[:7, :20])


def test_dropped_elements_are_zero_and_the_others_scaled(value_and_gradients, fuse_all, rng):
    x, upstream = rng.normal(size=(6, 40)), rng.normal(size=(6, 40))
    seed = np.array([1, 2], "int64")
    y, gradient = value_and_gradients(lambda x: dropped(x, row_keys(seed, 6), rate=0.25), [x], upstream)
    kept = np.array(reference((1, 2), 6, 40, 0.25))
    np.testing.assert_allclose(y, np.where(kept, x / 0.75, 0.0), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.where(kept, upstream / 0.75, 0.0), rtol=1e-5)


def test_rate_zero_leaves_everything():
    x = np.ones((2, 3), "float32")
    assert drop(x, None, 0.0) is x


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_keeps_the_mean(dtype):
    """A factor of 1 / 0.9 that is rounded to bfloat16 would be 0.16 % too small."""
    x = ops.cast(ops.convert_to_tensor(np.linspace(1.0, 2.0, 2**16, dtype="float32").reshape(256, 256)), dtype)
    y = ops.convert_to_numpy(ops.cast(drop(x, row_keys(np.array([1, 2]), 256), 0.1), "float32"))
    ratios = (y / ops.convert_to_numpy(ops.cast(x, "float32")))[y > 0]
    assert ratios.mean() == pytest.approx(1 / 0.9, rel=3e-4)
