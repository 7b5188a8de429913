"""Which files are read to compare their checksum."""

import os

import pytest

from spanbert_keras.files import file_entries


@pytest.fixture
def files_read(monkeypatch):
    """List of the names of the files that are read to compare their checksum."""
    read, names = file_entries.file_entry, []
    monkeypatch.setattr(file_entries, "file_entry", lambda path: names.append(os.path.basename(path)) or read(path))
    return names
