"""Standard output and error of programs: printing never ends a job, and what is shown is the program's own."""

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"  # TensorFlow's and XLA's: 0 shows everything, 3 only what ends the process
LEVELS = "IWE"
NVIDIA_DRIVER = Path("/proc/driver/nvidia")
# Of C++ sources only: Python's own log begins in the same way.
START_UP_LINE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)|To enable the following instructions:"
    rb"|(?P<level>[IWE])\d{4} [\d:.]+ +\d+ [\w./-]+\.cc:\d+\]"
    rb"|\d{4}-\d\d-\d\d [\d:.]+: (?P<old_level>[IWE]) [\w./-]+\.cc:\d+\]"
)
NO_DRIVER = re.compile(rb"failed call to cuInit: .*\(303\)$")  # written as an error on each machine without GPU


class _Output(io.RawIOBase):
    """A writable file descriptor. After its reader has gone (`| head`) or its disk is full, output is dropped.

    Attributes:
        error: OSError or `None`. Why output was lost; not set if the reader has gone.
    """

    def __init__(self, raw: io.FileIO):
        self._raw = raw
        self._dropping = False
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: Any) -> int | None:
        if not self._dropping:
            try:
                return self._raw.write(data)
            except OSError as error:
                self._dropping = True
                self.error = None if isinstance(error, BrokenPipeError) else error
        return len(data)


@contextlib.contextmanager
def lenient_streams() -> Iterator[list[OSError]]:
    """Context in which printing never raises: characters outside the encoding become escapes, such as `\\u043a`.

    The encoding stays that of the terminal or of `PYTHONIOENCODING`. A closed pipe or a missing standard output is not
    an error.

    Yields:
        list of `OSError`. After the context it holds the errors, e.g. a full disk, by which standard output was lost.
    """
    before = sys.stdout, sys.stderr
    lost: list[OSError] = []
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        (sys.stdout, output), (sys.stderr, _) = (_lenient(stream, nowhere) for stream in before)
        try:
            yield lost
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(ValueError):  # closed inside of the context
                    stream.flush()
            sys.stdout, sys.stderr = before
            if output is not None and output.error is not None:
                lost.append(output.error)


def _lenient(stream: Any, nowhere: Any) -> tuple[Any, _Output | None]:
    """Returns a stream that accepts everything and writes to the same place, and its `_Output` if it has one."""
    if stream is None:
        return nowhere, None
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # with `python -u` the buffer itself is the raw stream
    if not isinstance(raw, io.FileIO):  # a stream of a test or a notebook
        return stream, None
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
    output = _Output(raw)
    binary: Any = output if raw is buffer else io.BufferedWriter(output)
    wrapped = io.TextIOWrapper(
        binary,
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    return wrapped, output


@contextlib.contextmanager
def without_start_up_lines() -> Iterator[None]:
    """Context in which TensorFlow may be imported: lines of its log that `TF_CPP_MIN_LOG_LEVEL` hides are not shown.

    TensorFlow writes some of them before it reads the variable. Where lines are hidden, so is its error that the
    machine has no driver of a GPU. Everything else that is written to standard error follows when the context ends; it
    is lost if the process dies before.
    """
    hidden = _hidden_levels()
    with contextlib.ExitStack() as files:
        try:
            if hidden:
                shown = files.enter_context(open(os.dup(2), "wb", buffering=0))
                written = files.enter_context(tempfile.TemporaryFile(buffering=0))
        except OSError:  # standard error is closed, or no temporary folder is writable
            hidden = ""
        if not hidden:
            yield
            return
        _flush_error()
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            _flush_error()
            os.dup2(shown.fileno(), 2)
            written.seek(0)
            with contextlib.suppress(OSError):  # the reader has gone, or its disk is full
                for line in written:
                    if not _is_start_up(line, hidden):
                        shown.write(line)


def quiet_level() -> str:
    """Returns the level of TensorFlow's log in programs.

    With a GPU's driver warnings are shown: one says that the libraries of the GPU could not be loaded. Without one only
    what ends the process: TensorFlow calls it an error that oneDNN has no operation for an integer.
    """
    return "1" if NVIDIA_DRIVER.exists() else "3"


def _hidden_levels() -> str:
    """Returns the letters of the levels that the environment hides; without the variable, none."""
    given = os.environ.get(LOG_LEVEL, "").strip()
    return LEVELS[: int(given)] if given.isdecimal() else ""


def _flush_error() -> None:
    with contextlib.suppress(AttributeError, OSError, ValueError):  # missing, or closed
        sys.stderr.flush()


def _is_start_up(line: bytes, hidden: str) -> bool:
    """Returns whether a line is one of TensorFlow's log whose level is hidden, or belongs to such lines."""
    match = START_UP_LINE.match(line)
    level = match and (match["level"] or match["old_level"])
    return match is not None and (level is None or level.decode() in hidden or NO_DRIVER.search(line) is not None)
