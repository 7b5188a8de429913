"""Standard output and error that never end a job: any character can be written, and no reader is needed."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Any


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
