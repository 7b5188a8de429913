"""Shared by the readers of coreference files: lines of a file, documents as they are read, and what was left out."""

import dataclasses
import os
from collections.abc import Callable, Generator, Iterable

from spanbert_keras.errors import InputError, short_message
from spanbert_keras.files.byte_streams import gunzipped
from spanbert_keras.files.text_errors import decode
from spanbert_keras.preprocessing.document import Document, Span, drop_repeats


@dataclasses.dataclass(frozen=True)
class DocumentFile:
    """The content of a file.

    Attributes:
        documents: tuple of `Document`, in the file's order.
        format: "conll", "jsonl" (our own), "pieces" or "words" (the released code's).
        left_out: tuple of str. A sentence (file, line, what) for each document, mention or word of the file that
            `documents` lack.
        notes: tuple of str. A sentence for each way of reading columns that differs from CoNLL-2012.
    """

    documents: tuple[Document, ...]
    format: str
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()


class BadDocumentError(InputError):
    """A document cannot be used; `DocumentCollector` puts the file before the message.

    Args:
        line: int. Line of the file, from 1.
        sentence: str. The message.
        is_whole: bool. Whether the fault concerns the whole file, so that leaving documents out would not help.
    """

    def __init__(self, line: int, sentence: str, is_whole: bool = False):
        super().__init__(sentence)
        self.line = line
        self.is_whole = is_whole


def read_lines(path: str) -> Generator[tuple[int, str], None, None]:
    """Yields the number, from 1, and the text of every line of a UTF-8 file, gzipped or not.

    Raises:
        InputError: the file cannot be read to its end, or a line is not UTF-8.
    """
    for number, text in read_whole_lines(path):
        yield number, (text.removeprefix("\ufeff") if number == 1 else text).rstrip("\r\n")


def read_whole_lines(path: str) -> Generator[tuple[int, str], None, None]:
    """Yields what `read_lines` does, each line with its end and the first one with its byte order mark, if any."""
    with gunzipped(path) as stream:
        for number, line in enumerate(stream, start=1):
            yield number, decode(line, path, number)


class DocumentCollector:
    """The documents of one file as they are read; a bad one raises, or is left out and recorded.

    Args:
        path: str. Path of the file, for messages.
        skip_bad: bool. Whether a bad document is left out.
    """

    def __init__(self, path: str | os.PathLike, skip_bad: bool):
        self.path = os.fspath(path)
        self._skip = skip_bad
        self._documents: list[Document] = []
        self._left_out: list[str] = []
        self._lines: dict[tuple[str, int], int] = {}
        self._remarks: dict[str, list[int]] = {}

    def add(self, line: int, make: Callable[[], Document]) -> None:
        """Adds the document that `make` returns, unless it raises `InputError` or repeats a name and part.

        Args:
            line: int. Where the document begins.
            make: function that returns a `Document`.

        Raises:
            InputError: the document is bad, without `skip_bad`.
        """
        try:
            document = make()
            key = (document.name, document.part)
            if key in self._lines:
                raise BadDocumentError(
                    line,
                    f"document {document.name!r}, part {document.part}, is in line {self._lines[key]} already. "
                    "Expected: every name and part once.",
                )
        except InputError as error:
            self.reject(getattr(error, "line", line), str(error), getattr(error, "is_whole", False))
            return
        self._lines[key] = line
        self._documents.append(document)

    def reject(self, line: int, sentence: str, is_whole: bool = False) -> None:
        """Records a document that is left out; raises `InputError` with that sentence unless `skip_bad`."""
        self.note(line, sentence)
        if not self._skip:
            hint = "" if is_whole else "Correct the file, or leave such documents out with `skip_bad=True`."
            raise InputError(self._left_out[-1], hint)

    def note(self, line: int, sentence: str) -> None:
        """Records something in the file that the documents lack."""
        self._left_out.append(short_message(f"{self.path}, line {line}: {sentence}"))

    def remark(self, line: int, sentence: str) -> None:
        """Records how a document was read; equal sentences become one of `DocumentFile.notes`."""
        self._remarks.setdefault(sentence, []).append(line)

    def distinct(self, line: int, clusters: Iterable[Iterable[Span]], name: str) -> list[tuple[Span, ...]]:
        """Returns clusters without repeated mentions, which are recorded."""
        kept, dropped = drop_repeats(clusters)
        if dropped:
            cluster, (start, end) = dropped[0]
            self.note(
                line,
                f"{len(dropped)} mentions of document {name!r} are twice in their cluster and count once, the first: "
                f"[{start}, {end}) in cluster {cluster}.",
            )
        return list(kept)

    def result(self, format: str) -> DocumentFile:
        """Returns the content of the file.

        Raises:
            InputError: it holds no usable document.
        """
        if not self._documents:
            why = f"all are bad, the first: {self._left_out[0]}" if self._left_out else "it is empty."
            raise InputError(f"{self.path} gives no document: {why}")
        notes = (
            f"{self.path}, line {lines[0]}: {sentence} Documents read like this: {len(lines)}."
            for sentence, lines in self._remarks.items()
        )
        return DocumentFile(tuple(self._documents), format, tuple(self._left_out), tuple(notes))
