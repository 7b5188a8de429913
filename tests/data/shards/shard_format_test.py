"""Tests of the files of token shards."""

import hashlib

import numpy as np
import pytest

from spanbert_keras.data.shards import shard_format
from spanbert_keras.data.shards.shard_format import ArrayFile
from spanbert_keras.errors import InputError


def test_array_files_are_ordinary_npy_files(tmp_path):
    file = ArrayFile(tmp_path / "a.npy", np.uint16)
    for part in (np.arange(3), np.zeros(0, np.int64), np.arange(70_000) % 65_536):
        file.append(part)
    assert not (tmp_path / "a.npy").exists()
    entry = file.close()
    expected = np.concatenate([np.arange(3), np.arange(70_000) % 65_536]).astype(np.uint16)
    loaded = np.load(tmp_path / "a.npy")
    assert loaded.dtype == np.uint16 and np.array_equal(loaded, expected)
    np.save(tmp_path / "b.npy", expected)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    content = (tmp_path / "a.npy").read_bytes()
    assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "b.npy"]


def test_an_abandoned_file_leaves_nothing(tmp_path):
    file = ArrayFile(tmp_path / "a.npy", np.int64)
    file.append(np.arange(5))
    file.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_piece_takes_two_bytes_if_they_are_enough():
    assert shard_format.piece_dtype(65_536) == np.uint16 and shard_format.piece_dtype(65_537) == np.uint32


@pytest.mark.parametrize(
    "content, said", [(None, "missing"), (b"abc", "incomplete.*4 bytes.*3 bytes"), (b"abcx", "damaged.*SHA-256")]
)
def test_files_are_checked_against_their_entry(tmp_path, content, said):
    path = tmp_path / "a.npy"
    path.write_bytes(b"abcd")
    entry = shard_format.file_entry(path)
    shard_format.check_content(path, entry)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.npy.*{said}"):
        shard_format.check_content(path, entry)


@pytest.mark.parametrize(
    "array, said",
    [(np.zeros(3, np.uint16), r"\(4,\).*\(3,\)"), (np.zeros(4, np.int32), "uint16.*int32"), (None, "cannot be read")],
)
def test_opening_another_array_is_rejected(tmp_path, array, said):
    path = tmp_path / "a.npy"
    if array is None:
        path.write_bytes(b"no array")
    else:
        np.save(path, array)
    with pytest.raises(InputError, match=rf"a\.npy.*{said}"):
        shard_format.open_array(path, np.uint16, 4)


def test_opening_maps_the_file(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(4, dtype=np.uint16))
    array = shard_format.open_array(tmp_path / "a.npy", np.uint16, 4)
    assert isinstance(array, np.memmap) and array.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError):
        array[0] = 1
