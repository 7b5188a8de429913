"""Tests of one checkpoint on disk: what was written comes back, and anything else is found out."""

import datetime
import hashlib
import json
import shutil

import numpy as np
import pytest
import safetensors.numpy
from safetensors import SafetensorError

from spanbert_keras.files import checkpoint_files
from spanbert_keras.files.checkpoint_files import FILE_NAME, MANIFEST
from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.files.writing import TEMPORARY_NAME

STATE = {"scale": 8.0, "seed": [1, 2], "note": "ü", "nothing": None}
DAMAGE = (ValueError, OSError, SafetensorError)


@pytest.fixture
def arrays():
    return {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.array(7, "int64"), "c": np.ones(0, "float16")}


@pytest.fixture
def folder(arrays, tmp_path):
    """Folder of the checkpoint of step 5."""
    checkpoint_files.write(tmp_path / "step_00000005", arrays, 5, STATE, 0.25)
    return tmp_path / "step_00000005"


def test_written_checkpoints_are_read_back(folder, arrays):
    read, state = checkpoint_files.read(folder, 5)
    assert state == STATE and list(read) == list(arrays)
    for name, value in arrays.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)


def test_the_manifest_describes_the_files(folder):
    manifest = read_json(folder / MANIFEST)
    content = (folder / FILE_NAME).read_bytes()
    saved = datetime.datetime.fromisoformat(manifest.pop("saved"))
    assert abs(datetime.datetime.now(datetime.UTC) - saved) < datetime.timedelta(minutes=5)
    file = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest == {"step": 5, "state": STATE, "score": 0.25, "files": {FILE_NAME: file}}
    assert checkpoint_files.read_manifest(folder) == manifest
    assert sorted(p.name for p in folder.iterdir()) == [MANIFEST, FILE_NAME]


def test_any_changed_byte_of_the_variables_is_found(folder):
    path = folder / FILE_NAME
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])
        with pytest.raises(DAMAGE, match="checksum"):
            checkpoint_files.read(folder, 5)
    for damaged in (b"", content[:300], content[:-1], content + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(DAMAGE, match=f"has {len(damaged)} bytes, not the {len(content)}"):
            checkpoint_files.read(folder, 5)
    path.unlink()
    with pytest.raises(DAMAGE, match=f"{FILE_NAME} is missing"):
        checkpoint_files.read(folder, 5)


def test_any_changed_byte_of_the_manifest_is_found_or_harmless(folder):
    path = folder / MANIFEST
    content, found = path.read_bytes(), 0
    for place in range(len(content)):
        for bit in (2,) if place % 2 else (32,):
            path.write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
            try:
                assert checkpoint_files.read(folder, 5)[1] == STATE
                assert checkpoint_files.read_manifest(folder)["score"] == 0.25
            except DAMAGE:
                found += 1
    assert found > len(content) // 2
    for length in range(0, len(content) - 2, 5):
        path.write_bytes(content[:length])
        with pytest.raises(DAMAGE, match=MANIFEST):
            checkpoint_files.read(folder, 5)
    path.unlink()
    with pytest.raises(DAMAGE, match=f"{MANIFEST} is missing"):
        checkpoint_files.read(folder, 5)


@pytest.mark.parametrize("text", ["[]", "3", "null", '{"step": 5}', '{"score": [1], "files": 3}', "\x00", '"' * 9])
def test_a_malformed_manifest_is_rejected(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=f"{MANIFEST} is damaged"):
        checkpoint_files.read_manifest(folder)


@pytest.mark.parametrize(("score", "expected"), [("NaN", None), ("Infinity", None), ("null", None), ("3", 3.0)])
def test_a_score_that_is_not_a_number_counts_as_none(folder, score, expected):
    write_json(folder / MANIFEST, read_json(folder / MANIFEST) | {"score": json.loads(score)})
    assert checkpoint_files.read_manifest(folder)["score"] == expected


def test_a_checkpoint_under_the_name_of_another_is_rejected(folder):
    other = folder.rename(folder.with_name("step_00000006"))
    with pytest.raises(ValueError, match="belongs to step 5"):
        checkpoint_files.read(other, 6)


def test_a_file_without_the_state_is_rejected(folder, arrays):
    safetensors.numpy.save_file(arrays, folder / FILE_NAME)
    content, manifest = (folder / FILE_NAME).read_bytes(), read_json(folder / MANIFEST)
    manifest["files"][FILE_NAME] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    write_json(folder / MANIFEST, manifest)
    with pytest.raises(ValueError, match="the state in"):
        checkpoint_files.read(folder, 5)


def test_a_checkpoint_is_removed_as_a_whole(folder, monkeypatch):
    monkeypatch.setattr(shutil, "rmtree", lambda *arguments, **settings: None)  # killed before the first file
    checkpoint_files.remove(folder)
    (left,) = folder.parent.iterdir()
    assert TEMPORARY_NAME.fullmatch(left.name).groups() == (None, folder.name)
    monkeypatch.undo()
    checkpoint_files.clean(folder.parent)
    assert list(folder.parent.iterdir()) == []


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(folder):
    parent = folder.parent
    for name in (".0123abcd.step_00000006", ".0123abcd.old.step_00000005", "notes", ".hidden", ".0123abcd.old.notes"):
        (parent / name).mkdir()
        (parent / name / FILE_NAME).write_bytes(b"half")
    (parent / ".0123abcd.step_00000007").write_bytes(b"a file")
    assert checkpoint_files.clean(parent) == []
    assert sorted(p.name for p in parent.iterdir()) == [".0123abcd.old.notes", ".hidden", "notes", folder.name]
    assert checkpoint_files.read(folder, 5)[1] == STATE
    assert checkpoint_files.clean(parent / "missing") == []


def test_a_checkpoint_that_was_being_replaced_is_restored(folder):
    folder.rename(folder.with_name(f".0123abcd.old.{folder.name}"))
    shutil.copytree(folder.with_name(f".0123abcd.old.{folder.name}"), folder.with_name(f".0123abcd.{folder.name}"))
    assert checkpoint_files.clean(folder.parent) == [folder.name]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert checkpoint_files.read(folder, 5)[1] == STATE


def test_arrays_can_be_chosen_by_the_start_of_their_names(folder):
    assert list(checkpoint_files.read(folder, 5, "b")[0]) == ["b"]
    assert checkpoint_files.read(folder, 5, "x") == ({}, STATE)


def test_the_steps_of_a_folder_are_those_of_its_whole_checkpoints(folder, tmp_path):
    for name in ("step_00000004", "step_123456789", ".01234567.step_00000007", "step_0000000a", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "step_00000009").touch()
    assert checkpoint_files.steps_in(tmp_path) == [4, 5, 123456789]
    assert [checkpoint_files.folder_of(tmp_path, step).name for step in (5, 123456789)] == [
        folder.name,
        "step_123456789",
    ]
    assert checkpoint_files.steps_in(tmp_path / "missing") == []
