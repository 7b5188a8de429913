"""The bytes of a text file as UTF-8: decompressed if necessary, and recoded if the text is UTF-16."""

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from spanbert_keras.errors import InputError

GZIP, ZSTANDARD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BYTE_ORDER_MARK = codecs.BOM_UTF8
BUFFER_BYTES = 1 << 18
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
            zipped = raw.peek(len(GZIP))[: len(GZIP)] == GZIP
            with gzip.GzipFile(fileobj=raw) if zipped else raw as stream:
                yield stream  # type: ignore[misc]
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise InputError(f"{flag}{path} cannot be read: {error.strerror}. Expected: the path of a file.") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{flag}{path} cannot be read to its end: {reason}. Expected: a whole file.") from error


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
            import zstandard

            stream = io.BufferedReader(_ZstdStream(raw, zstandard), BUFFER_BYTES)
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
    """Decompressed zstandard frames. Raises `OSError` for damaged or truncated data, like gzip.

    The zstandard package's own stream ends silently if a file is truncated.
    """

    def __init__(self, raw: BinaryIO, zstandard: Any):
        self._raw, self._zstandard = raw, zstandard
        self._frame: Any = None
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            data = self._raw.read(1 << 16)
            if not data:
                if self._frame is not None:
                    raise OSError(None, "the zstandard data are truncated")
                return 0
            self._ready = b"".join(self._decompress(data))
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        """Yields the decompressed content of some bytes of the file, in which a frame may end and the next begin."""
        while data:
            if self._frame is None:
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
            try:
                yield self._frame.decompress(data)
            except self._zstandard.ZstdError as error:
                raise OSError(None, f"the zstandard data are damaged ({error})") from error
            data = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None


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
