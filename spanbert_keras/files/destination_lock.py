"""The lock of a file or folder that is written as a whole: one process at a time writes it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.files.writing import clean_leftovers


@contextlib.contextmanager
def destination_lock(path: str | os.PathLike, flag: str = "--destination", wait: bool = False) -> Iterator[None]:
    """Holds `.<name>.lock` beside `path` during the `with` block, and removes what killed processes left of `path`.

    Args:
        path: path of the file or folder that will be written; missing parent folders are created.
        flag: str. The flag that names it, for messages.
        wait: bool. Whether to wait for another process, and not to raise.

    Raises:
        InputError: another process holds the lock, or the parent folder cannot be written to.
    """
    path = Path(path)
    lock = FolderLock(path.parent, flag=flag, name=f".{path.name}.lock", wait=wait, keep=False)
    lock.kind, lock.target = "destination", path
    with lock:
        # Without locks, or in the folder of a run, another process may be writing a file of this name.
        if lock.held and not FolderLock(path.parent).is_in_use():
            for name in clean_leftovers(path.parent, path.name.__eq__):
                logging.warning("%s was being replaced when a process was killed; the old one is restored.", name)
        yield
