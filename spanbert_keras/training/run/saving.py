"""Saving the models of a run: whole files, or none."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically

# Bytes of a preset besides its weights: vocabulary, settings, and 3 KB of HDF5 per weight.
OTHER_BYTES = 4_000_000


def save_model(model, path: str | os.PathLike) -> None:
    """Writes a `.keras` file, whole or not at all (Keras itself leaves a partial file when writing fails).

    Raises:
        InputError: the disk is full, or cannot be written for another reason.
    """
    _write(path, lambda temporary: model.save(temporary))


def save_preset(encoder, folder: str | os.PathLike) -> None:
    """Writes a keras-hub preset directory, whole or not at all.

    Raises:
        InputError: the disk is full, or cannot be written for another reason.
    """

    def write(temporary: Path) -> None:
        temporary.mkdir(parents=True)
        # On a full disk HDF5 ends the process with a segmentation fault: check for free space first.
        _check_space(temporary / "space", 4 * encoder.count_params() + OTHER_BYTES)
        encoder.save_to_preset(str(temporary))

    _write(folder, write)


def _write(path: str | os.PathLike, write: Callable[[Path], None]) -> None:
    with input_error_if_unwritable(path, then="; the same command continues"):
        write_atomically(path, write)


def _check_space(path: Path, size: int) -> None:
    """Raises `OSError` if a file of `size` bytes does not fit at `path`; leaves no file there."""
    if not hasattr(os, "posix_fallocate"):  # not on every system
        return
    try:
        with open(path, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise  # other errors: the file system cannot reserve space
    finally:
        path.unlink(missing_ok=True)
