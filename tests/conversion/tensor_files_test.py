"""Tests of finding and reading files of tensors."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from spanbert_keras.conversion.tensor_files import find_tensor_files, read_safetensors, read_tensors, state_of
from spanbert_keras.errors import InputError


def test_safetensors_come_before_pickles_and_whole_files_before_parts(tmp_path):
    assert find_tensor_files(tmp_path) == []
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": "b.bin", "y": "a.bin"}}))
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).touch()
    assert find_tensor_files(tmp_path) == [tmp_path / "a.bin", tmp_path / "b.bin"]
    for name in ("pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).touch()
        assert find_tensor_files(tmp_path) == [tmp_path / name]


def test_an_index_cannot_point_out_of_the_folder(tmp_path):
    (tmp_path / "secret").touch()
    (tmp_path / "folder").mkdir()
    index = {"weight_map": {"x": "../secret"}}
    (tmp_path / "folder" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="lacks parts"):
        find_tensor_files(tmp_path / "folder")


def test_half_precision_is_read_as_it_is(tmp_path):
    values = np.array([1.0, 2.5, -3.0])
    kinds = {"a": np.float16, "b": ml_dtypes.bfloat16, "c": np.float32}
    save_file({name: values.astype(kind) for name, kind in kinds.items()}, tmp_path / "model.safetensors")
    found = read_safetensors(tmp_path / "model.safetensors")
    assert {name: array.dtype for name, array in found.items()} == {n: np.dtype(k) for n, k in kinds.items()}
    assert all(array.astype(float).tolist() == values.tolist() for array in found.values())


def test_a_pickle_with_other_things_than_tensors_is_refused(save_torch, tmp_path):
    path = save_torch({"x": np.zeros(2), "epoch": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="something else than tensors: epoch is a int"):
        read_tensors([path])


def test_the_state_of_a_training_checkpoint_is_its_entry_model():
    assert state_of({"model": {"a": 1}, "args": 2}) == {"a": 1}
    assert state_of({"a": 1}) == {"a": 1}
