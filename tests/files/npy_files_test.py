"""Arrays are opened as NumPy would, and damaged files give one sentence."""

import numpy as np
import pytest

from spanbert_keras.files.npy_files import open_npy

VALUES = np.arange(300, dtype=np.int64)


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    return tmp_path / "a.npy"


def test_an_array_is_a_read_only_memory_map(path):
    found = open_npy(path, np.int64, 300)
    assert isinstance(found, np.memmap) and np.array_equal(found, VALUES) and np.array_equal(np.load(path), found)
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 1


def test_an_empty_array_can_be_opened(tmp_path):
    np.save(tmp_path / "a.npy", VALUES[:0])
    assert open_npy(tmp_path / "a.npy", np.int64, 0).shape == (0,)


@pytest.mark.parametrize(
    ("dtype", "length", "sentence"),
    [
        (np.int32, None, r"wrong array. Expected: int32 \(any length,\). Received: int64 \(300,\)"),
        (np.int64, 299, r"Expected: int64 \(299,\)"),
    ],
)
def test_another_array_is_rejected(path, dtype, length, sentence):
    with pytest.raises(ValueError, match=sentence):
        open_npy(path, dtype, length)


def test_arrays_of_more_dimensions_and_of_objects_are_rejected(tmp_path):
    for number, values in enumerate((VALUES.reshape(3, 100), np.array([{}, {}], object))):
        np.save(tmp_path / f"{number}.npy", values)
        with pytest.raises(ValueError, match="wrong array"):
            open_npy(tmp_path / f"{number}.npy", np.int64)


def test_a_size_that_differs_from_the_header_is_rejected_before_anything_is_read(path):
    content = path.read_bytes()
    for damaged in (content[:-1], content + b"x", content.replace(b"(300,)", b"(9e9,)").replace(b"9e9", b"400")):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="size differs from its header's"):
            open_npy(path, np.int64)


def test_every_damage_of_the_header_gives_one_sentence_or_the_same_array(path):
    content = path.read_bytes()
    random = np.random.default_rng(1)
    rejected = 0
    for place in range(128):
        damaged = bytearray(content)
        damaged[place] = random.integers(256)
        path.write_bytes(damaged)
        try:
            assert np.array_equal(open_npy(path, np.int64, 300), VALUES)
        except ValueError as error:
            rejected += 1
            assert "\n" not in str(error) and len(str(error)) < 300
    assert rejected > 50
