"""Tests of atomic writing."""

import errno
import os

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.files.writing import (
    final_name,
    input_error_if_unwritable,
    is_temporary,
    sync_folder,
    temporary_path,
    write_atomically,
    write_bytes,
    write_text,
)


def test_only_the_finished_file_remains(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    seen = []

    def write(temporary):
        seen.append(temporary)
        temporary.write_text("whole")

    write_atomically(path, write)
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]
    assert seen[0] != path and seen[0].suffix == ".txt" and seen[0].parent == path.parent


def test_a_file_is_replaced(tmp_path):
    for text in ("one", "two"):
        write_atomically(tmp_path / "a", lambda temporary, text=text: temporary.write_text(text))
    assert (tmp_path / "a").read_text() == "two"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_failed_write_keeps_the_old_content(tmp_path, kind):
    path = tmp_path / "a"

    def write(temporary, text="old"):
        if kind == "folder":
            temporary.mkdir()
            temporary = temporary / "inner"
        temporary.write_text(text)
        if text == "new":
            raise OSError("no space left")

    write_atomically(path, write)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, lambda temporary: write(temporary, "new"))
    assert (path / "inner" if kind == "folder" else path).read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_is_replaced_whole(tmp_path):
    for name in ("one", "two"):

        def write(temporary, name=name):
            temporary.mkdir()
            (temporary / name).write_text(name)

        write_atomically(tmp_path / "folder", write)
    assert [p.name for p in (tmp_path / "folder").iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_a_folder_that_cannot_be_renamed_keeps_the_old_one(tmp_path, monkeypatch):
    def write(temporary, name="old"):
        temporary.mkdir()
        (temporary / name).write_text(name)

    path = tmp_path / "folder"
    write_atomically(path, write)
    rename = type(path).rename

    def failing(self, target):
        if target == path and not self.name.endswith(f"old.{path.name}"):
            raise OSError("no such device")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", failing)
    with pytest.raises(OSError, match="no such device"):
        write_atomically(path, lambda temporary: write(temporary, "new"))
    assert [p.name for p in path.iterdir()] == ["old"]


def test_json_is_read_back(tmp_path):
    value = {"a": [1, 2.5, None, True], "ü": "·"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == value


def test_a_folder_that_cannot_be_opened_is_ignored(tmp_path):
    sync_folder(tmp_path)
    sync_folder(tmp_path / os.devnull.strip(os.sep) / "missing")


def test_unpaired_surrogates_of_a_path_survive_json(tmp_path):
    """Under the C locale, non-ASCII bytes of a path are decoded as unpaired surrogates."""
    value = {"output_dir": "runs/\udcd0\udcba", "text": "к 🙂"}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value and "к 🙂" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_bytes_and_text_are_read_back_and_replace_the_file(tmp_path):
    for content in (b"one\r\n", b"two\n"):
        write_bytes(tmp_path / "a", content)
        write_text(tmp_path / "deep" / "b", content.decode())
        assert (tmp_path / "a").read_bytes() == (tmp_path / "deep" / "b").read_bytes() == content
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "deep"]


@pytest.mark.parametrize("name", ["state.npz", ".hidden", "two\nlines"])
def test_a_temporary_name_is_recognised(tmp_path, name):
    temporary = temporary_path(tmp_path / name)
    assert temporary.parent == tmp_path and temporary.name.endswith(name)
    for left in (temporary.name, temporary.name.replace(name, f"old.{name}"), f".tmp-{name}"):
        assert is_temporary(left) and final_name(left) == name
    assert not is_temporary(name) and final_name(name) == name


def test_a_path_that_cannot_be_written_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.onnx"
    with (
        pytest.raises(InputError, match=r"file.a\.onnx could not be written: .*exist.*\. Fix this and try again\."),
        input_error_if_unwritable(path),
    ):
        write_atomically(path, lambda temporary: temporary.touch())


def test_a_full_disk_is_reported_in_one_sentence_also_by_tensorflow(tmp_path):
    errors = pytest.importorskip("tensorflow", reason="TensorFlow's own errors").errors

    def fill(temporary):
        raise OSError(errno.ENOSPC, "full")

    def fill_by_tensorflow(temporary):
        raise errors.ResourceExhaustedError(None, None, "part-00000; No space left on device [Op:SaveV2]")

    def misuse_tensorflow(temporary):
        raise errors.InvalidArgumentError(None, None, "another thing")

    path = tmp_path / "served"
    for write in (fill, fill_by_tensorflow):
        message = r"could not be written: No space left on device\. Free some space and try again\."
        with pytest.raises(InputError, match=message), input_error_if_unwritable(path):
            write_atomically(path, write)
    with pytest.raises(errors.InvalidArgumentError), input_error_if_unwritable(path):
        write_atomically(path, misuse_tensorflow)
    assert list(tmp_path.iterdir()) == []


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "precious").write_text("kept")
    for write in (lambda: write_text(tmp_path / "results", "new"), lambda: write_bytes(tmp_path / "results", b"new")):
        with pytest.raises(IsADirectoryError):
            write()
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert (tmp_path / "results" / "precious").read_text() == "kept"
