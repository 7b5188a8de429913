"""Reads and writes text files; those that are read may be gzipped."""

import contextlib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from spanbert_keras.files.byte_streams import decompressed
from spanbert_keras.files.text_errors import decode
from spanbert_keras.files.writing import write_atomically
from spanbert_keras.program import InputError, shown

MAX_SHOWN = 60  # characters of a value in a message


@contextlib.contextmanager
def open_binary(path: str, expected: str) -> Iterator[BinaryIO]:
    """Yields the decompressed stream of a file; whether it is gzipped is detected from its content, not its name.

    Args:
        path: str.
        expected: str. What the file should be, for the message.

    Raises:
        InputError: the file cannot be opened, or not be read to its end.
    """
    try:
        with open(path, "rb") as raw:
            with decompressed(raw) as stream:
                yield stream
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {reason}. Expected: {expected}.") from error


def read_text(path: str, expected: str) -> str:
    """Returns the text of a UTF-8 file, gzipped or not, without byte order mark.

    Args:
        path: str.
        expected: str. What the file should be, for the message.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    with open_binary(path, expected) as stream:
        content = stream.read()
    return decode(content, path).removeprefix("\ufeff")


def shortened(value: Any) -> str:
    """Returns a JSON value as an error message shows it: the keys of an object, the beginning of anything else."""
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(map(shown, list(value)[:8])) or '(none)'}"
    return shown(value, MAX_SHOWN)


def listed(names: Iterable[str]) -> str:
    """Returns distinct names in order, as a message shows them: separated by commas, cut after 120 characters."""
    return ", ".join(sorted(set(names)))[:120]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Writes a UTF-8 file of these lines, whole or not at all; missing folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
