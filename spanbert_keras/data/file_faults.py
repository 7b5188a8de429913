"""What is wrong with a text file as a whole: its encoding, or JSON that is not one object per line."""

import json

from spanbert_keras.errors import InputError

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
SHOWN = 200  # bytes looked at for an encoding


def decode(content: bytes, path: str, line: int = 1, errors: str = "strict") -> str:
    """Returns UTF-8 content as text.

    Args:
        content: bytes. A file's content, or one of its lines.
        path: str. The file.
        line: int. The number of the first line of `content`, from 1.
        errors: str. As in `bytes.decode`.

    Raises:
        InputError: it is not UTF-8. One sentence names file, line and byte, and how to convert the file.
    """
    try:
        text = content.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        place = error.start
    else:
        if not _is_utf_16(content):
            return text
        place = content.index(0)
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
    """Returns whether content begins with UTF-16's byte order mark, or has a zero byte for every other letter."""
    head = content[:SHOWN]
    return head.startswith(UTF_16_MARKS) or (len(head) > 1 and 3 * head.count(0) > len(head))


def json_lines_fault(text: str) -> str:
    """Returns what a text is that should hold one JSON object per line, `""` if that cannot be said.

    Args:
        text: str. All of it, or its beginning up to the end of the first value.
    """
    text = text.removeprefix("\ufeff").lstrip()
    if text[:1] == "[":
        return "a JSON array"
    first = text.partition("\n")[0]
    if text[:1] != "{" or _begins_with_object(first):
        return ""
    return "a JSON object over several lines" if _begins_with_object(text) else ""


def _begins_with_object(text: str) -> bool:
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return True
