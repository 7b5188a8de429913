"""Tests of the lock of a destination, and of what killed processes left beside it."""

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.destination_lock import destination_lock
from spanbert_keras.files.folder_lock import FolderLock


def test_a_second_process_is_rejected_and_no_lock_remains(tmp_path):
    path = tmp_path / "new" / "model.keras"
    with destination_lock(path), destination_lock(path.with_name("other.keras")):
        expected = r"The destination .*model\.keras is in use: process \d+ on .*another --destination\."
        with pytest.raises(InputError, match=expected), destination_lock(path):
            pass
        path.write_text("model")
    assert [entry.name for entry in path.parent.iterdir()] == ["model.keras"]
    with destination_lock(path):
        pass


def leave(folder, name, is_folder=True):
    path = folder / name
    if is_folder:
        path.mkdir()
        path = path / "weights"
    path.write_text(name)


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    for name in (".0123abcd.preset", ".4567abcd.old.preset", ".0123abcd.another", "preset", ".preset"):
        leave(tmp_path, name)
    leave(tmp_path, ".89abcdef.preset", is_folder=False)
    with destination_lock(tmp_path / "preset"):
        pass
    assert {entry.name for entry in tmp_path.iterdir()} == {".0123abcd.another", "preset", ".preset"}


def test_a_folder_that_was_being_replaced_is_restored(tmp_path):
    leave(tmp_path, ".0123abcd.old.preset")
    leave(tmp_path, ".0123abcd.preset")
    with destination_lock(tmp_path / "preset"):
        assert (tmp_path / "preset" / "weights").read_text() == ".0123abcd.old.preset"
    assert [entry.name for entry in tmp_path.iterdir()] == ["preset"]


def test_what_a_running_training_may_be_writing_stays(tmp_path):
    leave(tmp_path, ".0123abcd.encoder.keras", is_folder=False)
    with FolderLock(tmp_path), destination_lock(tmp_path / "encoder.keras"):
        assert (tmp_path / ".0123abcd.encoder.keras").is_file()
    with destination_lock(tmp_path / "encoder.keras"):
        assert not (tmp_path / ".0123abcd.encoder.keras").exists()
