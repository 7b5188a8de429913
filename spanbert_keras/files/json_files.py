"""JSON from files that may be damaged: bounded, not nested without end, and of the type that the reader expects."""

import functools
import json
import os
from pathlib import Path
from typing import Any

from spanbert_keras.errors import short_message, shown
from spanbert_keras.files.writing import write_text

MAX_BYTES = 1 << 27  # of a settings file; data sets have readers of their own


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


def read_json(path: str | os.PathLike, schema: Any = None) -> Any:
    """Returns the value of a JSON file.

    Args:
        path: path of the file.
        schema: type or `None`, as in `parse_json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is larger than `MAX_BYTES`, not UTF-8, or as for `parse_json`.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file has more than {MAX_BYTES:,} bytes")
    return parse_json(content.decode("utf-8"), schema)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as readable JSON, atomically."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_text(Path(path), text, errors="backslashreplace")  # unpaired surrogates, escaped as in JSON
