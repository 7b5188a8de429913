"""Faults of whole text files: binary content, another encoding, or JSON that is not one object per line."""

import json

from spanbert_keras.errors import InputError
from spanbert_keras.files.file_types import begins_like_array, binary_form, looks_binary

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
ENCODING_SAMPLE = 200  # number of bytes from which an encoding is guessed


def decode(content: bytes, path: str, line: int = 1, errors: str = "strict") -> str:
    """Returns UTF-8 content as text.

    Args:
        content: bytes. A file's content, or one of its lines.
        path: str. Path of the file, for messages.
        line: int. Number of the first line of `content`, from 1.
        errors: str. As in `bytes.decode`.

    Raises:
        InputError: it is not UTF-8, or the file is not text. The message names the type of the file or, for text in
            another encoding, line and byte, and how to convert the file.
    """
    form = binary_form(content) if line == 1 else ""
    if form:
        raise InputError(f"{path} is {form}. Expected: UTF-8 text, gzipped or not.")
    try:
        text = content.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        place = error.start
    else:
        if not _is_utf_16(content):
            return text
        place = content.index(0)
    if not _is_utf_16(content) and looks_binary(content):
        raise InputError(
            f"{path} is a binary file: it has NUL bytes or many control characters. Expected: UTF-8 text, gzipped or "
            "not."
        )
    start = content.rfind(b"\n", 0, place) + 1
    encoding = "UTF-16" if _is_utf_16(content) else "ISO-8859-1"
    guess = f", but {encoding} by its first bytes" if encoding == "UTF-16" else ""
    number = line + content.count(b"\n", 0, place)
    raise InputError(
        f"{path}, line {number} is not UTF-8{guess}. Expected: UTF-8; convert the file, e.g. with "
        f"`iconv -f {encoding} -t UTF-8`. Received: {content[max(place - 10, start) : place + 10]!r}, with "
        f"0x{content[place]:02x} at byte {place - start} of the line."
    ) from None


def _is_utf_16(content: bytes) -> bool:
    """Returns whether content has UTF-16's byte order mark, or many zero bytes, nearly all in one half of each pair."""
    head = content[:ENCODING_SAMPLE]
    zeros = sorted((head[::2].count(0), head[1::2].count(0)))
    return head.startswith(UTF_16_MARKS) or (len(head) > 1 and 3 * sum(zeros) > len(head) and 10 * zeros[0] <= zeros[1])


def json_lines_fault(text: str) -> str:
    """Returns the form of a text that should hold one JSON object per line; `""` if it is not a known wrong form.

    Args:
        text: str. The whole text, or its beginning up to the end of the first value.
    """
    text = text.removeprefix("\ufeff").lstrip()
    if text[:1] == "[":
        return "a JSON array" if _is_array(text) else ""
    first = text.partition("\n")[0]
    if text[:1] != "{" or _begins_with_value(first):
        return ""
    return "a JSON object over several lines" if _begins_with_value(text) else ""


def _is_array(text: str) -> bool:
    """Returns whether a text is a JSON array, complete or damaged, not followed by more text or a table cell."""
    if _begins_with_value(text):
        _, end = json.JSONDecoder().raw_decode(text)
        return text[end:].partition("\n")[0].strip() in ("", ",")
    inside = text[1:].lstrip()
    if "\t" in text.partition("\n")[0]:
        return False
    if _begins_with_value(inside):
        _, end = json.JSONDecoder().raw_decode(inside)
        if inside[end:].strip() in ("", ","):  # truncated after its first member
            return True
    return begins_like_array(text)


def _begins_with_value(text: str) -> bool:
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return True
