"""Distinguishes JSON lines from a table whose first cell begins with a brace."""

import json

from spanbert_keras.files.file_types import begins_like_object


def holds_json_lines(text: str, columns: int) -> bool:
    """Returns whether a text is JSON lines, some of them possibly damaged, rather than a table.

    Args:
        text: str. Content of the file.
        columns: int. Number of columns that are read; a table has at least that many.
    """
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines or not lines[0].lstrip().startswith("{"):
        return False
    if any(map(_is_object, lines)):
        return True
    # A table of several columns has a tab in its first line, and JSON lines rarely do.
    return "\t" not in lines[0] and (columns > 1 or begins_like_object(text))


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
