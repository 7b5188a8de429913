"""Whole text files, gzipped or not."""

import gzip
import zlib

from spanbert_keras.program import InputError

GZIP_MAGIC = b"\x1f\x8b"


def read_text(path: str, expected: str) -> str:
    """Returns the text of a UTF-8 file; what the file holds tells whether it is gzipped, not its name.

    Args:
        path: str.
        expected: str. What the file should be, for the sentence.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            content = file.read()
        return (gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}. Expected: {expected}.") from error
