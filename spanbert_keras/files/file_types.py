"""Detects the type of a corpus file from its first bytes: text, JSON lines, Parquet, or a file without text."""

import json
import re
from typing import Any

from spanbert_keras.files.byte_streams import GZIP, ZSTANDARD, open_binary

PREFIX_BYTES = 1 << 16  # read from each file to detect its type
MAX_CONTROL_SHARE = 0.05  # largest share of control characters in a text
JSON_LINES, JSON_NAMES = (".jsonl", ".ndjson"), (".json", ".jsonl", ".ndjson")
PARQUET = b"PAR1"
ARCHIVE, COMPRESSED = "an archive ({})", "compressed in a form that is not supported ({})"
PICTURE, BINARY = "a picture ({})", "a binary file ({})"
FIRST_BYTES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", ARCHIVE.format("zip; also the form of .docx, .xlsx, .epub and .npz")),
    (b"PK\x05\x06", ARCHIVE.format("zip")),
    (b"PK\x07\x08", ARCHIVE.format("zip")),
    (b"7z\xbc\xaf\x27\x1c", ARCHIVE.format("7z")),
    (b"Rar!\x1a\x07", ARCHIVE.format("rar")),
    (b"!<arch>\n", ARCHIVE.format("ar")),
    (b"WARC/", ARCHIVE.format("WARC")),
    (b"\xfd7zXZ\x00", COMPRESSED.format("xz")),
    (b"\x5d\x00\x00", COMPRESSED.format("lzma")),
    (b"LZIP\x01", COMPRESSED.format("lzip")),
    (b"\x89LZO\x00", COMPRESSED.format("lzop")),
    (b"\x04\x22\x4d\x18", COMPRESSED.format("lz4")),
    (b"\x02\x21\x4c\x18", COMPRESSED.format("lz4")),
    (b"\xff\x06\x00\x00sNaPpY", COMPRESSED.format("snappy")),
    (b"\x1f\x9d", COMPRESSED.format("Z")),
    (b"\x1f\xa0", COMPRESSED.format("Z")),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document (.doc, .xls or .ppt)"),
    (b"\x89PNG", PICTURE.format("PNG")),
    (b"\xff\xd8\xff", PICTURE.format("JPEG")),
    (b"GIF87a", PICTURE.format("GIF")),
    (b"GIF89a", PICTURE.format("GIF")),
    (b"II*\x00", PICTURE.format("TIFF")),
    (b"MM\x00*", PICTURE.format("TIFF")),
    (b"\x89HDF\r\n", BINARY.format("HDF5")),
    (b"SQLite format 3\x00", BINARY.format("SQLite")),
    (b"\x93NUMPY", BINARY.format("NumPy")),
    (b"ARROW1\x00\x00", BINARY.format("Arrow")),
    (b"Obj\x01", BINARY.format("Avro")),
    (b"\xff\xfe\x00\x00", "UTF-32 text; convert it to UTF-8"),
    (b"\x00\x00\xfe\xff", "UTF-32 text; convert it to UTF-8"),
    (b"version https://git-lfs", "a pointer of git-lfs; fetch the file itself with `git lfs pull`"),
)
BZIP2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
PARQUET_BEGINNING = re.compile(rb"PAR([1E])[\x00-\x1f\x7f-\xff]")  # the signature alone could be a word
PICKLE = re.compile(rb"\x80[\x02-\x05][\x00-\xff]")
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
JSON_STRING = r'"(?:[^"\\\n]|\\.)*"'
JSON_VALUE_START = r"(?:[\"\[{]|-?\d|true\b|false\b|null\b)"
FIRST_KEY = re.compile(rf"\{{\s*{JSON_STRING}\s*:\s*{JSON_VALUE_START}")
ADVICE = {
    "array": "a JSON array; expected: JSON lines, one object with the text per line (jq -c '.[]' makes them)",
    "document": "JSON on several lines; expected: JSON lines, one object with the text per line (jq -c . makes them)",
}


def binary_form(content: bytes) -> str:
    """Returns the type of a binary file as a noun phrase, from its first bytes; "" for text.

    For readers of plain text. A reader that can decompress a file passes the decompressed content.

    Args:
        content: bytes. The file's content, or at least its first line.
    """
    head = content[:512]
    if head.startswith(GZIP):
        return "compressed with gzip"
    if head.startswith(ZSTANDARD):
        return COMPRESSED.format("zstandard")
    if PARQUET_BEGINNING.match(head):
        return BINARY.format("Parquet")
    return _binary_type(head, compressed=False)


def examine(path: str, kind: str, text_column: str = "text") -> tuple[str, str]:
    """Returns the kind of source that a file is, and the reason if it cannot be read as text.

    Reads at most `PREFIX_BYTES` of its content. Prose that begins with a bracket stays prose: JSON lines have an object
    on the first line and on most of the others.

    Args:
        path: str. Path of a regular file.
        kind: str. Kind unless the content shows another: "text" or "document".
        text_column: str. Name of the field with the text in JSON lines.

    Returns:
        (kind, reason): kind is the given one, "jsonl" or "parquet"; reason is empty for a file that can be read, else a
        noun phrase. A "document" in JSON without the text field has a reason too.

    Raises:
        OSError, EOFError, zlib.error: the file cannot be read, or is damaged.
    """
    named = path.lower().removesuffix(".gz").removesuffix(".zst")
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(PARQUET) or path.endswith(".parquet"):
        return "parquet", ""
    reason = _binary_type(head, compressed=False)
    if not reason:
        stream, raw = open_binary(path)
        with raw, stream:
            prefix = stream.read(PREFIX_BYTES + 1)
        whole, prefix = len(prefix) <= PREFIX_BYTES, prefix[:PREFIX_BYTES]
        reason = _binary_type(prefix, compressed=prefix[:512] != head[: len(prefix)]) or _binary_reason(prefix, named)
    if reason:
        return kind, reason
    form = _json_form(_text_of(prefix), whole, named.endswith(JSON_NAMES))
    if form in ADVICE:
        return kind, ADVICE[form]
    if named.endswith(JSON_LINES):
        return "jsonl", ""
    if form != "lines":
        return kind, ""
    if kind == "document" and _lacks_field(_text_of(prefix), text_column):
        return kind, f"JSON without the field {text_column!r} (--text_column)"
    return "jsonl", ""


def _binary_type(head: bytes, compressed: bool) -> str:
    """Returns the type of a file as a noun phrase, from its first bytes; "" if it may be text.

    Args:
        head: bytes. First bytes of the file's content.
        compressed: bool. Whether they come from a compressed file. Then compressed data and Parquet are rejected too.
    """
    for first, reason in FIRST_BYTES:
        if head.startswith(first):
            return reason
    if head.startswith(b"PARE") and PARQUET_BEGINNING.match(head):
        return BINARY.format("encrypted Parquet")
    if BZIP2.match(head):
        return COMPRESSED.format("bzip2")
    if head[257:262] == b"ustar":
        return ARCHIVE.format("tar")
    if PICKLE.match(head):
        return BINARY.format("pickle")
    if compressed and head.startswith((GZIP, ZSTANDARD)):
        return "compressed twice"
    if compressed and head.startswith(PARQUET):
        return "Parquet in a compressed file; decompress it"
    return ""


def _binary_reason(prefix: bytes, named: str) -> str:
    """Returns the reason why content is not text, as a noun phrase; "" if it may be text."""
    if named.endswith(".br") and "\ufffd" in prefix.decode("utf-8", "replace"):  # Brotli has no signature
        return COMPRESSED.format("Brotli")
    if b"\x00" in prefix:
        return BINARY.format("it has NUL bytes; if it is UTF-16 text, convert it to UTF-8")
    if looks_binary(prefix):
        return BINARY.format("it has many control characters")
    return ""


def looks_binary(content: bytes) -> bool:
    """Returns whether the beginning of content has NUL bytes or many control characters.

    Text in an encoding of one byte per character has fewer.
    """
    prefix = content[:PREFIX_BYTES]
    return b"\x00" in prefix or len(CONTROLS.findall(prefix)) > MAX_CONTROL_SHARE * len(prefix)


def begins_like_object(text: str) -> bool:
    """Returns whether a text begins like a JSON object with a key, complete or not."""
    return FIRST_KEY.match(text.lstrip()) is not None


def begins_like_array(text: str) -> bool:
    """Returns whether a text that is not valid JSON begins like a JSON array of texts, arrays or objects."""
    inside = text.removeprefix("[").lstrip()
    try:
        _, end = json.JSONDecoder().raw_decode(inside)
    except (ValueError, RecursionError):
        return FIRST_KEY.match(inside) is not None  # an incomplete member
    return re.match(rf"\s*,\s*{JSON_VALUE_START}", inside[end:]) is not None and inside[0] in '"[{'


def _text_of(prefix: bytes) -> str:
    return prefix.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")


def _json_form(text: str, whole: bool, named: bool) -> str:
    """Returns "lines", "array" or "document" for JSON, "" for prose.

    Args:
        text: str. The content's beginning, without leading whitespace.
        whole: bool. Whether this is the whole content.
        named: bool. Whether the file's name has a suffix of JSON.
    """
    if text.startswith("{"):
        return _object_form(text, whole, named)
    return "array" if text.startswith("[") and _is_array(text, whole) else ""


def _object_form(text: str, whole: bool, named: bool) -> str:
    """Returns the form of JSON that begins with an object, from its lines."""
    lines = [line.strip() for line in text.split("\n")]
    complete = lines if whole else lines[:-1]
    first, rest = lines[0], [line for line in complete[1:] if line]
    if not complete:  # the first line is longer than the prefix
        return "lines" if FIRST_KEY.match(text) else ""
    if isinstance(_parsed(first), dict):
        return "lines" if named or 2 * sum(line.startswith("{") for line in rest) >= len(rest) else ""
    if not FIRST_KEY.match(text):
        return ""
    if first[-1] in "{[,:":
        return "document"
    damaged = named or any(isinstance(_parsed(line), dict) for line in rest)
    return "lines" if damaged else ""


def _is_array(text: str, whole: bool) -> bool:
    """Returns whether text is a JSON array of values that may hold text, or begins like one."""
    if whole and isinstance(value := _parsed(text), list):
        return any(isinstance(member, str | list | dict) for member in value)
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and all(isinstance(_parsed(line), list) for line in lines[:2]):
        return any(isinstance(member, str | list | dict) for member in _parsed(lines[0]))
    return begins_like_array(text)


def _parsed(text: str) -> Any:
    """Returns the value of a JSON text, `None` if it is not valid JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lacks_field(text: str, text_column: str) -> bool:
    """Returns whether the first line is a JSON object without the text field."""
    value = _parsed(text.split("\n", 1)[0])
    return isinstance(value, dict) and text_column not in value
