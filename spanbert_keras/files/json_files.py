"""JSON from files that may be damaged: bounded, not nested without end, and of the type that the reader expects.

A file may hold the checksum of its own content (`CHECKSUM`): then every change of a value is noticed.
"""

import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from spanbert_keras.errors import short_message, shown
from spanbert_keras.files.writing import write_text

MAX_BYTES = 1 << 27  # of a settings file; data sets have readers of their own
CHECKSUM = "content_sha256"  # key of a JSON object, with the checksum of all other keys and values


def parse_json(text: str | bytes, schema: Any = None) -> Any:
    """Returns the value of a JSON text.

    Args:
        text: str, or bytes of UTF-8, UTF-16 or UTF-32.
        schema: type, or `None` for any value. The type that the value must have: `dict[str, int]`, a `TypedDict` (of
            `typing_extensions`; unknown keys are allowed), or anything else that pydantic validates. An int is a valid
            float.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or has another type. The message says where, in one
            line.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("the JSON value is nested too deeply") from None
    return value if schema is None else checked(value, schema)


def checked(value: Any, schema: Any) -> Any:
    """Returns a value of JSON after comparing its type with a schema; see `parse_json`.

    Raises:
        ValueError: it has another type.
    """
    import pydantic

    try:
        _adapter(schema).validate_python(value, strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = "".join(f"[{key!r}]" for key in first["loc"]) or "the value"
        received = shown(first["input"], 60)
        raise ValueError(short_message(f"{where}: {first['msg'].lower()} (received {received})")) from None
    return value


@functools.cache
def _adapter(schema: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(schema)


def read_json(path: str | os.PathLike, schema: Any = None, max_bytes: int | None = None) -> Any:
    """Returns the value of a JSON file, after comparing it with its own checksum if it has one; without the checksum.

    Args:
        path: path of the file.
        schema: type or `None`, as in `parse_json`.
        max_bytes: int or `None`. Largest size of the file. Defaults to `MAX_BYTES`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger than `max_bytes`, not UTF-8, differs from its checksum, or as for `parse_json`.
    """
    max_bytes = MAX_BYTES if max_bytes is None else max_bytes
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read() if size <= max_bytes else b""  # reading a number of bytes would reserve all of them
    if size > max_bytes:
        raise ValueError(f"the file has more than {max_bytes:,} bytes")
    value = parse_json(content.decode("utf-8"))
    if isinstance(value, dict) and CHECKSUM in value:
        expected = value.pop(CHECKSUM)
        if expected != content_checksum(value):
            raise ValueError("its content differs from the checksum that was written with it")
    return value if schema is None else checked(value, schema)


def content_checksum(value: dict[str, Any]) -> str:
    """Returns the SHA-256, in hexadecimal, of a JSON object; the order of keys and the layout do not matter.

    Raises:
        ValueError: it is nested too deeply.
    """
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise ValueError("the JSON value is nested too deeply") from None
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_json(path: str | os.PathLike, value: Any, checksum: bool = False, indent: int | None = 2) -> None:
    """Writes `value` as JSON, atomically.

    Args:
        path: path of the file.
        value: value that JSON can hold.
        checksum: bool. Whether the file gets the checksum of its content, which `read_json` compares; `value` must be a
            dict then.
        indent: int or `None`. Spaces before nested values; with `None` all is in one line, and is written much faster.
    """
    # Unpaired surrogates become escapes, as in JSON.
    write_text(Path(path), to_text(value, checksum, indent), errors="backslashreplace")


def to_text(value: Any, checksum: bool = False, indent: int | None = 2) -> str:
    """Returns the text that `write_json` writes."""
    if checksum:
        value = json.loads(json.dumps(value))  # as it will be read: with strings as keys, lists for tuples
        value = {**value, CHECKSUM: content_checksum(value)}
    return json.dumps(value, indent=indent, ensure_ascii=False) + "\n"
