"""Whole text files; those that are read may be gzipped."""

import gzip
import zlib
from collections.abc import Iterable
from pathlib import Path

from spanbert_keras.files.faults import decode
from spanbert_keras.files.writing import write_atomically
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
        content = gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}. Expected: {expected}.") from error
    return decode(content, path).removeprefix("\ufeff")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a UTF-8 file of these lines, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
