"""Size and checksum of a file, as manifests record them."""

import hashlib
import os

from typing_extensions import TypedDict


class FileEntry(TypedDict):
    """Size and SHA-256, in hexadecimal, of a file."""

    bytes: int
    sha256: str


def file_entry(path: str | os.PathLike) -> FileEntry:
    """Returns the entry of a file, which is read once."""
    with open(path, "rb") as file:
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def is_undamaged(path: str | os.PathLike, entry: FileEntry) -> bool:
    """Returns whether a file has the size and the checksum of an entry, which may have more keys."""
    try:
        return os.stat(path).st_size == entry["bytes"] and file_entry(path)["sha256"] == entry["sha256"]
    except OSError:
        return False
