"""Streams of documents from text files, folders, JSON lines and Parquet, compressed or not."""

import dataclasses
import glob
import json
import os
import pathlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from spanbert_keras.data.corpus import embedded_corpus
from spanbert_keras.errors import InputError
from spanbert_keras.files.byte_streams import BYTE_ORDER_MARK, open_binary
from spanbert_keras.files.file_types import examine
from spanbert_keras.preprocessing.wordpiece import LONE_SURROGATES

EMBEDDED = "embedded"
SKIPPED = "skipped"
MAX_REASONS = 3  # skipped files that a message lists
MAX_LINE_BYTES = 1 << 20  # a longer line is cut at a space, so that memory stays bounded
MAX_DOCUMENT_CHARACTERS = 4_000_000  # War and Peace has 3.2 million
MAX_DOCUMENT_BYTES = 1 << 28  # of a line of JSON or a row of Parquet, which are read whole


@dataclasses.dataclass(frozen=True)
class CorpusFile:
    """One file to read, or the embedded corpus.

    Attributes:
        path: str. As the user wrote it (or the folder plus the file's name in it).
        kind: "text" (a blank line ends a document), "document" (the file is one), "jsonl", "parquet", "embedded", or
            "skipped": a file of a folder that contains no text.
        size: int. Bytes on disk.
        reason: str. Why it is skipped.
        max_document_bytes: int. Size of the largest line of JSON or row of Parquet.
    """

    path: str
    kind: str
    size: int
    reason: str = ""
    max_document_bytes: int = MAX_DOCUMENT_BYTES

    def check_size(self, size: int, where: str) -> None:
        """Raises `InputError` if a document of `size` bytes is too large."""
        if size > self.max_document_bytes:
            raise InputError(
                f"{self.path}, {where}: the document has more than {self.max_document_bytes:,} bytes. Expected: "
                "documents below the limit. Give a larger --max_document_bytes if it is right."
            )


@dataclasses.dataclass(frozen=True)
class RawDocument:
    """One document as it was read.

    Attributes:
        lines: list of str, without line breaks.
        undecodable: int. Bytes (or lone surrogates in JSON) that are not valid UTF-8 and became U+FFFD.
        continued: bool. Whether this is a further part of a document longer than `MAX_DOCUMENT_CHARACTERS`.
        position: int. Bytes of the file on disk consumed so far, for a progress bar.
    """

    lines: list[str]
    undecodable: int = 0
    continued: bool = False
    position: int = 0


def find_sources(
    inputs: Sequence[str], text_column: str = "text", max_document_bytes: int = MAX_DOCUMENT_BYTES
) -> list[CorpusFile]:
    """Finds the files that paths, folders and globs stand for, and determines the kind of each.

    The content decides: JSON lines, Parquet, gzip and zstandard are recognised under any name.

    Args:
        inputs: list of str. Each a file, a folder (every file in it and below except hidden ones, in sorted order), a
            glob, or "embedded". In a folder, JSON lines and Parquet hold many documents, any other text file is one.
        text_column: str. The field of JSON lines that holds the text.
        max_document_bytes: int. Size of the largest line of JSON or row of Parquet.

    Returns:
        list of `CorpusFile`, in the order given; those of a folder or glob sorted by name. Archives, pictures and other
        files without text have the kind "skipped" if they are in a folder.

    Raises:
        InputError: nothing is given, a path does not exist, a file is named twice, or a named file is not text.
    """
    sources = [source for item in inputs for source in _sources_of(item, text_column)]
    if not sources:
        raise InputError("--input names no file. Expected: files, folders or globs with text. Received: nothing.")
    seen: set[str] = set()
    for source in sources:
        real = os.path.realpath(source.path) if source.kind != EMBEDDED else EMBEDDED
        if real in seen:
            raise InputError(f"--input names {source.path} twice. Expected: every file once.")
        seen.add(real)
    return [dataclasses.replace(source, max_document_bytes=max_document_bytes) for source in sources]


def _sources_of(item: str, text_column: str) -> list[CorpusFile]:
    """Returns the sources of one item of `--input`."""
    if item == EMBEDDED:
        return [CorpusFile(EMBEDDED, EMBEDDED, embedded_corpus.size())]
    if os.path.isfile(item):
        return [_named(item, text_column)]
    if os.path.isdir(item):
        return _folder(item, text_column)
    matches = sorted(glob.glob(item, recursive=True))
    if not matches:
        raise InputError(f"--input={item} does not exist. Expected: a file, a folder, a matching glob, or `embedded`.")
    return [
        source
        for match in matches
        for source in ([_named(match, text_column)] if os.path.isfile(match) else _folder(match, text_column))
    ]


def _folder(folder: str, text_column: str) -> list[CorpusFile]:
    """Returns a source for every file below a folder that is not hidden."""
    root = pathlib.Path(folder)
    files = [path for path in root.rglob("*") if path.is_file()]
    shown = [p for p in files if not any(part.startswith(".") for part in p.relative_to(root).parts)]
    if not shown:
        raise InputError(f"--input: the folder {folder} holds no files. Expected: one document per file.")
    sources = [_source(str(path), "document", text_column) for path in sorted(shown)]
    if all(source.kind == SKIPPED for source in sources):
        raise InputError(f"--input: the folder {folder} contains no text. Received: {listed_skipped(sources)}.")
    return sources


def listed_skipped(sources: Sequence[CorpusFile]) -> str:
    """Returns the skipped sources in words: the first ones with their reasons, and the number of others."""
    skipped = [source for source in sources if source.kind == SKIPPED]
    shown = [f"{source.path} is {source.reason}" for source in skipped[:MAX_REASONS]]
    more = len(skipped) - len(shown)
    return "; ".join([*shown, *([f"and {more:,} more"] if more else [])])


def _named(path: str, text_column: str) -> CorpusFile:
    """Returns the source of a file that the user named."""
    source = _source(path, "text", text_column)
    if source.kind == SKIPPED:
        raise InputError(
            f"--input: {path} cannot be read as text: it is {source.reason}. Expected: text, JSON lines or Parquet, "
            "text also compressed by gzip or zstandard."
        )
    return source


def _source(path: str, kind: str, text_column: str) -> CorpusFile:
    """Returns the source of a file; its content takes precedence over `kind`."""
    try:
        size = os.path.getsize(path)
        kind, reason = examine(path, kind, text_column)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from error
    return CorpusFile(path, SKIPPED if reason else kind, size, reason)


def _unreadable(path: str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"The file {path} cannot be read to its end: {reason}.")


def read_raw_documents(source: CorpusFile, text_column: str = "text") -> Iterator[RawDocument]:
    """Streams the documents of one source; only one document is in memory at a time.

    A document longer than `MAX_DOCUMENT_CHARACTERS` is yielded in parts; all but the first are marked `continued`.

    Args:
        source: `CorpusFile`.
        text_column: str. The field of JSON lines, or the column of Parquet, that holds the text.

    Raises:
        InputError: the file cannot be read, is damaged, or is not of its format. The message names file and line.
    """
    readers: dict[str, Callable[[CorpusFile, str], Iterable[RawDocument]]] = {
        "text": _read_text,
        "document": _read_text,
        "jsonl": _read_jsonl,
        "parquet": _read_parquet,
        EMBEDDED: _read_embedded,
        SKIPPED: lambda *_: (),
    }
    try:
        yield from _cut_long(readers[source.kind](source, text_column))
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(source.path, error) from error


def _cut_long(documents: Iterable[RawDocument]) -> Iterator[RawDocument]:
    """Cuts documents above the limit at line ends; parts that a reader cut already pass."""
    for document in documents:
        if sum(map(len, document.lines)) <= MAX_DOCUMENT_CHARACTERS:
            yield document
            continue
        part: list[str] = []
        characters, continued, undecodable = 0, document.continued, document.undecodable
        for line in document.lines:
            if part and characters + len(line) > MAX_DOCUMENT_CHARACTERS:
                yield RawDocument(part, undecodable, continued, document.position)
                part, characters, continued, undecodable = [], 0, True, 0
            part.append(line)
            characters += len(line)
        yield RawDocument(part, undecodable, continued, document.position)


def decode(data: bytes) -> tuple[str, int]:
    """Returns UTF-8 as str, every undecodable byte as U+FFFD, and the number of those bytes."""
    try:
        return data.decode("utf-8"), 0
    except UnicodeDecodeError:
        return LONE_SURROGATES.subn("\ufffd", data.decode("utf-8", "surrogateescape"))


def _text_lines(stream: BinaryIO) -> Iterator[tuple[str, int]]:
    """Yields each line with its number of undecodable bytes; a line above `MAX_LINE_BYTES` is cut at spaces."""
    rest = b""
    first = True
    while raw := stream.readline(MAX_LINE_BYTES):
        raw = rest + (raw.removeprefix(BYTE_ORDER_MARK) if first else raw)
        rest, first = b"", False
        if not raw.endswith(b"\n") and len(raw) >= MAX_LINE_BYTES:
            cut = raw.rfind(b" ") + 1 or _character_boundary(raw)
            raw, rest = raw[:cut], raw[cut:]
        text, bad = decode(raw)
        yield text.rstrip("\r\n"), bad
    if rest:
        text, bad = decode(rest)
        yield text, bad


def _character_boundary(data: bytes) -> int:
    """Returns the length of `data` without a character cut short at its end."""
    end = len(data)
    while end > len(data) - 3 and data[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1 if data[end - 1] >= 0xC0 else len(data)


def _read_text(source: CorpusFile, _: str) -> Iterator[RawDocument]:
    """Yields the documents of a text file: blank lines end them, unless the whole file is one document."""
    whole = source.kind == "document"
    lines: list[str] = []
    characters = undecodable = 0
    continued = False
    stream, raw = open_binary(source.path)
    with raw, stream:
        for line, bad in _text_lines(stream):
            blank = not line.strip()
            if blank and not whole and (lines or continued):
                if lines:
                    yield RawDocument(lines, undecodable, continued, raw.tell())
                lines, characters, undecodable, continued = [], 0, 0, False
            if blank:
                continue
            if lines and characters + len(line) > MAX_DOCUMENT_CHARACTERS:
                yield RawDocument(lines, undecodable, continued, raw.tell())
                lines, characters, undecodable, continued = [], 0, 0, True
            lines.append(line)
            characters += len(line)
            undecodable += bad
        if lines or (whole and not continued):
            yield RawDocument(lines, undecodable, continued, raw.tell())


def _read_jsonl(source: CorpusFile, text_column: str) -> Iterator[RawDocument]:
    """Yields the document of each JSON line; blank lines are skipped."""
    stream, raw = open_binary(source.path)
    with raw, stream:
        lines = iter(lambda: stream.readline(source.max_document_bytes + 1), b"")
        for number, data in enumerate(lines, start=1):
            source.check_size(len(data), f"line {number}")
            line, bad = decode(data.removeprefix(BYTE_ORDER_MARK) if number == 1 else data)
            if line.strip():
                text = _json_text(line, text_column, f"{source.path}, line {number}")
                text, surrogates = LONE_SURROGATES.subn("\ufffd", text)
                yield RawDocument(split_lines(text), bad + surrogates, position=raw.tell())


def _json_text(line: str, text_column: str, where: str) -> str:
    """Returns the text field of one JSON line; `null` is an empty document."""
    expected = f'Expected: a JSON object with the text in "{text_column}" (--text_column).'
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON ({error}). {expected} Received: {line.strip()[:60]!r}.") from None
    if not isinstance(row, dict) or text_column not in row:
        found = f"the fields {', '.join(list(row)[:8])}" if isinstance(row, dict) else type(row).__name__
        raise InputError(f"{where} contains no text. {expected} Received: {found or 'no field'}.")
    text = row[text_column]
    if text is not None and not isinstance(text, str):
        raise InputError(f"{where} contains no text. {expected} Received: {type(text).__name__} there.")
    return text or ""


def split_lines(text: str) -> list[str]:
    """Returns the lines of a text that are not blank; those above `MAX_LINE_BYTES` characters are cut at spaces."""
    lines = [line for line in re.split(r"\r?\n", text) if line and not line.isspace()]
    if all(len(line) <= MAX_LINE_BYTES for line in lines):
        return lines
    return [part for line in lines for part in _cut_line(line)]


def _cut_line(line: str) -> Iterator[str]:
    """Yields parts of at most `MAX_LINE_BYTES` characters, cut after a space if there is one."""
    while len(line) > MAX_LINE_BYTES:
        cut = line.rfind(" ", 0, MAX_LINE_BYTES) + 1 or MAX_LINE_BYTES
        yield line[:cut]
        line = line[cut:]
    yield line


def _read_parquet(source: CorpusFile, text_column: str) -> Iterator[RawDocument]:
    """Yields the document of each row of a Parquet file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError(
            f'Reading {source.path} needs pyarrow. Install it with `pip install "spanbert-keras[parquet]"`.'
        ) from None
    try:
        with parquet.ParquetFile(source.path) as file:
            names, leaves = file.schema_arrow.names, file.schema.names
        if text_column not in names:
            raise InputError(
                f"{source.path} has no column {text_column!r} (--text_column). Received: {', '.join(names)}."
            )
        # A column with few values is a dictionary on disk, and stays one: its rows are expanded one by one.
        dictionary = [text_column] if text_column in leaves else []
        with parquet.ParquetFile(source.path, read_dictionary=dictionary) as file:
            rows = done = 0
            total = max(1, file.metadata.num_rows)
            for batch in file.iter_batches(batch_size=64, columns=[text_column], use_threads=False):
                done += len(batch)
                position = source.size * done // total
                for value in batch.column(0):
                    rows += 1
                    value = value.value if isinstance(value, pyarrow.DictionaryScalar) else value
                    if isinstance(value, pyarrow.StringScalar) and value.is_valid:
                        source.check_size(value.as_buffer().size, f"row {rows}")
                    text = value.as_py() if value is not None else None
                    if text is not None and not isinstance(text, str):
                        raise InputError(
                            f"{source.path}, row {rows}: the column {text_column!r} must hold text. "
                            f"Received: {type(text).__name__}."
                        )
                    yield RawDocument(split_lines(text or ""), position=position)
    except pyarrow.ArrowException as error:
        raise InputError(f"The file {source.path} is not a readable Parquet file: {error}.") from error


def _read_embedded(source: CorpusFile, _: str) -> Iterator[RawDocument]:
    """Yields the documents of the embedded corpus."""
    position = 0
    for text in embedded_corpus.documents():
        position += len(text)
        yield RawDocument(split_lines(text), position=min(position, source.size))
