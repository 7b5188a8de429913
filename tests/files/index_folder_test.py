"""Tests of folders that are computed once; with two processes at once in the tests of the block index."""

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.index_folder import cached_index, write_index


def open_text(path):
    try:
        text = (path / "text").read_text()
    except OSError:
        return None
    return text or None


def writer(text, calls=None):
    def write(folder):
        if calls is not None:
            calls.append(folder)
        (folder / "text").write_text(text)

    return write


def test_a_folder_is_written_once_under_another_name(tmp_path):
    calls, path = [], tmp_path / "deep" / "name"
    for _ in range(2):
        assert cached_index(path, open_text, writer("found", calls), "index") == "found"
    assert len(calls) == 1 and calls[0] != path and calls[0].parent == path.parent
    assert [entry.name for entry in path.parent.iterdir()] == ["name"]


def test_a_damaged_folder_is_repaired(tmp_path):
    cached_index(tmp_path / "name", open_text, writer("found"), "index")
    (tmp_path / "name" / "text").write_text("")
    assert cached_index(tmp_path / "name", open_text, writer("found"), "index") == "found"
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_what_another_process_put_in_place_stays(tmp_path):
    cached_index(tmp_path / "name", open_text, writer("theirs"), "index")
    write_index(tmp_path / "name", open_text, writer("ours"), "index")
    assert open_text(tmp_path / "name") == "theirs"
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_a_mistake_while_writing_leaves_nothing(tmp_path):
    def fail(folder):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cached_index(tmp_path / "name", open_text, fail, "index")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_or_read_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="The index cannot be written to .*file"):
        cached_index(tmp_path / "file" / "name", open_text, writer("found"), "index")
    with pytest.raises(InputError, match="The index .*name cannot be read. Delete it"):
        cached_index(tmp_path / "name", open_text, writer(""), "index")
