"""The lock of a folder: one process at a time writes there."""

import errno
import json
import os
import platform
import time
from pathlib import Path

from absl import logging

from spanbert_keras.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE_NAME = "run.lock"  # of worker 0
# Errors that mean that another process holds the lock; NFS, where `flock` is emulated, may give EACCES.
HELD_ERRORS = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class FolderLock:
    """Holds `<folder>/run.lock` during the `with` block; raises if another process holds it.

    In a run of several workers each holds its own lock; otherwise a worker of a second run could join the first.

    The system releases the lock when the process ends, even by SIGKILL: no file must be removed by
    hand, and the file's content (host, pid, started) counts only while it is locked. If the platform or the file system
    has no such locks, a warning is logged and the run continues without one.

    Args:
        folder: the folder; created if missing.
        worker: int. Number of this process: worker 0 holds `run.lock`, worker i `worker-<i>.lock`.
        flag: str. The flag that names the folder, for messages.

    Raises:
        InputError: another process holds the lock, or the folder cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike, worker: int = 0, flag: str = "--output_dir"):
        self.folder, self.flag = Path(folder), flag
        self.path = self.folder / (f"worker-{worker}.lock" if worker else FILE_NAME)
        self._descriptor: int | None = None

    def __enter__(self) -> "FolderLock":
        if fcntl is None:
            logging.warning("This platform has no file locks: a second run in %s would not be noticed.", self.folder)
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"{self.flag}={self.folder} cannot be written to: {error}.") from error
        try:
            self._lock(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in HELD_ERRORS:
                raise InputError(self._who_holds_it(descriptor)) from error
            logging.warning(
                "The file system of %s has no file locks (%s): a second run there would not be noticed.",
                self.folder,
                error,
            )
            return
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = json.dumps({"host": platform.node(), "pid": os.getpid(), "started": started}) + "\n"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
        except OSError as error:  # e.g. a full disk: the lock is held all the same
            logging.warning("%s cannot be written: %s.", self.path, error)

    def _who_holds_it(self, descriptor: int) -> str:
        """Returns the error message for the second run."""
        try:
            holder = json.loads(os.pread(descriptor, 4096, 0))
            who = f"process {holder['pid']} on {holder['host']} has been using it since {holder['started']}"
        except (OSError, ValueError, KeyError, TypeError):
            who = f"another process holds {self.path}"
        return f"The folder {self.folder} is in use: {who}. Wait for that run, stop it, or give another {self.flag}."

    def __exit__(self, *exception) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a child that inherited the open file
            except OSError:  # never locked: see `_lock`
                pass
            os.close(descriptor)
