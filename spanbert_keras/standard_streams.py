"""Standard output and error that never end a job: any character can be written, and nobody needs to read it."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Output(io.RawIOBase):
    """A file descriptor to write to. When its reader has gone (`| head`) or its disk is full, the rest is dropped.

    Attributes:
        error: OSError or `None`. Why something was lost; a reader that has gone does not count.
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
    """Inside of it, printing raises nothing: what an encoding lacks is written as an escape, such as `\\u043a`.

    The encoding stays that of the terminal or of `PYTHONIOENCODING`. A closed pipe, or no standard output at all, is no
    error.

    Yields:
        list. After the end it holds the errors, e.g. a full disk, that lost a part of standard output.
    """
    before = sys.stdout, sys.stderr
    lost: list[OSError] = []
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        (sys.stdout, output), (sys.stderr, _) = (_lenient(stream, nowhere) for stream in before)
        try:
            yield lost
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(ValueError):  # somebody closed it
                    stream.flush()
            sys.stdout, sys.stderr = before
            if output is not None and output.error is not None:
                lost.append(output.error)


def _lenient(stream: Any, nowhere: Any) -> tuple[Any, _Output | None]:
    """Returns a stream that takes everything and writes to the same place, and its descriptor where it is new."""
    if stream is None:
        return nowhere, None
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # unbuffered (`python -u`) there is no layer between
    if not isinstance(raw, io.FileIO):  # of a test or a notebook
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
