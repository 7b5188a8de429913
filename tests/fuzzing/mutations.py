"""Changes of files as hypothesis strategies: bytes, numbers, lines, values of JSON, and the entries of archives.

Places are shares of what is there, so that one list of changes can be applied to any file, and shrinks well.
"""

import gzip
import io
import json
import re
import zipfile
import zlib

from hypothesis import strategies as st

DEEP = 100_000
ODD_VALUES = (
    None,
    True,
    -1,
    0,
    1.5,
    10**9,
    2**63,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../x",
    "\ud800",
    "9" * 5_000,
    "y" * 100_000,
    [],
    {},
    [[]],
    {"": None},
    ["a", 1, None],
    "@deep@",
)
ODD_NUMBERS = (b"-1", b"0", b"1e9", b"999999999999", b"18446744073709551616", b"NaN", b"Infinity", b"1.5", b"", b"x")
ODD_BYTES = (
    b"\x00" * 16,
    b"\xff" * 16,
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\n\n",
    b"\t",
    b'"',
    b"{" * 2_000,
    b"[" * 100_000,
    b"z" * 100_000,
    b"\\",
    b"--flagfile=",
)
LINE_KINDS = ("drop_line", "repeat_line", "swap_lines")
VALUE_KINDS = ("value", "drop", "key")
INSIDE_KINDS = (*LINE_KINDS, *VALUE_KINDS, "number")  # of archives and compressed files
places = st.floats(0, 1, exclude_max=True)
byte_edits = st.tuples(
    st.sampled_from(("flip", "zero", "cut", "remove", "repeat", "insert", "overwrite")),
    places,
    st.integers(1, 200),
    st.sampled_from(ODD_BYTES) | st.binary(min_size=1, max_size=8),
)
number_edits = st.tuples(st.just("number"), places, st.just(0), st.sampled_from(ODD_NUMBERS))
line_edits = st.tuples(st.sampled_from(LINE_KINDS), places, st.integers(1, 50), st.none())
value_edits = st.tuples(st.sampled_from(VALUE_KINDS), places, st.just(0), st.sampled_from(ODD_VALUES))
edits = st.one_of(byte_edits, number_edits, line_edits, value_edits)
damages = st.lists(st.tuples(places, edits), min_size=1, max_size=3)  # (which file, change)


def changed(content: bytes, edit: tuple) -> bytes:
    """Returns a file's content after one change; the change goes into an archive's entry, or into compressed text."""
    kind, place, _, _ = edit
    inside = kind in INSIDE_KINDS
    if inside and content.startswith(b"PK\x03\x04"):
        return _changed_archive(content, edit)
    if inside and content.startswith(b"\x1f\x8b"):
        try:
            return gzip.compress(changed(gzip.decompress(content), edit), 1, mtime=0)
        except (OSError, EOFError, zlib.error):
            return content
    if kind in VALUE_KINDS:
        return _changed_json(content, edit)
    if kind == "number":
        return _changed_number(content, edit)
    if kind in LINE_KINDS:
        return _changed_lines(content, edit)
    return _changed_bytes(content, edit)


def _changed_bytes(content: bytes, edit: tuple) -> bytes:
    kind, place, length, data = edit
    at = int(place * len(content))
    end = min(at + length, len(content))
    if not content:
        return b"x"
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ (length & 255 or 1)]) + content[at + 1 :]
    return {
        "zero": content[:at] + bytes(end - at) + content[end:],
        "cut": content[:at],
        "remove": content[:at] + content[end:],
        "repeat": content[:at] + content[at:end] * 3 + content[end:],
        "insert": content[:at] + data + content[at:],
        "overwrite": content[:at] + data + content[at + len(data) :],
    }[kind]


def _changed_number(content: bytes, edit: tuple) -> bytes:
    found = list(re.finditer(rb"\d+(?:\.\d+)?", content[:200_000]))
    if not found:
        return content
    match = found[int(edit[1] * len(found))]
    return content[: match.start()] + edit[3] + content[match.end() :]


def _changed_lines(content: bytes, edit: tuple) -> bytes:
    kind, place, distance, _ = edit
    lines = content.splitlines(keepends=True)
    if not lines:
        return content
    at = int(place * len(lines))
    other = (at + distance) % len(lines)
    if kind == "drop_line":
        del lines[at]
    elif kind == "repeat_line":
        lines.insert(other, lines[at])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return b"".join(lines)


def _changed_json(content: bytes, edit: tuple) -> bytes:
    """Changes a node of a JSON value; of JSON lines, one of the first hundred lines."""
    try:
        return _dumped(_changed_value(json.loads(content), edit))
    except (ValueError, RecursionError):
        pass
    lines = content.split(b"\n")
    at = int(edit[1] * min(len(lines), 100))
    try:
        lines[at] = _dumped(_changed_value(json.loads(lines[at]), edit))
    except (ValueError, RecursionError):
        return _changed_bytes(content, ("flip", *edit[1:]))
    return b"\n".join(lines)


def _dumped(value) -> bytes:
    text = json.dumps(value)
    return text.replace('"@deep@"', "[" * DEEP + "]" * DEEP).encode()


def _changed_value(value, edit: tuple):
    """Returns a value of JSON in which one node is replaced or removed, or has another key."""
    kind, place, _, odd = edit
    nodes: list[tuple] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        for key in keys:
            nodes.append((one, key))
            waiting.append(one[key])
    if not nodes:
        return odd
    parent, key = nodes[int((place * 7919) % 1 * len(nodes))]
    if kind == "value":
        parent[key] = odd
    elif kind == "drop":
        del parent[key]
    elif isinstance(parent, dict):
        parent[str(odd)[:300]] = parent.pop(key)
    else:
        parent.append(parent[key])
    return value


def _changed_archive(content: bytes, edit: tuple) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError):
        return content
    texts = [number for number, (_, data) in enumerate(entries) if data[:1] in (b"{", b"[")] or range(len(entries))
    at = texts[int(edit[1] * 31 % 1 * len(texts))]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, data) in enumerate(entries):
            archive.writestr(zipfile.ZipInfo(name), changed(data, edit) if number == at else data)
    return out.getvalue()
