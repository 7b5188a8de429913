"""Folders of arrays that are computed once and kept: written under a temporary name, put in place when whole."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import temporary_path

Index = TypeVar("Index")


def cached_index(
    path: Path, open_index: Callable[[Path], Index | None], write: Callable[[Path], None], what: str
) -> Index:
    """Returns what is saved in the folder `path`, or computes and saves it first.

    Several processes may do so at once. What is saved must be a function of the folder's name: then it does not matter
    whose files are used.

    Args:
        path: the folder; missing parents are created.
        open_index: function. Returns what a folder holds, or `None` if it is missing or damaged.
        write: function. Fills an empty folder.
        what: str. What the folder holds, for messages.

    Raises:
        InputError: the folder cannot be written or read.
    """
    found = open_index(path)
    if found is None:
        write_index(path, open_index, write, what)
        found = open_index(path)
    if found is None:
        raise InputError(f"The {what} {path} cannot be read. Delete it, or choose another --cache_dir.")
    return found


def write_index(path: Path, open_index: Callable[[Path], object], write: Callable[[Path], None], what: str) -> None:
    """Saves an index under a temporary name and puts it in place, unless another process was first."""
    temporary = temporary_path(path)
    try:
        temporary.mkdir(parents=True)
        write(temporary)
        _put_in_place(temporary, path, open_index)
    except OSError as error:
        if open_index(path) is None:
            raise InputError(f"The {what} cannot be written to {path.parent}: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
        if open_index(path) is None:
            for name in names:
                os.replace(temporary / name, path / name)
