"""Atomic writing: files and folders are written under a temporary name, then renamed."""

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spanbert_keras.errors import InputError

# Temporary names: `.<mark>.<name>` is being written; `.<mark>.old.<name>` is a folder that is being replaced; earlier
# versions wrote `.tmp-<name>`. Only a killed process leaves such names in a folder.
TEMPORARY_NAME = re.compile(r"\.(?:[0-9a-f]{8}\.(old\.)?|tmp-)(.+)", re.DOTALL)  # groups: "old." or None, the name
# Errors of a disk or folder that cannot be written.
WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EIO)


def temporary_path(path: str | os.PathLike) -> Path:
    """Returns a new name beside `path` that ends like it (Keras checks the suffix)."""
    path = Path(path)
    return path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")


def is_temporary(name: str) -> bool:
    """Returns whether a name is temporary. In a finished folder, only a killed process leaves such names."""
    return TEMPORARY_NAME.fullmatch(name) is not None


def final_name(name: str) -> str:
    """Returns the final name of a temporary one; any other name is returned unchanged."""
    match = TEMPORARY_NAME.fullmatch(name)
    return match[2] if match else name


def write_atomically(path: str | os.PathLike, write: Callable[[Path], Any]) -> None:
    """Calls `write(temporary)` and renames the resulting file or folder to `path`, replacing existing content.

    If writing fails, `path` keeps its old content and the temporary file or folder is removed.

    Args:
        path: final path; missing parent folders are created.
        write: function that creates a file or folder at a given path, which ends like `path` (Keras checks the suffix).

    Raises:
        IsADirectoryError: `path` is a folder and `write` made a file: a file never replaces a folder.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        write(temporary)
        sync(temporary)
        if path.is_dir() and not temporary.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if path.is_dir():  # a folder cannot be replaced in one step: move the old one aside first
            mark = temporary.name.removesuffix(path.name)
            old = path.with_name(f"{mark}old.{path.name}")
            path.rename(old)
            try:
                temporary.rename(path)
            except OSError:
                old.rename(path)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


def clean_leftovers(folder: str | os.PathLike, is_ours: Callable[[str], Any]) -> list[str]:
    """Removes what killed processes left in a folder, and restores folders that they were about to replace.

    Args:
        folder: path of a folder, in which no other process may be writing files or folders of these names.
        is_ours: function of the final name of a leftover; true for those to be removed.

    Returns:
        list of str. Names of the restored folders.
    """
    restored: list[str] = []
    folder = Path(folder)
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = TEMPORARY_NAME.fullmatch(entry.name)
        if not match or not is_ours(match[2]):
            continue
        is_old, name = match.groups()
        if is_old and not (folder / name).exists():
            entry.rename(folder / name)
            restored.append(name)
        elif entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    return restored


@contextlib.contextmanager
def input_error_if_unwritable(path: str | os.PathLike, then: str = " and try again") -> Iterator[None]:
    """Turns the error of a disk that is full or cannot be written for another reason into an `InputError`.

    Args:
        path: path that is written, for the message.
        then: str. End of the message's last sentence: what the user does once the cause is fixed.
    """
    try:
        yield
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        full = reason in map(os.strerror, (errno.ENOSPC, errno.EDQUOT))
        advice = "Free some space" if full else "Fix this"
        raise InputError(f"{path} could not be written: {reason}. {advice}{then}.") from error


def _reason(error: Exception) -> str | None:
    """Returns the system's reason why nothing could be written; `None` for any other error."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    # The errors of TensorFlow, HDF5 and safetensors only quote the system's text.
    quoted = next((reason for reason in map(os.strerror, WRITE_ERRORS) if reason in str(error)), None)
    return str(error) if quoted is None and isinstance(error, OSError) else quoted


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes the content of a file, atomically."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: str | os.PathLike, text: str, errors: str = "strict") -> None:
    """Writes text as UTF-8, atomically; line ends are kept on every system.

    Args:
        path: final path.
        text: str. Content of the file.
        errors: str. Handling of unpaired surrogates, as in `str.encode`.
    """
    write_bytes(path, text.encode("utf-8", errors))


def sync(path: Path) -> None:
    """Waits until a file, or all files of a folder, are on disk."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Waits until a folder's entries are on disk, if the system supports it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # not every system can open a folder
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def check_space(path: Path, size: int) -> None:
    """Raises `OSError` if a file of `size` bytes does not fit at `path`; leaves no file there.

    Before HDF5 writes a file: on a full disk it ends the process with a segmentation fault.
    """
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
