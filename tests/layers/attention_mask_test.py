"""The attention mask and the positions against loops."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.attention_mask import AttentionMask

ROWS = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 2, 2, 2, 3, 0],
        [0, 1, 1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ]
)  # (B, T): full, padded, packed, with holes, empty


def slow(rows):
    """Returns mask (B, T, T) and positions (B, T) by the docstring, one pair of pieces at a time."""
    batch, length = rows.shape
    mask, positions = np.zeros((batch, length, length), bool), np.zeros((batch, length), int)
    for b in range(batch):
        for t in range(length):
            earlier = [u for u in range(length) if 0 < rows[b, u] < rows[b, t]]
            positions[b, t] = t - len(earlier)
            for u in range(length):
                mask[b, t, u] = rows[b, u] > 0 and rows[b, t] in (0, rows[b, u])
    return mask, positions


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_it_equals_the_loops(dtype):
    mask, positions = AttentionMask()(keras.ops.convert_to_tensor(ROWS.astype(dtype)))
    expected_mask, expected_positions = slow(ROWS)
    assert keras.backend.standardize_dtype(mask.dtype) == "bool"
    assert keras.backend.standardize_dtype(positions.dtype) == "int32"
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mask), expected_mask)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(positions), expected_positions)


def test_a_mask_of_zeros_and_ones_leaves_positions_as_they_are():
    _, positions = AttentionMask()(ROWS[[0, 1, 3]])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(positions), [list(range(7))] * 3)


def test_each_packed_block_counts_from_zero():
    _, positions = AttentionMask()(ROWS[2:3])
    assert keras.ops.convert_to_numpy(positions)[0, :6].tolist() == [0, 1, 0, 1, 2, 0]


def test_a_bool_mask_means_zeros_and_ones():
    mask, _ = AttentionMask()(ROWS[:2] > 0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mask), slow(ROWS[:2])[0])


@pytest.mark.parametrize("length", [None, 7])
def test_symbolic_shapes_are_those_of_a_call(length):
    mask, positions = AttentionMask()(keras.Input((length,), dtype="int32"))
    assert (mask.shape, mask.dtype) == ((None, length, length), "bool")
    assert (positions.shape, positions.dtype) == ((None, length), "int32")


def test_one_graph_takes_any_length():
    inputs = keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, AttentionMask()(inputs))
    for rows in (ROWS, ROWS[:, :4]):
        mask, positions = model(rows)
        expected_mask, expected_positions = slow(rows)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(mask), expected_mask)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(positions), expected_positions)


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(AttentionMask(name="mine"))
    assert isinstance(layer, AttentionMask) and layer.name == "mine" and layer.weights == []
