"""Tests of arrays that are mapped while they are used."""

import copy
import gc
import pickle

import numpy as np
import pytest

from spanbert_keras.data.shards import shard_array as module
from spanbert_keras.data.shards.shard_array import ShardArray
from spanbert_keras.errors import InputError


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Function that returns the array [n, n + 1, n + 2], of which two may be mapped at once."""
    monkeypatch.setattr(module, "MAX_MAPPED", 2)
    monkeypatch.setattr(ShardArray, "_mapped", type(ShardArray._mapped)())

    def make(first):
        values = np.arange(first, first + 3, dtype=np.uint16)
        np.save(tmp_path / f"{first}.npy", values)
        return ShardArray(tmp_path / f"{first}.npy", np.uint16, 3)

    return make


def is_mapped(array):
    return array._array is not None


def test_it_is_read_like_the_array_in_its_file(make):
    array = make(7)
    assert len(array) == 3 and array.dtype == np.uint16 and not is_mapped(array)
    assert array[1:].tolist() == [8, 9] and array[0] == 7 and array[[2, 0]].tolist() == [9, 7]
    assert isinstance(array[1:], np.memmap) and is_mapped(array)
    assert np.asarray(array).dtype == np.uint16 and np.asarray(array, np.int64).dtype == np.int64
    assert np.arange(20)[array].tolist() == [7, 8, 9]
    assert array.tolist() == [7, 8, 9] and array.shape == (3,) and array.sum() == 24
    again = pickle.loads(pickle.dumps(array))
    assert again.tolist() == [7, 8, 9] and copy.copy(array)[2] == 9
    changed = np.array(array)
    changed[0] = 0
    assert array[0] == 7


def test_the_oldest_map_is_given_up_and_made_again_when_it_is_used(make):
    arrays = [make(10 * number) for number in range(4)]
    kept = arrays[0][:]
    for array in arrays[1:]:
        array[:]
    assert [is_mapped(array) for array in arrays] == [False, False, True, True]
    assert kept.tolist() == [0, 1, 2]
    assert arrays[0][:].tolist() == [0, 1, 2] and [is_mapped(array) for array in arrays] == [True, False, False, True]


def test_an_array_that_is_no_longer_used_is_not_kept(make):
    array = make(0)
    array[:]
    (reference,) = ShardArray._mapped
    del array
    gc.collect()
    assert reference() is None
    others = [make(10 * number) for number in range(1, 4)]
    assert [other[0] for other in others] == [10, 20, 30]


def test_a_file_that_does_not_fit_is_named_when_it_is_opened(make, tmp_path):
    make(0)
    with pytest.raises(InputError, match="0.npy cannot be read.*wrong array"):
        ShardArray(tmp_path / "0.npy", np.uint16, 4)
    with pytest.raises(InputError, match="none.npy cannot be read"):
        ShardArray(tmp_path / "none.npy", np.uint16, 4)
