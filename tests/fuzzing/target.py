"""What is fuzzed: sample files, and the function that reads them."""

import contextlib
import dataclasses
import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from spanbert_keras.errors import InputError
from tests.fuzzing.mutations import changed

MAX_SECONDS = 10
MAX_BYTES = 2 << 30
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Finding(Exception):
    """Raised for an input that ends in another way than it may.

    Attributes:
        damages: list. What was changed.
    """

    damages: list = []


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader and what it reads.

    Attributes:
        name: str.
        make: function of a folder; writes valid files into it.
        read: function of a folder with these files; reads all of them and returns a value to compare, `None` if there
            is nothing to compare.
        files: str. Glob of the files that are changed.
        written_by_us: bool. Whether they are files that this package writes: damages must not change what is read.
        allowed: tuple of exceptions beside `InputError`.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    files: str = "**/*"
    written_by_us: bool = False
    allowed: tuple[type[BaseException], ...] = ()


class Sample:
    """The files of a target in a temporary folder, made once.

    Args:
        target: `Target`.
    """

    def __init__(self, target: Target):
        self.target = target
        self.folder = Path(tempfile.mkdtemp(dir=SCRATCH))
        target.make(self.folder)
        paths = sorted(path for path in self.folder.glob(target.files) if path.is_file())
        self.files = [path.relative_to(self.folder).as_posix() for path in paths]
        if not self.files:
            raise ValueError(f"The target {target.name} has no files.")

    def __enter__(self) -> "Sample":
        return self

    def __exit__(self, *exception) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """Yields a copy of the folder."""
        with tempfile.TemporaryDirectory(dir=SCRATCH, ignore_cleanup_errors=True) as parent:
            yield Path(shutil.copytree(self.folder, Path(parent) / "files"))

    def read_damaged(self, damages: list) -> tuple[str, Any]:
        """Reads a copy after some changes; see `outcome_of`."""
        with self.copy() as folder:
            for which, edit in damages:
                path = folder / self.files[int(which * len(self.files))]
                path.write_bytes(changed(path.read_bytes(), edit))
            return outcome_of(self.target, folder)


def outcome_of(target: Target, folder: Path) -> tuple[str, Any]:
    """Returns ("read", value) or ("rejected", sentence).

    Raises:
        Finding: another exception, more than `MAX_SECONDS` or `MAX_BYTES`, also if a reader reports them as something
            else, or a sentence of more than 2,000 characters.
    """
    limits = _Limits()
    try:
        with limits:
            outcome = "read", target.read(folder)
    except (InputError, *target.allowed) as error:
        outcome = "rejected", str(error)
        if isinstance(error, InputError) and len(outcome[1]) > 2_000:
            raise Finding(f"{target.name}: a sentence of {len(outcome[1]):,} characters: {outcome[1][:100]}") from error
        if any(isinstance(cause, MemoryError) for cause in _causes(error)):
            raise Finding(f"{target.name}: MemoryError, reported as: {outcome[1][:300]}") from error
    except (Exception, TooLong) as error:
        raise Finding(f"{target.name}: {type(error).__name__}: {str(error)[:300]}") from error
    if limits.expired:
        raise Finding(f"{target.name}: more than {MAX_SECONDS} seconds, reported as: {str(outcome)[:300]}")
    return outcome


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception and those before it."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            seen.append(one)
            waiting += [one.__cause__, one.__context__]
            yield one


class TooLong(BaseException):
    """Raised in a reader that takes too long; readers that catch every `Exception` do not catch it."""


class _Limits:
    """Limits the time, and the address space to what the process has and `MAX_BYTES` more."""

    def __init__(self):
        self.expired = False

    def __enter__(self) -> "_Limits":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        self._memory = resource.getrlimit(resource.RLIMIT_AS)
        self._handler = signal.signal(signal.SIGALRM, self._expire)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MAX_BYTES, self._memory[1]))
        signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
        return self

    def __exit__(self, *exception) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        resource.setrlimit(resource.RLIMIT_AS, self._memory)

    def _expire(self, *_: Any) -> None:
        self.expired = True
        raise TooLong(f"more than {MAX_SECONDS} seconds")
