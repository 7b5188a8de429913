"""Reads texts with named entities: columns of tags, or JSON lines; every example is checked."""

import bisect
import dataclasses
import functools
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spanbert_keras.files.text_errors import json_lines_fault
from spanbert_keras.program import InputError, shown
from tasks.named_entities.tags import Entity, entities_of, is_tag
from tasks.shared.example_collector import ExampleCollector
from tasks.shared.text_files import read_text

FORM = (
    "a token and its tags on each line (CoNLL-2003, or stacked columns for nested entities), or JSON lines with `text` "
    "or `tokens` and `entities`"
)
CONTEXTS = ("document", "sentence")
DOCUMENT_MARKS = ("-DOCSTART-", "# document")


@dataclasses.dataclass(frozen=True)
class Example:
    """A text with its entities.

    Attributes:
        id: str. Unique in its file.
        text: str, or tuple of str, its tokens.
        entities: tuple of (start, end, label). Half-open places of characters in a str, else of tokens.
        sentences: tuple of (start, end). Half-open ranges of tokens; () for a str.
    """

    id: str
    text: str | tuple[str, ...]
    entities: tuple[Entity, ...]
    sentences: tuple[tuple[int, int], ...] = ()

    def parts(self) -> "list[Example]":
        """Returns an example for each sentence; itself if it has none."""
        parts = []
        for number, ((start, end), entities) in enumerate(
            zip(self.sentences, by_sentence(self.entities, self.sentences), strict=True)
        ):
            moved = tuple((a - start, b - start, label) for a, b, label in entities)
            parts.append(Example(f"{self.id}/{number}", self.text[start:end], moved, ((0, end - start),)))
        return parts or [self]


def by_sentence(entities: Iterable[Entity], sentences: Sequence[tuple[int, int]]) -> list[list[Entity]]:
    """Returns the entities of each sentence; those that cross its end are left out.

    Args:
        entities: iterable of (start, end, label).
        sentences: sequence of (start, end), which follow each other.
    """
    starts = [start for start, _ in sentences]
    found: list[list[Entity]] = [[] for _ in sentences]
    for entity in entities:
        place = bisect.bisect_right(starts, entity[0]) - 1
        if place >= 0 and entity[1] <= sentences[place][1]:
            found[place].append(entity)
    return found


@dataclasses.dataclass(frozen=True)
class ExampleFile:
    """The examples of a file.

    Attributes:
        examples: list of `Example`, at least one.
        left_out: list of str. A sentence for each bad example.
        tag_columns: int. Number of columns with tags; 0 for JSON lines.
    """

    examples: list[Example]
    left_out: list[str]
    tag_columns: int


def read(
    path: str | os.PathLike, skip_bad: bool = False, context: str = "document", tag_column: int = 0, gold: bool = True
) -> ExampleFile:
    """Reads a file; gzipped or not.

    Columns: a token on each line, then its tags, separated by tabs or blanks; an empty line ends a sentence, a line
    that begins with `-DOCSTART-` or `# document` begins a document. If every cell after the first on the first line is
    a tag, all of these columns are read, as nested entities; otherwise the last one, as in CoNLL-2003.

    JSON lines: `{"text": "Ann met Bob.", "entities": [[0, 3, "PER"]]}`, or `tokens` instead of `text`. An entity may
    also be `{"start": 0, "end": 3, "label": "PER"}`; ends are exclusive. `id` may be left out.

    Args:
        path: str or path.
        skip_bad: bool. Whether bad examples are left out, with a sentence each.
        context: `"document"`, or `"sentence"`: an example for each sentence of the columns.
        tag_column: int. Number of the only column of tags, from 2; 0: as above.
        gold: bool. Whether entities are read; otherwise there are none.

    Raises:
        InputError: the file cannot be read or has another form, an example is bad and `skip_bad` is off, or none is
            left.
    """
    name = os.fspath(path)
    text = read_text(name, FORM)
    collector = ExampleCollector(name, skip_bad)
    columns = 0
    if _is_json(text):
        fault = json_lines_fault(text)
        if fault:
            raise InputError(f"{name} is {fault}. Expected: {FORM}.")
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                where = f"{name}, line {number}"
                collector.add(functools.partial(_of_json, line, where, number, gold), f"line {number}")
    else:
        rows = _Rows(text, name, tag_column, gold)
        columns = rows.count
        for place, make in rows.documents():
            collector.add(make, place)
    examples = collector.examples
    if context == "sentence":
        examples = [part for example in examples for part in example.parts()]
    if not examples and collector.left_out:
        raise InputError(f"{name} holds no usable text. {collector.left_out[0]}")
    if not examples:
        raise InputError(f"{name} holds no text. Expected: {FORM}. Received: {text[:40]!r}.")
    return ExampleFile(examples, collector.left_out, columns)


def labels_of(examples: Sequence[Example]) -> list[str]:
    """Returns the labels of training examples in the order of a model's classes: by frequency, then by name."""
    counts = Counter(label for example in examples for _, _, label in example.entities)
    return sorted(counts, key=lambda label: (-counts[label], label))


class _Rows:
    """The lines of a file of columns.

    Attributes:
        count: int. Number of columns with tags.
    """

    def __init__(self, text: str, name: str, tag_column: int, gold: bool):
        self.name = name
        self.gold = gold
        self.lines = text.split("\n")
        rows = ((number, _cells(line)) for number, line in enumerate(self.lines, 1) if _has_token(line))
        cells = dict(rows)  # by the number of the line
        widths = {len(row) for row in cells.values()}
        least, most = min(widths, default=2), max(widths, default=2)
        if tag_column and not 2 <= tag_column <= max(2, least):
            raise InputError(
                f"{name} has {least} columns. Expected: --tag_column from 2 to {least}. Received: {tag_column}."
            )
        first = next(iter(cells.values()), [])
        stacked = all(is_tag(cell) for cell in first[1:])
        if not stacked and len(widths) > 1:
            number = next(number for number, row in cells.items() if len(row) != len(first))
            raise InputError(
                f"{name}, line {number} has {len(cells[number])} columns. Expected: {len(first)}, as the first line; "
                f"{FORM}. Received: {shown(self.lines[number - 1], 60)}."
            )
        self.columns = [tag_column - 1] if tag_column else list(range(1, max(2, most))) if stacked else [-1]
        self.count = len(self.columns)

    def documents(self) -> Iterator[tuple[str, Any]]:
        """Yields the place of each document in words, and the function that makes its example."""
        first, lines, mark = 1, [], ""
        for number, line in enumerate([*self.lines, DOCUMENT_MARKS[0]], 1):
            if line.startswith(DOCUMENT_MARKS):
                if any(one.strip() for one in lines):
                    yield f"line {first}", functools.partial(self._document, first, lines, mark)
                first, lines, mark = number + 1, [], line
            else:
                lines.append(line)

    def _document(self, first: int, lines: list[str], mark: str) -> Example:
        tokens: list[str] = []
        entities: list[Entity] = []
        sentences: list[tuple[int, int]] = []
        sentence: list[list[str]] = []
        for number, line in enumerate([*lines, ""], first):
            if line.strip():
                cells = _cells(line)
                if self.gold:
                    self._check(cells, number)
                cells += ["O"] * (max(self.columns) + 1 - len(cells))  # LitBank's documents have as many as they need
                sentence.append(cells)
            elif sentence:
                start = len(tokens)
                tokens += [cells[0] for cells in sentence]
                sentences.append((start, len(tokens)))
                for column in self.columns if self.gold else ():
                    of_column = entities_of([cells[column] for cells in sentence])
                    entities += [(start + a, start + b, label) for a, b, label in of_column]
                sentence = []
        name = mark.removeprefix(DOCUMENT_MARKS[1]).strip() if mark.startswith(DOCUMENT_MARKS[1]) else ""
        unique = tuple(sorted(set(entities)))
        return Example(name or f"line {first}", tuple(tokens), unique, tuple(sentences))

    def _check(self, cells: list[str], number: int) -> None:
        if len(cells) < 2:
            raise InputError(
                f"{self.name}, line {number} has no tag. Expected: {FORM}. Received: {shown(cells[0], 60)}."
            )
        for column in self.columns:
            if column < len(cells) and not is_tag(cells[column]):
                raise InputError(
                    f"{self.name}, line {number}: the tag must be O, or B-, I-, E-, L-, S- or U- and a label. "
                    f"Received: {shown(cells[column], 60)}."
                )


def _cells(line: str) -> list[str]:
    cells = line.rstrip("\r").split("\t") if "\t" in line else line.split()
    while len(cells) > 1 and not cells[-1].strip():
        cells.pop()
    return cells


def _of_json(line: str, where: str, number: int, gold: bool) -> Example:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON. Expected: {FORM}. Received: {line[:40]!r}.") from error
    if not isinstance(record, Mapping):
        raise InputError(f"{where} is not an example. Expected: {FORM}. Received: {shown(record, 60)}.")
    found = [key for key in ("text", "tokens") if record.get(key) is not None]
    if len(found) != 1 or gold and "entities" not in record:
        raise InputError(
            f"{where} lacks `text` or `tokens`, or `entities`. Expected: {FORM}. Received: {', '.join(record)[:80]}."
        )
    text = record[found[0]]
    is_text = isinstance(text, str)
    tokens = _list(text)
    if is_text != (found[0] == "text") or not is_text and not (tokens and all(isinstance(t, str) for t in tokens)):
        wanted = "a str" if found[0] == "text" else "a list of at least one str"
        raise InputError(f"{where}: `{found[0]}` must be {wanted}. Received: {shown(text, 60)}.")
    if is_text and not text.strip():
        raise InputError(f"{where}: `text` is empty. Expected: words.")
    text = text if is_text else tuple(text)
    given = record["entities"] if gold else []
    if not isinstance(given, list):
        raise InputError(f"{where}: `entities` must be a list of [start, end, label]. Received: {shown(given, 60)}.")
    name = record.get("id")
    if name is not None and not (isinstance(name, str | int) and not isinstance(name, bool)):
        raise InputError(f"{where}: `id` must be a str or a whole number. Received: {shown(name, 60)}.")
    entities = tuple(sorted({_entity(text, one, where) for one in given}))
    sentences = () if is_text else ((0, len(text)),)
    return Example(f"line {number}" if name is None else str(name), text, entities, sentences)


def _is_json(text: str) -> bool:
    """Returns whether a file holds JSON: its first line begins as JSON does, and does not end with a tag."""
    first = text.lstrip().partition("\n")[0]
    return first.startswith(("{", "[")) and not (len(_cells(first)) > 1 and is_tag(_cells(first)[-1]))


def _has_token(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(DOCUMENT_MARKS)


def _entity(text: str | tuple[str, ...], entity: Any, where: str) -> Entity:
    parts = [entity.get(key) for key in ("start", "end", "label")] if isinstance(entity, Mapping) else _list(entity)
    whole = len(parts) == 3 and all(isinstance(one, int) and not isinstance(one, bool) for one in parts[:2])
    if not whole or not isinstance(parts[2], str) or not parts[2]:
        raise InputError(f"{where}: an entity must be [start, end, label]. Received: {shown(entity, 60)}.")
    if not 0 <= parts[0] < parts[1] <= len(text):
        raise InputError(
            f"{where}: an entity must be a half-open range of the text's {len(text):,} "
            f"{'characters' if isinstance(text, str) else 'tokens'}. Received: {shown(parts[:2])}."
        )
    return parts[0], parts[1], parts[2]


def _list(value: Any) -> list:
    return value if isinstance(value, list) else []
