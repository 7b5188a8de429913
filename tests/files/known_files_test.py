"""Tests of files that are compared with their checksum once a machine."""

import json
import os
import shutil
import threading
import time

import pytest

from spanbert_keras.data.batches.corpus_mixture import open_corpora
from spanbert_keras.errors import InputError
from spanbert_keras.files import known_files as module
from spanbert_keras.files.file_entries import file_entry
from spanbert_keras.files.known_files import KnownFiles, known_files


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text"
    path.write_text("content")
    return path


def compared(path, entry, folder, name="n", **settings):
    with known_files(folder, name, **settings) as known:
        return known.is_undamaged(path, entry)


def test_a_file_is_read_once_by_all_processes(text, tmp_path, files_read):
    entry = file_entry(text)
    files_read.clear()
    assert [compared(text, entry, tmp_path / "cache") for _ in range(3)] == [True] * 3
    assert files_read == ["text"]
    assert compared(text, entry, tmp_path / "cache", again=True) and files_read == ["text"] * 2
    assert compared(text, entry, tmp_path / "cache") and files_read == ["text"] * 2
    assert compared(text, entry, tmp_path / "cache", "other") and files_read == ["text"] * 3


@pytest.mark.parametrize("times", ["later", "kept"])
def test_a_changed_file_is_noticed_also_with_its_old_times(text, tmp_path, times):
    entry, before = file_entry(text), text.stat()
    assert compared(text, entry, tmp_path)
    text.write_text("Content")  # of the same size
    if times == "kept":
        os.utime(text, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not compared(text, entry, tmp_path)
    assert not compared(text, entry | {"bytes": 6}, tmp_path)
    text.unlink()
    assert not compared(text, entry, tmp_path)


def test_a_file_replaced_by_another_one_is_read(text, tmp_path, files_read):
    entry = file_entry(text)
    assert compared(text, entry, tmp_path)
    copy = tmp_path / "copy"
    copy.write_text("content")
    os.replace(copy, text)
    files_read.clear()
    assert compared(text, entry, tmp_path) and files_read == ["text"]
    assert compared(text, entry | {"sha256": "0" * 64}, tmp_path) is False  # another manifest


def test_another_machine_has_its_own_note(text, tmp_path, files_read, monkeypatch):
    entry = file_entry(text)
    compared(text, entry, tmp_path)
    monkeypatch.setattr(module.socket, "gethostname", lambda: "other/../host")
    files_read.clear()
    assert compared(text, entry, tmp_path) and files_read == ["text"]
    assert (tmp_path / "checked-n-other_.._host.json").is_file()


@pytest.mark.parametrize("note", ["", "{", "[]", '{"a": 1}', '{"a": []}'])
def test_a_damaged_note_is_of_no_use_and_of_no_harm(text, tmp_path, note):
    entry = file_entry(text)
    compared(text, entry, tmp_path)
    (path,) = tmp_path.glob("checked-*")
    path.write_text(note)
    assert compared(text, entry, tmp_path)
    assert str(text) in json.loads(path.read_text())


def test_what_was_compared_before_an_error_is_kept(text, tmp_path, files_read):
    entry = file_entry(text)
    with pytest.raises(KeyboardInterrupt), known_files(tmp_path, "n") as known:
        assert known.is_undamaged(text, entry)
        raise KeyboardInterrupt
    files_read.clear()
    assert compared(text, entry, tmp_path) and not files_read


def test_processes_that_begin_together_read_once(text, tmp_path, files_read, monkeypatch):
    entry, inside = file_entry(text), []
    slow = module.is_undamaged

    def compare(path, entry):
        inside.append(path)
        time.sleep(0.1)
        return slow(path, entry)

    monkeypatch.setattr(module, "is_undamaged", compare)
    files_read.clear()
    threads = [threading.Thread(target=compared, args=(text, entry, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(inside) == 1


def test_a_folder_that_cannot_be_written_costs_only_the_memory(text, files_read):
    for number in (1, 2):
        assert compared(text, file_entry(text), text) and files_read == ["text"] * number
    known = KnownFiles(text, "n")
    assert known.is_undamaged(text, file_entry(text))
    with pytest.raises(OSError):
        known.save()


def test_a_corpus_is_read_once_and_again_where_it_changed_or_when_asked(toy_shards, tmp_path, files_read):
    folder = tmp_path / "corpus"
    shutil.copytree(toy_shards, folder)
    names = sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")

    def read(**settings):
        files_read.clear()
        open_corpora(f"{folder}", tmp_path / "cache", pytest.fail, **settings)
        return sorted(files_read)

    assert read() == names and read() == []
    vocabulary = folder / "vocab.txt"
    vocabulary.write_bytes(vocabulary.read_bytes())
    assert read() == ["vocab.txt"] and read() == []
    assert read(compare_again=True) == names and read() == []
    pieces = folder / "train-00000.pieces.npy"
    pieces.write_bytes(pieces.read_bytes()[:-1] + b"\xff")
    with pytest.raises(InputError, match="train-00000.pieces.npy is damaged"):
        read()
