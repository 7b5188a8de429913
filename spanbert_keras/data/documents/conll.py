"""Documents from CoNLL-2012 files (`*_gold_conll`, `*_auto_conll`, gzipped or not), and back into them."""

import functools
import gzip
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

from spanbert_keras.data.documents.cluster_column import read_cluster_column, write_cluster_column
from spanbert_keras.data.documents.collector import (
    BadDocumentError,
    DocumentCollector,
    DocumentFile,
    read_lines,
    read_whole_lines,
)
from spanbert_keras.data.documents.conll_columns import FEWEST_WITH_WORDS, ConllTable, read_table
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import write_bytes
from spanbert_keras.preprocessing.document import Document, genre_of

BEGIN_LINE = re.compile(r"#\s*begin document\b")
HEADER_LINE = re.compile(r"#\s*begin document\s+\((.*)\)\s*;?\s*(?:part\s+(\S+)\s*)?")
END_LINE = re.compile(r"#\s*end document\b")
MISSING_WORD = "_"
# OntoNotes' spelling; the released code removes the slash before it cuts words into pieces.
SLASHED_WORDS = {"/.": ".", "/?": "?"}

Line = tuple[int, str]
Target = str | os.PathLike | TextIO


def read_conll(
    path: str | os.PathLike, skip_bad: bool = False, strip_slashes: bool = True, clusters: bool = True
) -> DocumentFile:
    """Reads a CoNLL-2012 file.

    CoNLL-2012 has at least twelve columns, separated by spaces or tabs: the fourth is the word, the tenth the speaker
    (`-` for unknown), the last the clusters (`-`, or nothing after a tab, for none). Fewer columns are read if the
    first are name, part, number of the word and word, without speakers, and no later column could hold the words:
    the column of words has more different values than one of tags or lemmas. The scorer's own files of a name and
    clusters have no words, and each token is `_`. A last column of parses, entities or arguments (`(V*)`) is not one
    of clusters; such a document has none. `notes` lists what was read from which column if that differs from
    CoNLL-2012, and a file whose columns cannot be identified is rejected. A blank line ends a sentence. The genre is
    the beginning of the document's name (`genre_of`). `cluster_numbers` keeps the file's own; clusters have the order
    in which the official scorer meets them, mentions that of start and end.

    Args:
        path: str or path.
        skip_bad: bool. Whether documents that cannot be used are left out and named in `left_out`.
        strip_slashes: bool. Whether the words `/.` and `/?` lose their slash, as in the released code.
        clusters: bool. Whether gold clusters are read. If not, their column may hold anything.

    Returns:
        `DocumentFile`, at least one document; documents without tokens are among them.

    Raises:
        InputError: the file cannot be read or holds no document; or, without `skip_bad`, a bracket without its partner,
            a sentence with rows of different numbers of columns, columns that cannot be identified, a missing
            `#end document`, text outside of documents, a malformed header, or two documents of one name and part.
            The message names file and line.

    Example:

    ```python
    import pathlib
    import tempfile

    from spanbert_keras import Document, read_conll, write_conll

    folder = tempfile.TemporaryDirectory()
    path = pathlib.Path(folder.name) / "documents.conll"
    write_conll(path, [Document(("Ann", "lost", "her", "hat"), clusters=(((0, 1), (2, 3)),), name="nw/a")])

    document = read_conll(path).documents[0]
    document.tokens  # ("Ann", "lost", "her", "hat")
    document.clusters  # (((0, 1), (2, 3)),)
    ```
    """
    collector = DocumentCollector(path, skip_bad)
    for header, lines in _blocks(collector.path, collector.reject):
        collector.add(header[0], functools.partial(_document, header, lines, strip_slashes, clusters, collector))
    return collector.result("conll")


def _blocks(path: str, reject: Callable[[int, str, bool], None]) -> Iterator[tuple[Line, list[Line]]]:
    """Yields the header of each document and the lines between it and its end."""
    header: Line | None = None
    lines: list[Line] = []
    in_order = True
    for number, text in read_lines(path):
        if BEGIN_LINE.match(text):
            if header is not None:
                reject(
                    header[0], f"{header[1]!r} has no '#end document' before the next begins in line {number}.", False
                )
            header, lines, in_order = (number, text), [], True
        elif END_LINE.match(text) and header is not None:
            yield header, lines
            header = None
        elif header is not None:
            lines.append((number, text))
        elif text.strip() and in_order:
            in_order = False  # reported once, not for every line
            reject(
                number,
                f"text outside of a document. Expected: '#begin document (name); part 000' before it. "
                f"Received: {text[:60]!r}.",
                not any(BEGIN_LINE.match(line) for _, line in read_lines(path)),
            )
    if header is not None:
        reject(header[0], f"{header[1]!r} has no '#end document' before the file ends.", False)


def _name_and_part(header: Line) -> tuple[str, int]:
    """Returns the name and part in a header."""
    number, text = header
    found = HEADER_LINE.fullmatch(text)
    if not found or not re.fullmatch("[0-9]+", found[2] or "0"):
        raise BadDocumentError(
            number,
            f"a document's header cannot be read. Expected: '#begin document (name); part 000'. Received: {text!r}.",
        )
    return found[1], int(found[2] or 0)


def _document(
    header: Line, lines: Sequence[Line], strip_slashes: bool, gold: bool, collector: DocumentCollector
) -> Document:
    """Returns the document of a header and its lines."""
    name, part = _name_and_part(header)
    table = read_table(lines)
    mentions = read_cluster_column(table.cluster_cells() if gold else ())
    clusters = collector.distinct(header[0], mentions.values(), name)
    if not table.has_words and table.rows:
        collector.note(
            table.rows[0][0],
            f"{len(table.rows)} rows of document {name!r} have fewer than {FEWEST_WITH_WORDS} columns and so no word; "
            f"{MISSING_WORD!r} stands for each.",
        )
    if table.note():
        collector.remark(header[0], table.note())
    return Document(
        tokens=tuple(_word(table, i, strip_slashes) for i in range(len(table.rows))),
        sentences=table.sentences,
        speakers=tuple(map(table.speaker, range(len(table.rows)))),
        genre=genre_of(name),
        clusters=tuple(tuple(sorted(cluster)) for cluster in clusters),
        name=name,
        part=part,
        cluster_numbers=tuple(mentions),
    )


def _word(table: ConllTable, row: int, strip_slashes: bool) -> str:
    if not table.has_words:
        return MISSING_WORD
    word = table.word(row)
    return SLASHED_WORDS.get(word, word) if strip_slashes else word


def write_conll(target: Target, documents: Iterable[Document], key: str | os.PathLike | None = None) -> None:
    """Writes documents as a CoNLL-2012 file of twelve columns that the official scorer accepts.

    `read_conll` restores words, speakers, sentences, clusters and their numbers; columns that a `Document` does not
    have are `-` or `*`.

    Args:
        target: str or path, or a text stream. A path that ends in .gz is gzipped; the file is replaced at the end.
        documents: iterable of `Document`.
        key: str, path or `None`. The CoNLL file that the documents were read from; all but its clusters is copied,
            since scorers look documents up by their headers (see `write_predictions`).

    Raises:
        InputError: a word or speaker with a blank in it, a name with a line break, two documents of one name and part,
            or two mentions of one cluster that cross.

    Example:

    ```python
    import sys

    from spanbert_keras import Document, write_conll

    document = Document(("Ann", "lost", "her", "hat"), clusters=(((0, 1), (2, 3)),), name="nw/a")
    write_conll(sys.stdout, [document])
    ```
    """
    if key is not None:
        write_predictions(key, target, documents)
        return
    lines: list[str] = []
    seen = set()
    for document in documents:
        where = f"Document {document.name!r}, part {document.part}"
        if (document.name, document.part) in seen:
            raise InputError(f"{where} is given twice. Expected: every name and part once in a CoNLL file.")
        seen.add((document.name, document.part))
        lines += _lines_of(document, where)
    _write(target, (f"{line}\n" for line in lines))


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
    """Writes a copy of a CoNLL-2012 file with other clusters; everything but the cluster column stays, byte for byte.

    A key without a column of clusters gets one.

    Args:
        key: str or path. The file that the documents were read from.
        target: as in `write_conll`.
        documents: iterable of `Document`, one for each document of the key, in any order, with the clusters to write.

    Raises:
        InputError: the key cannot be read; one of its documents is missing, has another number of tokens, or is given
            twice; a document is not in it; or two mentions of one cluster cross.
    """
    path = os.fspath(key)
    waiting: dict[tuple[str, int], Document] = {}
    for document in documents:
        if (document.name, document.part) in waiting:
            raise InputError(f"Document {document.name!r}, part {document.part} is predicted twice. Expected: once.")
        waiting[document.name, document.part] = document
    cells: dict[int, tuple[ConllTable, str]] = {}

    def reject(line: int, sentence: str, is_whole: bool) -> None:
        raise InputError(f"{path}, line {line}: {sentence}")

    for header, lines in _blocks(path, reject):
        try:
            name, part = _name_and_part(header)
            table = read_table(lines)
        except BadDocumentError as error:
            raise InputError(f"{path}, line {error.line}: {error}") from None
        where = f"{path}, line {header[0]}: document {name!r}, part {part}"
        found = waiting.pop((name, part), None)
        if found is None:
            raise InputError(f"{where} has no prediction. Expected: one for every document of the file, once.")
        if len(table.rows) != len(found):
            raise InputError(
                f"{where} has other words than the prediction. Expected: {len(table.rows)}. Received: {len(found)}."
            )
        columns = _columns_of(found, f"Document {name!r}, part {part}")
        cells |= {line: (table, column) for (line, _), column in zip(table.rows, columns, strict=True)}
    if waiting:
        name, part = next(iter(waiting))
        raise InputError(
            f"{len(waiting)} predicted documents are not in {path}, the first: {name!r}, part {part}. Expected: the "
            "documents of that file."
        )
    _write(target, (_with_cell(text, *cells.get(number, (None, ""))) for number, text in read_whole_lines(path)))


def _with_cell(text: str, table: ConllTable | None, cell: str) -> str:
    """Returns a line with another cluster cell and the same line end; a line outside of tables stays as it is."""
    row = text.rstrip("\r\n")
    return text if table is None else table.with_clusters(row, cell) + text[len(row) :]


def _write(target: Target, lines: Iterable[str]) -> None:
    """Writes lines, which have their line ends, to a stream, or to a file atomically."""
    text = "".join(lines)
    if not isinstance(target, str | os.PathLike):
        target.write(text)
        return
    path, content = pathlib.Path(target), text.encode("utf-8")
    write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
