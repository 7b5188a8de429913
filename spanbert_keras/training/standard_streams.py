"""Standard output and error that never end a job: any character can be written, and nobody needs to read it."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Output(io.RawIOBase):
    """A file descriptor to write to; when its reader has gone (`| head`), the rest is dropped."""

    def __init__(self, raw: io.FileIO):
        self._raw = raw
        self._closed_by_reader = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: Any) -> int | None:
        if not self._closed_by_reader:
            try:
                return self._raw.write(data)
            except BrokenPipeError:
                self._closed_by_reader = True
        return len(data)


@contextlib.contextmanager
def lenient_streams() -> Iterator[None]:
    """Inside of it, what an encoding lacks is written as an escape (`\\u043a`), and a closed pipe is no error.

    The encoding itself stays that of the terminal or of `PYTHONIOENCODING`. Without standard output, what is written to
    it is dropped.
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout, sys.stderr = (_lenient(stream, nowhere) for stream in before)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            sys.stdout, sys.stderr = before


def _lenient(stream: Any, nowhere: Any) -> Any:
    """Returns a stream that takes everything and writes to the same place."""
    if stream is None:
        return nowhere
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if not isinstance(raw, io.FileIO):  # of a test or a notebook
        return stream
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(raw)),
        encoding=stream.encoding,
        errors="backslashreplace",
        newline=None,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
