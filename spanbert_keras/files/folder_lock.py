"""The lock of a folder: one process at a time writes there."""

import contextlib
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
WAIT_SECONDS = 0.2  # between two tries to lock
PROBE_SECONDS = 0.2  # longer than `is_in_use` holds a lock
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
        name: str or `None`. Name of the lock's file, if it is not that of a worker.
        wait: bool. Whether to wait for another process, and not to raise.
        keep: bool. Whether the lock's file stays after the block.

    Attributes:
        held: bool. Whether the lock is held; `False` without locks of the platform.

    Raises:
        InputError: another process holds the lock, or the folder cannot be written to.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        worker: int = 0,
        flag: str = "--output_dir",
        *,
        name: str | None = None,
        wait: bool = False,
        keep: bool = True,
    ):
        self.folder, self.flag = Path(folder), flag
        self.path = self.folder / (name or (f"worker-{worker}.lock" if worker else FILE_NAME))
        self.kind, self.target = "folder", self.folder  # for messages
        self.wait, self.keep, self.held = wait, keep, False
        self._descriptor: int | None = None

    def __enter__(self) -> "FolderLock":
        if fcntl is None:
            logging.warning("This platform has no file locks: a second run in %s would not be noticed.", self.folder)
            return self
        while self._descriptor is None:
            descriptor = self._open()
            try:
                self.held = self._lock(descriptor)
                # A process that does not keep its file may have removed the one that we opened.
                if not self.held or self._is_current(descriptor):
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:
                    os.close(descriptor)
        return self

    def is_in_use(self) -> bool:
        """Returns whether another process holds the lock."""
        if fcntl is None or not self.path.is_file():
            return False
        try:
            with open(self.path, "rb") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False

    def _open(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"{self.flag}={self.target} cannot be written to: {error}.") from error

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(descriptor))
        except FileNotFoundError:
            return False

    def _lock(self, descriptor: int) -> bool:
        """Locks the file; returns whether the file system has locks."""
        waiting = False
        deadline = time.monotonic() + PROBE_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if error.errno not in HELD_ERRORS:
                    logging.warning(
                        "The file system of %s has no file locks (%s): a second run there would not be noticed.",
                        self.folder,
                        error,
                    )
                    return False
                if time.monotonic() < deadline:  # it may be a process that asks whether the folder is in use
                    time.sleep(PROBE_SECONDS / 10)
                    continue
                if not self.wait:
                    raise InputError(
                        f"The {self.kind} {self.target} is in use: {self._holder(descriptor)}. Wait for that run, "
                        f"stop it, or give another {self.flag}."
                    ) from error
            if not waiting:
                logging.info("Waiting for %s: %s.", self.target, self._holder(descriptor))
            waiting = True
            time.sleep(WAIT_SECONDS)
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        text = json.dumps({"host": platform.node(), "pid": os.getpid(), "started": started}) + "\n"
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text.encode(), 0)
        except OSError as error:  # e.g. a full disk: the lock is held all the same
            logging.warning("%s cannot be written: %s.", self.path, error)
        return True

    def _holder(self, descriptor: int) -> str:
        """Returns who holds the lock, for messages."""
        try:
            holder = json.loads(os.pread(descriptor, 4096, 0))
            return f"process {holder['pid']} on {holder['host']} has been using it since {holder['started']}"
        except (OSError, ValueError, KeyError, TypeError):
            return f"another process holds {self.path}"

    def __exit__(self, *exception) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            if self.held and not self.keep:
                with contextlib.suppress(OSError):  # while it is locked: see `_is_current`
                    os.unlink(self.path)
            self.held = False
            try:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a child that inherited the open file
            except OSError:  # never locked: see `_lock`
                pass
            os.close(descriptor)
