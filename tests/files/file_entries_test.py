"""Tests of sizes and checksums of files."""

import hashlib

from spanbert_keras.files.file_entries import file_entry, is_undamaged


def test_an_entry_describes_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    assert file_entry(path) == {"bytes": 7, "sha256": hashlib.sha256(b"content").hexdigest()}


def test_another_content_another_size_and_no_file_are_damage(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"content")
    entry = {**file_entry(path), "spans": 3}
    assert is_undamaged(path, entry)
    for content in (b"contenT", b"conten", b""):
        path.write_bytes(content)
        assert not is_undamaged(path, entry)
    path.unlink()
    assert not is_undamaged(path, entry)
