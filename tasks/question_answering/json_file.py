"""Reads JSON values from a file, gzipped or not, one after the other."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from spanbert_keras.files.byte_streams import GZIP
from spanbert_keras.files.text_errors import decode, json_lines_fault
from spanbert_keras.program import InputError
from tasks.shared.text_files import open_binary

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Yields the decompressed stream of a file; any failure to read it is an `InputError`."""
    with open_binary(path, "a whole file of JSON") as stream:
        if path.endswith(".gz"):
            with open(path, "rb") as raw:
                head = raw.read(12)
            if not head.startswith(GZIP):
                raise InputError(
                    f"{path} is not gzipped, though its name ends in .gz. Expected: gzip data, or a name without .gz. "
                    f"Received: {head!r}."
                )
        yield stream


def first_value(stream: BinaryIO, path: str, expected: str) -> tuple[int, Any]:
    """Returns the number of the first line that is not blank and its JSON value, or that of the whole file.

    Args:
        stream: the decompressed file.
        path: str. For messages.
        expected: str. What the file should be.

    Raises:
        InputError: it is not UTF-8, or not JSON.
    """
    number, line = 0, b"\n"
    while line and not line.strip():
        number, line = number + 1, stream.readline()
        line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
    rest = b""
    with contextlib.suppress(ValueError, RecursionError):
        value = json.loads(line.decode("utf-8", "surrogatepass"))
        if isinstance(value, dict) and "data" in value:
            rest = stream.read()  # SQuAD's: the whole file is one value
        if not rest.strip():
            return number, value
    text = decode(line + rest + stream.read(), path, number, "surrogatepass")
    try:
        return number, json.loads(text)
    except (ValueError, RecursionError) as error:
        fault = json_lines_fault(text)
        if fault == "a JSON object over several lines":  # several of these
            raise InputError(f"{path} holds {fault}, and more. Expected: {expected}.") from None
        raise not_json(error, path, text, expected) from None


def parsed(data: bytes, path: str, number: int, expected: str) -> Any:
    """Returns the JSON value of a line.

    Raises:
        InputError: it is not UTF-8, or not JSON.
    """
    text = decode(data, path, number, "surrogatepass")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise not_json(error, f"{path}, line {number}", text, expected) from None


def not_json(error: Exception, where: str, text: str, expected: str) -> InputError:
    """Returns the error for a text that is not JSON."""
    received = text.encode("utf-8", "surrogatepass").strip()[:60]
    return InputError(f"{where} is not valid JSON ({error}). Expected: {expected}. Received: {received!r}.")
