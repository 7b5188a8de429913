"""Tests of the checksums beside a model's files."""

import json

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.checksum_file import NAME, verify_checksums, write_checksums


@pytest.fixture
def folder(tmp_path):
    """Path of a folder with two files of a model and another one."""
    (tmp_path / "assets").mkdir()
    for name in ("config.json", "assets/vocab.txt", "notes.txt"):
        (tmp_path / name).write_text(f"content of {name}")
    write_checksums(tmp_path, ["*.json", "assets/**/*"])
    return tmp_path


def test_the_files_of_the_model_are_listed(folder):
    content = json.loads((folder / NAME).read_text())
    assert content["format"] == 1 and list(content["files"]) == ["assets/vocab.txt", "config.json"]
    (folder / NAME).unlink()
    write_checksums(folder, ["*.json"])
    assert list(json.loads((folder / NAME).read_text())["files"]) == ["config.json"]
    write_checksums(folder, ["*.json"])
    assert list(json.loads((folder / NAME).read_text())["files"]) == ["config.json"]  # not its own


def test_writing_some_files_again_does_not_vouch_for_the_others(folder):
    (folder / "config.json").write_text("damaged")
    (folder / "assets" / "vocab.txt").write_text("new")
    write_checksums(folder, ["assets/**/*"])
    verify_checksums(folder, ["assets/*"])
    with pytest.raises(InputError, match="config.json is not the file that was written"):
        verify_checksums(folder)


@pytest.mark.parametrize("content", ["[]", '{"format": 1}', '{"model.safetensors": "abc"}'])
def test_a_file_of_another_program_is_left_alone(folder, content):
    (folder / NAME).write_text(content)
    (folder / "config.json").write_text("{}")
    verify_checksums(folder)


@pytest.mark.parametrize("name", ["config.json", "assets/vocab.txt"])
@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: "X" + text[1:], lambda text: text + "\n"])
def test_a_changed_file_is_rejected_by_its_name(folder, name, damage):
    verify_checksums(folder)
    (folder / name).write_text(damage((folder / name).read_text()))
    with pytest.raises(InputError, match=rf"{name} is not the file that was written.*remove checksums\.json if"):
        verify_checksums(folder)
    (folder / NAME).unlink()
    verify_checksums(folder)


def test_only_the_files_that_are_asked_for_are_compared(folder):
    (folder / "config.json").write_text("{}")
    verify_checksums(folder, ["assets/*"])


def test_other_and_missing_files_are_not_compared(folder):
    (folder / "notes.txt").write_text("changed")
    (folder / "config.json").unlink()
    verify_checksums(folder)


@pytest.mark.parametrize("content", ["", '{"format": 1, "files": {"a": 3}}', "[" * 99_999])
def test_damaged_checksums_are_reported(folder, content):
    (folder / NAME).write_text(content)
    with pytest.raises(InputError, match=r"checksums\.json is damaged: .*remove this file"):
        verify_checksums(folder)


def test_names_that_lead_elsewhere_are_not_followed(folder):
    entry = {"bytes": 1, "sha256": "0"}
    files = {"/dev/zero": entry, f"../{folder.name}/config.json": entry}
    (folder / NAME).write_text(json.dumps({"format": 1, "files": files}))
    verify_checksums(folder)
