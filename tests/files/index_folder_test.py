"""Tests of folders that are computed once; with two processes at once in the tests of the block index."""

import random
import threading
import time

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files import index_folder
from spanbert_keras.files.index_folder import cached_index, write_index
from spanbert_keras.files.json_files import read_json, write_json


def open_text(path):
    return (path / "text").read_text() or None


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


@pytest.fixture
def lines(monkeypatch):
    found = []
    monkeypatch.setattr(index_folder.logging, "info", lambda text, *values: found.append(text % values))
    return found


def test_no_damage_is_used(tmp_path, lines):
    """Whatever is changed or cut off, the folder is made again, and the log says so."""
    path, draw = tmp_path / "name", random.Random(3)
    cached_index(path, open_text, writer("found" * 9), "index")
    assert not lines
    files = {file.name: file.read_bytes() for file in path.iterdir() if not file.name.startswith("checked-files-")}
    assert set(files) == {"text", "index.json"}
    for number in range(60):
        name = draw.choice([*files])
        content, place = files[name], draw.randrange(len(files[name]))
        changed = content[:place] + bytes([content[place] ^ draw.randint(1, 255)]) + content[place + 1 :]
        (path / name).write_bytes(content[:place] if number % 3 == 0 else changed)
        assert cached_index(path, open_text, writer("found" * 9), "index") == "found" * 9
    assert len(lines) >= 50 and all("name is damaged, or has no checksums; it is made again" in line for line in lines)


def test_files_are_read_once_a_machine_and_again_when_they_change(tmp_path, files_read):
    path = tmp_path / "name"
    for _ in range(3):
        assert cached_index(path, open_text, writer("found"), "index") == "found"
    assert files_read == ["text"]
    (path / "text").write_text("found")  # the same content, written again
    assert cached_index(path, open_text, writer("found"), "index") == "found"
    assert files_read == ["text", "text"]
    (note,) = path.glob("checked-files-*")
    note.write_text("{")
    assert cached_index(path, open_text, writer("found"), "index") == "found" and len(files_read) == 3


@pytest.mark.parametrize("version", [None, 2])
def test_a_folder_of_another_version_is_made_again(tmp_path, lines, version):
    cached_index(tmp_path / "name", open_text, writer("earlier"), "index")
    if version is None:
        (tmp_path / "name" / "index.json").unlink()
    else:
        write_json(
            tmp_path / "name" / "index.json", read_json(tmp_path / "name" / "index.json") | {"format_version": 2}
        )
    assert cached_index(tmp_path / "name", open_text, writer("found"), "index") == "found"
    assert len(lines) == 1


def test_one_process_computes_and_the_others_wait(tmp_path):
    calls, found = [], []

    def write(folder):
        time.sleep(0.05)
        writer("found", calls)(folder)

    def work():
        found.append(cached_index(tmp_path / "name", open_text, write, "index"))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == ["found"] * 3 and len(calls) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".0123abcd.name").mkdir()
    (tmp_path / ".0123abcd.name" / "text").write_text("half")
    cached_index(tmp_path / "name", open_text, writer("found"), "index")
    assert [entry.name for entry in tmp_path.iterdir()] == ["name"]
