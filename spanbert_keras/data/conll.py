"""Documents out of CoNLL-2012 files (`*_gold_conll`, `*_auto_conll`, gzipped or not), and back into them."""

import functools
import gzip
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

from spanbert_keras.data.cluster_column import read_cluster_column, write_cluster_column
from spanbert_keras.data.document_collector import BadDocumentError, DocumentCollector, DocumentFile, read_lines
from spanbert_keras.data.shard_files import write_atomically
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.document import Document, genre_of

BEGIN = re.compile(r"#\s*begin document\b")
HEADER = re.compile(r"#\s*begin document\s+\((.*)\)\s*;?\s*(?:part\s+(\S+)\s*)?")
END = re.compile(r"#\s*end document\b")
BLANKS = re.compile(r"[ \t]+")  # no other space: a word may hold one that does not break
LAST_COLUMN = re.compile(r"[^ \t]+(?=[ \t]*$)")
WORD_COLUMN, SPEAKER_COLUMN, FEWEST_COLUMNS = 3, 9, 5
NO_WORD = "_"
# OntoNotes writes these two so; the released code takes the slash away before it cuts words into pieces.
SLASHED = {"/.": ".", "/?": "?"}

Line = tuple[int, str]
Target = str | os.PathLike | TextIO


def read_conll(path: str | os.PathLike, skip_bad: bool = False, strip_slashes: bool = True) -> DocumentFile:
    """Reads a CoNLL-2012 file.

    Columns are told apart by spaces or tabs; the fourth is the word, the tenth the speaker (`-` for unknown), the last
    the clusters. Files of fewer than five columns, which only scorers read, have no words: each token is `_`. A blank
    line ends a sentence. The genre is what the document's name begins with (`genre_of`). `cluster_numbers` keeps the
    file's own; clusters come in the order in which the official scorer meets them, mentions by start and end.

    Args:
        path: str or path.
        skip_bad: bool. Whether documents that cannot be used are left out and named in `left_out`.
        strip_slashes: bool. Whether the words `/.` and `/?` lose their slash, as in the released code.

    Returns:
        `DocumentFile`, at least one document; documents without tokens are among them.

    Raises:
        InputError: the file cannot be read or holds no document; or, without `skip_bad`, a bracket without its partner,
            a sentence with rows of different numbers of columns, a missing `#end document`, text outside of documents,
            a header of another form, or two documents of one name and part. One sentence or two with file and line.
    """
    collector = DocumentCollector(path, skip_bad)
    for header, lines in _blocks(collector.path, collector.refuse):
        collector.add(header[0], functools.partial(_document, header, lines, strip_slashes, collector))
    return collector.result("conll")


def _blocks(path: str, refuse: Callable[[int, str], None]) -> Iterator[tuple[Line, list[Line]]]:
    """Yields the header of each document and the lines between it and its end."""
    header: Line | None = None
    lines: list[Line] = []
    in_order = True
    for number, text in read_lines(path):
        if BEGIN.match(text):
            if header is not None:
                refuse(header[0], f"{header[1]!r} has no '#end document' before the next begins in line {number}.")
            header, lines, in_order = (number, text), [], True
        elif END.match(text) and header is not None:
            yield header, lines
            header = None
        elif header is not None:
            lines.append((number, text))
        elif text.strip() and in_order:
            in_order = False  # said once, not for every line
            refuse(
                number,
                f"text outside of a document. Expected: '#begin document (name); part 000' before it. "
                f"Received: {text[:60]!r}.",
            )
    if header is not None:
        refuse(header[0], f"{header[1]!r} has no '#end document' before the file ends.")


def _name_and_part(header: Line) -> tuple[str, int]:
    """Returns what a header calls its document."""
    number, text = header
    found = HEADER.fullmatch(text)
    if not found or not re.fullmatch("[0-9]+", found[2] or "0"):
        raise BadDocumentError(
            number,
            f"a document's header cannot be read. Expected: '#begin document (name); part 000'. Received: {text!r}.",
        )
    return found[1], int(found[2] or 0)


def _document(header: Line, lines: Sequence[Line], strip_slashes: bool, collector: DocumentCollector) -> Document:
    """Returns the document of a header and its lines."""
    name, part = _name_and_part(header)
    rows: list[tuple[int, list[str]]] = []
    sentences, start = [], 0
    for number, text in (*lines, (0, "")):
        columns = BLANKS.split(text.strip(" \t")) if text.strip(" \t") else []
        if columns:
            if len(rows) > start and len(columns) != len(rows[start][1]):
                raise BadDocumentError(
                    number,
                    f"the rows of a sentence differ in columns. Expected: {len(rows[start][1])} as in line "
                    f"{rows[start][0]}. Received: {len(columns)}.",
                )
            rows.append((number, columns))
        elif len(rows) > start:
            sentences.append((start, len(rows)))
            start = len(rows)
    without = [number for number, columns in rows if len(columns) < FEWEST_COLUMNS]
    mentions = read_cluster_column((number, columns[-1]) for number, columns in rows)
    clusters = collector.distinct(header[0], mentions.values(), name)
    if without:
        collector.note(
            without[0],
            f"{len(without)} rows of document {name!r} have fewer than {FEWEST_COLUMNS} columns and so no word; "
            f"{NO_WORD!r} stands for each.",
        )
    return Document(
        tokens=tuple(_word(columns, strip_slashes) for _, columns in rows),
        sentences=tuple(sentences),
        speakers=tuple(_speaker(columns) for _, columns in rows),
        genre=genre_of(name),
        clusters=tuple(tuple(sorted(cluster)) for cluster in clusters),
        name=name,
        part=part,
        cluster_numbers=tuple(mentions),
    )


def _word(columns: list[str], strip_slashes: bool) -> str:
    if len(columns) < FEWEST_COLUMNS:
        return NO_WORD
    word = columns[WORD_COLUMN]
    return SLASHED.get(word, word) if strip_slashes else word


def _speaker(columns: list[str]) -> str:
    """Returns the speaker; the last column, where the tenth is that, holds clusters."""
    speaker = columns[SPEAKER_COLUMN] if len(columns) > SPEAKER_COLUMN + 1 else "-"
    return "" if speaker == "-" else speaker


def write_conll(target: Target, documents: Iterable[Document]) -> None:
    """Writes documents as a CoNLL-2012 file of twelve columns that the official scorer accepts.

    Words, speakers, sentences, clusters and their numbers come back from `read_conll`; what a `Document` does not hold
    is `-` or `*`.

    Args:
        target: str or path (gzipped if it ends in .gz; a file there is replaced when all is written), or a text stream.
        documents: iterable of `Document`.

    Raises:
        InputError: a word or speaker with a blank in it, a name with a line break, two documents of one name and part,
            or two mentions of one cluster that cross.
    """
    lines: list[str] = []
    seen = set()
    for document in documents:
        where = f"Document {document.name!r}, part {document.part}"
        if (document.name, document.part) in seen:
            raise InputError(f"{where} is there twice. Expected: every name and part once in a CoNLL file.")
        seen.add((document.name, document.part))
        lines += _lines_of(document, where)
    _write(target, lines)


def _lines_of(document: Document, where: str) -> Iterator[str]:
    """Yields the lines of a document."""
    if re.search("[\r\n]", document.name):
        raise InputError(f"{where}: the name holds a line break. Expected: a name on one line for a CoNLL file.")
    yield f"#begin document ({document.name}); part {document.part:03d}"
    columns = _columns_of(document, where)
    name = re.sub(r"[ \t]+", "_", document.name) or "-"
    for start, end in document.sentences:
        for i in range(start, end):
            word, speaker = document.tokens[i], document.speakers[i] or "-"
            for text in (word, speaker):
                if re.search("[ \t\r\n]", text):
                    raise InputError(f"{where}: token {i} holds a blank, which ends a column. Received: {text!r}.")
            row = (name, document.part, i - start, word, "-", "*", "-", "-", "-", speaker, "*", columns[i])
            yield "\t".join(map(str, row))
        yield ""
    yield "#end document"


def _columns_of(document: Document, where: str) -> list[str]:
    try:
        return write_cluster_column(document.clusters, len(document), document.cluster_numbers)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def write_predictions(key: str | os.PathLike, target: Target, documents: Iterable[Document]) -> None:
    """Writes a copy of a CoNLL-2012 file with other clusters: all columns but the last stay as they are.

    Args:
        key: str or path. The file that the documents were read from.
        target: as `write_conll` has it.
        documents: iterable of `Document`, one for each of the key, in any order, with the clusters to write.

    Raises:
        InputError: the key cannot be read; a document of it is missing, has another number of tokens, or is there
            twice; a document is not in it; or two mentions of one cluster cross.
    """
    path = os.fspath(key)
    waiting: dict[tuple[str, int], Document] = {}
    for document in documents:
        if (document.name, document.part) in waiting:
            raise InputError(f"Document {document.name!r}, part {document.part} is predicted twice. Expected: once.")
        waiting[document.name, document.part] = document
    output: list[str] = []

    def refuse(line: int, sentence: str) -> None:
        raise InputError(f"{path}, line {line}: {sentence}")

    for header, lines in _blocks(path, refuse):
        try:
            name, part = _name_and_part(header)
        except BadDocumentError as error:
            raise InputError(f"{path}, line {error.line}: {error}") from None
        where = f"{path}, line {header[0]}: document {name!r}, part {part}"
        found = waiting.pop((name, part), None)
        if found is None:
            raise InputError(f"{where} has no prediction. Expected: one for every document of the file, once.")
        rows = sum(bool(text.strip(" \t")) for _, text in lines)
        if rows != len(found):
            raise InputError(f"{where} has other words than the prediction. Expected: {rows}. Received: {len(found)}.")
        columns = iter(_columns_of(found, f"Document {name!r}, part {part}"))
        output.append(header[1])
        output += (_with_last_column(text, columns) for _, text in lines)
        output.append("#end document")
    if waiting:
        name, part = next(iter(waiting))
        raise InputError(
            f"{len(waiting)} predicted documents are not in {path}, the first: {name!r}, part {part}. Expected: those "
            "of that file."
        )
    _write(target, output)


def _with_last_column(text: str, columns: Iterator[str]) -> str:
    """Returns a row with the next of some columns in place of its last, or a blank line as it is."""
    found = LAST_COLUMN.search(text)
    return text[: found.start()] + next(columns) + text[found.end() :] if found else text


def _write(target: Target, lines: list[str]) -> None:
    """Writes lines to a stream, or to a file that is whole or not there."""
    text = "".join(f"{line}\n" for line in lines)
    if not isinstance(target, str | os.PathLike):
        target.write(text)
        return
    path, content = pathlib.Path(target), text.encode("utf-8")
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
