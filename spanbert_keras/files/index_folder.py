"""Folders of arrays that are computed once and kept: written under a temporary name, put in place when whole.

Beside the arrays lies `index.json` with the size and the checksum of each. A folder that is damaged, or was written by
a version without checksums, is made again.
"""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from absl import logging
from typing_extensions import TypedDict

from spanbert_keras.errors import InputError
from spanbert_keras.files.destination_lock import destination_lock
from spanbert_keras.files.file_entries import FileEntry, file_entry
from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.files.known_files import KnownFiles
from spanbert_keras.files.writing import sync, temporary_path

FORMAT_VERSION = 1
SUMMARY = "index.json"
Index = TypeVar("Index")


class _Summary(TypedDict):
    format_version: int
    files: dict[str, FileEntry]


def cached_index(
    path: Path, open_index: Callable[[Path], Index | None], write: Callable[[Path], None], what: str
) -> Index:
    """Returns what is saved in the folder `path`, or computes and saves it first.

    Several processes may do so at once: one computes it, and the others wait. What is saved must be a function of the
    folder's name: then it does not matter whose files are used, where the file system has no locks. Every file is read
    once a machine, to compare its checksum (`KnownFiles`).

    Args:
        path: the folder; missing parents are created.
        open_index: function. Returns what a folder with undamaged files holds, or `None` if it is another format.
        write: function. Fills an empty folder with files.
        what: str. What the folder holds, for messages.

    Raises:
        InputError: the folder cannot be written or read.
    """
    found = _opened(path, open_index)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The {what} cannot be written to {path.parent}: {error}.") from error
    with destination_lock(path, "--cache_dir", wait=True):
        found = _opened(path, open_index)
        if found is None:
            if path.exists():
                logging.info("The %s %s is damaged, or has no checksums; it is made again.", what, path)
            write_index(path, open_index, write, what)
            found = _opened(path, open_index)
    if found is None:
        raise InputError(f"The {what} {path} cannot be read. Delete it, or choose another --cache_dir.")
    return found


def write_index(path: Path, open_index: Callable[[Path], object], write: Callable[[Path], None], what: str) -> None:
    """Saves an index under a temporary name and puts it in place, unless another process was first."""
    temporary = temporary_path(path)
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        files = {file.name: file_entry(file) for file in sorted(temporary.iterdir())}
        write_json(temporary / SUMMARY, {"format_version": FORMAT_VERSION, "files": files}, checksum=True)
        sync(temporary)
        _put_in_place(temporary, path, open_index)
    except OSError as error:
        if _opened(path, open_index) is None:
            raise InputError(f"The {what} cannot be written to {path.parent}: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _opened(path: Path, open_index: Callable[[Path], Index | None]) -> Index | None:
    """Returns what an undamaged folder holds, else `None`."""
    try:
        summary = read_json(path / SUMMARY, _Summary)
        if summary["format_version"] != FORMAT_VERSION:
            return None
        known = KnownFiles(path, "files")
        if not all(known.is_undamaged(path / Path(name).name, entry) for name, entry in summary["files"].items()):
            return None
        with contextlib.suppress(OSError):  # the folder may be read-only: then the files are read at every start
            known.save()
        return open_index(path)
    except (OSError, ValueError):
        return None


def _put_in_place(temporary: Path, path: Path, open_index: Callable[[Path], object]) -> None:
    """Renames a folder that holds an index to `path`, while other processes may do the same.

    No process may remove what another has just opened, so an existing folder stays. If its index is damaged, its files
    are replaced, each atomically.
    """
    names = sorted(file.name for file in temporary.iterdir())
    try:
        os.rename(temporary, path)
    except OSError:
        if not path.is_dir():
            raise
        if _opened(path, open_index) is None:
            for name in names:
                os.replace(temporary / name, path / name)
