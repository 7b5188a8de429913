"""Files whose checksum a machine has compared: they are not read again until they change."""

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spanbert_keras.errors import InputError
from spanbert_keras.files.destination_lock import destination_lock
from spanbert_keras.files.file_entries import FileEntry, is_undamaged
from spanbert_keras.files.json_files import read_json, write_json

Record = list[Any]  # SHA-256, size, times of change of content and of status in ns, inode


class KnownFiles:
    """Remembers which files had their checksum: a corpus of a terabyte is read once a machine, not at every start.

    A file is read again if its size, its times or its inode have changed. Damage that changes none of them, such as a
    bad block of a disk, is not noticed until all is compared again.

    Args:
        folder: path of the folder of the note, which several machines may share: each has its own.
        name: str. Name of the files as a whole; one without repetition in the folder.
        again: bool. Whether to forget what is known.

    Example:

    ```python
    from spanbert_keras.files.file_entries import file_entry
    from spanbert_keras.files.known_files import KnownFiles

    with open("text.txt", "w") as file:
        file.write("text")
    known, entry = KnownFiles("cache", "texts"), file_entry("text.txt")
    known.is_undamaged("text.txt", entry)  # reads the file
    known.is_undamaged("text.txt", entry)  # does not
    known.save()
    ```
    """

    def __init__(self, folder: str | os.PathLike, name: str, again: bool = False):
        machine = re.sub(r"[^\w.-]", "_", socket.gethostname())
        self.path = Path(folder) / f"checked-{name}-{machine}.json"
        self._records: dict[str, Record] = {}
        self._is_changed = again
        if not again:
            try:
                self._records = read_json(self.path, dict[str, list], max_bytes=1 << 32)
            except (OSError, ValueError):  # none, or of no use
                pass

    def is_undamaged(self, path: str | os.PathLike, entry: FileEntry) -> bool:
        """Returns whether a file has the size and the checksum of an entry; reads it only if that is not known."""
        key = os.path.realpath(path)
        status = _status(key)  # before the file is read: a change meanwhile is one after the comparison
        if status is None or status[0] != entry["bytes"]:
            return False
        record = [entry["sha256"], *status]
        if self._records.get(key) == record:
            return True
        if not is_undamaged(path, entry):
            return False
        self._records[key] = record
        self._is_changed = True
        return True

    def save(self) -> None:
        """Writes the note, atomically, if it has changed.

        Raises:
            OSError: it cannot be written.
        """
        if self._is_changed:
            write_json(self.path, self._records, indent=None)
            self._is_changed = False


@contextlib.contextmanager
def known_files(folder: str | os.PathLike, name: str, again: bool = False) -> Iterator[KnownFiles]:
    """Yields `KnownFiles`, and saves them at the end, also after an error.

    Other processes wait meanwhile: of several that begin at once, one reads the files. If the folder cannot be written
    to, nothing is remembered.

    Args:
        folder, name, again: see `KnownFiles`. A missing folder is created.
    """
    path = KnownFiles(folder, name, again=True).path
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(InputError):
            stack.enter_context(destination_lock(path, "--cache_dir", wait=True))
        known = KnownFiles(folder, name, again)
        try:
            yield known
        finally:
            with contextlib.suppress(OSError):
                known.save()


def _status(path: str) -> list[int] | None:
    """Returns size, times and inode of a file; `None` if it cannot be examined."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
