"""The bytes of a text file as UTF-8: decompressed if necessary, and recoded if the text is UTF-16."""

import codecs
import contextlib
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from spanbert_keras.errors import InputError

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BYTE_ORDER_MARK = codecs.BOM_UTF8
BUFFER_BYTES = 1 << 18
# A file that is read whole may expand to this size; a larger one, to this multiple of its own size.
UNBOUNDED_BYTES, MAX_EXPANSION = 1 << 28, 100
UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@contextlib.contextmanager
def gunzipped(path: str, flag: str = "") -> Iterator[BinaryIO]:
    """Yields the stream of a file's bytes, decompressed if they are gzip's: the content decides, not the name.

    Args:
        path: str. The file.
        flag: str. Text before the path in messages, such as `"--input="`.

    Raises:
        InputError: the file cannot be opened, or cannot be read to its end inside the `with` block.
    """
    try:
        with open(path, "rb") as raw:
            with decompressed(raw) as stream:
                yield stream
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{flag}{path} cannot be read: {error.strerror}. Expected: the path of a file.") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{flag}{path} cannot be read to its end: {reason}. Expected: a whole file.") from error


def decompressed(raw: Any) -> BinaryIO:
    """Returns the content of an open file, decompressed if it is gzip's.

    Reading raises `OSError`, `EOFError` or `zlib.error` for damaged data, and `OSError` for data that expand to more
    than `MAX_EXPANSION` times the size of the file.
    """
    if raw.peek(len(GZIP))[: len(GZIP)] != GZIP:
        return raw
    stream = _BoundedStream(gzip.GzipFile(fileobj=raw), os.fstat(raw.fileno()).st_size)
    return io.BufferedReader(stream, BUFFER_BYTES)  # type: ignore[return-value]


def read_gunzipped(path: str, flag: str = "") -> bytes:
    """Returns the whole content of a file, decompressed; arguments and errors are those of `gunzipped`."""
    with gunzipped(path, flag) as stream:
        return stream.read()


def open_binary(path: str) -> tuple[BinaryIO, BinaryIO]:
    """Returns (stream, file): UTF-8 bytes, and the file on disk, whose position shows progress.

    gzip and zstandard are recognised by their first bytes or by the file name's suffix, UTF-16 by its byte order mark.
    """
    raw = open(path, "rb")
    try:
        head = raw.read(len(ZSTANDARD))
        raw.seek(0)
        stream: Any = raw
        if head.startswith(GZIP) or path.endswith(".gz"):
            stream = io.BufferedReader(gzip.GzipFile(fileobj=raw), BUFFER_BYTES)  # type: ignore[arg-type]
        elif head == ZSTANDARD or path.endswith(".zst"):
            stream = io.BufferedReader(_ZstdStream(raw), BUFFER_BYTES)
        stream = as_utf_8(stream)
    except BaseException:
        raw.close()
        raise
    return stream, raw


def as_utf_8(stream: Any) -> Any:
    """Returns UTF-16 with a byte order mark as a UTF-8 stream without the mark; any other stream unchanged.

    The stream of bytes must have `peek`.
    """
    encoding = utf_16_of(stream.peek(4)[:4])
    return stream if encoding is None else io.BufferedReader(_Utf16Stream(stream, encoding), BUFFER_BYTES)


def utf_16_of(head: bytes) -> str | None:
    """Returns the encoding according to the byte order mark in the first four bytes, `None` unless it is UTF-16."""
    if head == codecs.BOM_UTF32_LE:  # begins with UTF-16's mark
        return None
    return UTF_16.get(head[:2])


class _ZstdStream(io.RawIOBase):
    """Decompressed zstandard frames. Raises `OSError` or `EOFError` for damaged or truncated data, like gzip."""

    def __init__(self, raw: BinaryIO):
        from backports import zstd

        self._stream, self._error = zstd.ZstdFile(raw), zstd.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._stream.readinto(buffer)
        except self._error as error:
            raise OSError(None, f"the zstandard data are damaged ({error})") from error


class _BoundedStream(io.RawIOBase):
    """A decompressed stream that raises `OSError` where its content becomes implausibly large for the file.

    Text is rarely compressed to less than a fiftieth; gzip can reach a thousandth.
    """

    def __init__(self, stream: Any, file_bytes: int):
        self._stream = stream
        self._left = max(UNBOUNDED_BYTES, MAX_EXPANSION * file_bytes)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._stream.readinto(buffer)
        self._left -= size
        if self._left < 0:
            raise OSError(None, f"decompressed, it is more than {MAX_EXPANSION} times as large as the file")
        return size


class _Utf16Stream(io.RawIOBase):
    """UTF-16 recoded to UTF-8. Invalid UTF-16 stays undecodable, so that readers count it like other invalid bytes.

    An unpaired surrogate is encoded as such; a single last byte becomes 0xff.
    """

    def __init__(self, stream: BinaryIO, encoding: str):
        self._stream = stream
        self._stream.read(2)  # the byte order mark
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._stream.read(1 << 16)
            if not data:
                rest, _ = self._decoder.getstate()
                self._decoder.reset()
                self._ready = b"\xff" * bool(rest)
                if not rest:
                    return 0
                break
            self._ready = self._decoder.decode(data).encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def close(self) -> None:
        self._stream.close()
        super().close()
