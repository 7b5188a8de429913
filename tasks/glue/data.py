"""Reads GLUE's files, and your own TSV or JSON lines, with every line checked."""

import dataclasses
import functools
import json
from collections.abc import Iterator, Sequence

from absl import logging

from spanbert_keras.files.text_errors import json_lines_fault
from spanbert_keras.program import InputError, shown
from tasks.glue.benchmark_set import BenchmarkSet, Columns
from tasks.glue.file_format import holds_json_lines
from tasks.shared.example_collector import LEAVE_OUT, ExampleCollector
from tasks.shared.text_files import read_text

NO_GOLD = "For a file without labels, `evaluate --predict_only` writes predictions."
MAX_NUMBER = 3.4e38  # the largest float32

# A line's place in words, and its cells by name or number; under `None`, what is wrong with the whole line.
Row = tuple[str, dict]


class _MissingKeysError(InputError):
    """An object lacks keys.

    Args:
        sentence: str. The message.
        missing: list of str. The keys.
    """

    def __init__(self, sentence: str, missing: list):
        super().__init__(sentence)
        self.missing = missing


@dataclasses.dataclass(frozen=True)
class Example:
    """A text or a pair of texts to classify.

    Attributes:
        id: str. The id in the file, or the line's number from 0.
        text: str. The first text, or the only one.
        pair: str or `None`. The second text of a pair.
        label: str, tuple of str or `None`. The gold label, for regression a number as text; a tuple for texts with
            several labels or several numbers; `None` in a test file without labels.
    """

    id: str
    text: str
    pair: str | None
    label: str | tuple[str, ...] | None


@dataclasses.dataclass(frozen=True)
class ExampleFile:
    """The examples of a file.

    Attributes:
        examples: list of `Example`, at least one.
        left_out: list of str. A sentence for each bad line.
    """

    examples: list[Example]
    left_out: list[str]


def read(path: str, columns: Columns, labels: Sequence[str] | None, skip_bad: bool = False) -> ExampleFile:
    """Reads tab-separated lines or JSON lines, gzipped or not; the format is detected from the content.

    Quotation marks are ordinary characters, as in the official files and the released code; a byte order mark is
    skipped. If the columns are numbers and the first line does not name them, the table has no header: column 1 is the
    first.

    Args:
        path: str.
        columns: `Columns`. In JSON lines, the keys.
        labels: sequence of str. The allowed labels; () if a label must be a number; `None` for any.
        skip_bad: bool. Whether bad lines are left out, with a sentence each.

    Raises:
        InputError: the file cannot be read or lacks a column, a line is bad and `skip_bad` is off, or no line is left.
    """
    text = read_text(path, "tab-separated lines or JSON lines")
    fault = json_lines_fault(text)
    if fault:
        raise InputError(f"{path} is {fault}. Expected: tab-separated lines, or one JSON object per line.")
    if holds_json_lines(text, len(columns.wanted())):
        rows = _json_rows(path, text)
    else:
        columns = _numbered(path, text, columns)
        rows = _table_rows(path, text, columns)
    has_labels = columns.label is None

    def hint(error: InputError) -> str:
        """Returns what helps, from the lines after the bad one: leaving lines out does not if all are like it."""
        others = [row for _, row in rows]
        if columns.label is None:
            return ""
        if not has_labels and not any(_has_label(row, columns) for row in others):
            return NO_GOLD
        is_whole = isinstance(error, _MissingKeysError) and not any(set(error.missing) <= set(row) for row in others)
        return "" if is_whole else LEAVE_OUT

    collector = ExampleCollector(path, skip_bad, hint)
    for number, (where, row) in enumerate(rows):
        has_labels = has_labels or _has_label(row, columns)
        first = collector.examples[0] if collector.examples else None
        collector.add(functools.partial(_example, row, number, columns, labels, where, first))
    if not collector.examples:
        nothing = f"{path} holds no example. Expected: at least one. Received: none."
        raise InputError(nothing, NO_GOLD if collector.left_out and not has_labels else "")
    return ExampleFile(collector.examples, collector.left_out)


def width_of(example: Example) -> int:
    """Returns the number of targets of a regression example."""
    return len(example.label) if isinstance(example.label, tuple) else 1


def _numbered(path: str, text: str, columns: Columns) -> Columns:
    """Returns the columns with indices from 0 for a table without a header, unchanged for one with a header.

    Raises:
        InputError: the table has no column of that number.
    """
    cells = text.partition("\n")[0].removesuffix("\r").split("\t")
    wanted = columns.wanted()
    numbers = all(isinstance(name, str) and name.isascii() and name.isdigit() for name in wanted)
    if columns.width is not None or not numbers or all(cells.count(str(name)) == 1 for name in wanted):
        return columns
    absent = [str(name) for name in wanted if not 1 <= int(name) <= len(cells)]
    if absent:
        raise InputError(
            f"{path}, line 1 must have a column {' and '.join(absent)}, counted from 1. "
            f"Received: {len(cells)} columns, separated by tabs."
        )
    logging.info("%s has no header: line 1 is read as an example.", path)

    def place(name):
        return tuple(map(place, name)) if isinstance(name, tuple) else None if name is None else int(name) - 1

    return dataclasses.replace(
        columns,
        text=place(columns.text),
        pair=place(columns.pair),
        label=place(columns.label),
        id=place(columns.id),
        width=len(cells),
    )


def unlabelled(path: str, wanted: BenchmarkSet) -> Columns:
    """Returns the columns of a file whose labels are not read: those of a test file, else those of dev without labels.

    Raises:
        InputError: the file cannot be read.
    """
    text = read_text(path, "tab-separated lines or JSON lines")
    names = text.partition("\n")[0].removesuffix("\r").split("\t")
    for _, columns in wanted.test.values():
        if all(names.count(str(name)) == 1 for name in columns.wanted()):
            return columns
    return dataclasses.replace(wanted.labelled, label=None, separator=None)


def _has_label(row: dict, columns: Columns) -> bool:
    """Returns whether a readable row has a label, or needs none."""
    wanted = isinstance(columns.label, str | int) and columns.text in row
    return not wanted or str(row.get(columns.label, "") if row.get(columns.label) is not None else "").strip() != ""


def _table_rows(path: str, text: str, columns: Columns) -> Iterator[Row]:
    """Yields the rows of a table.

    Raises:
        InputError: the header lacks a column.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    header = columns.width is None
    names: list = lines[0].split("\t") if header else list(range(columns.width or 0))
    wrong = [str(name) for name in columns.wanted() if names.count(name) != 1]
    if wrong:
        received = ", ".join(map(str, names))[:120]
        by_number = any(name.isdigit() for name in wrong) and not all(str(name).isdigit() for name in columns.wanted())
        hint = " For a file without a header, give all columns by number." if by_number else ""
        hint = f" {NO_GOLD}" if wrong == [str(columns.label)] and columns.label not in names else hint
        raise InputError(
            f"{path}, line 1 must name the columns {', '.join(wrong)}, each once. "
            f"Received: {received or 'nothing'}.{hint}"
        )
    for number, line in enumerate(lines[header:], 1 + header):
        if not line:
            continue
        cells = line.split("\t")
        where = f"{path}, line {number}"
        if len(cells) != len(names):
            yield where, {None: f"must have {len(names)} cells, separated by tabs. Received: {len(cells)}."}
        else:
            row: dict = dict(zip(names, cells, strict=True))
            if columns.separator is not None:
                parts = map(str.strip, row[columns.label].split(columns.separator))
                row[columns.label] = [part for part in parts if part]
            yield where, row


def _json_rows(path: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        wrong = {None: f"must be a JSON object. Received: {line.strip()[:40]}."}
        yield f"{path}, line {number}", value if isinstance(value, dict) else wrong


def _example(
    row: dict, number: int, columns: Columns, labels: Sequence[str] | None, where: str, first: Example | None
) -> Example:
    """Returns the example of a row; with numbers as labels, of as many as the file's first example has.

    Raises:
        InputError: the row is not a valid example.
    """
    if None in row:
        raise InputError(f"{where} {row[None]}")
    missing = [str(name) for name in columns.wanted() if name not in row]
    if missing:
        sentence = f"{where} must have the keys {', '.join(missing)}. Received: {', '.join(row)[:80]}."
        raise _MissingKeysError(sentence, missing)
    text = _text(row[columns.text], columns.text, where)
    pair = None if columns.pair is None else _text(row[columns.pair], columns.pair, where)
    name = str(number) if columns.id is None else _text(row[columns.id], columns.id, where, number=True)
    if not name.isprintable():
        raise InputError(f"{where}: {columns.id} must be printable text on one line. Received: {name[:40]!r}.")
    if columns.label is None:
        return Example(name, text, pair, None)
    example = Example(name, text, pair, _label(row, columns, labels, where))
    if labels == () and first is not None and width_of(example) != width_of(first):
        raise InputError(
            f"{where} must have {width_of(first)} numbers, like the lines before it. Received: {width_of(example)}."
        )
    return example


def _label(row: dict, columns: Columns, labels: Sequence[str] | None, where: str) -> str | tuple[str, ...]:
    """Returns a row's checked label, or a tuple of its labels or numbers if it may have several."""
    if isinstance(columns.label, tuple):
        given = [(row[column], column) for column in columns.label]
    else:
        value, column = row[columns.label], columns.label
        several = columns.separator is not None
        if several and not isinstance(value, list):
            raise InputError(f"{where}: {column} must be a list of labels. Received: {_json(value)}.")
        if not several and not (labels == () and isinstance(value, list) and value):
            label = _text(value, column, where, number=True)
            _check_label(label, labels, where)
            return label
        given = [(one, column) for one in value]
    found = [_text(value, column, where, number=True) for value, column in given]
    for label in found:
        _check_label(label, labels, where)
    return tuple(found if labels == () else dict.fromkeys(found))


def _text(value, column: str | int, where: str, number: bool = False) -> str:
    """Returns a cell's text; with `number`, a JSON number is accepted and returned as text."""
    if number and isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value) if isinstance(value, float) and value.is_integer() else value)  # 2.0 is 2
    if not isinstance(value, str):
        expected = "text or a number" if number else "text"
        raise InputError(f"{where}: {column} must be {expected}. Received: {_json(value)}.")
    return value


def _json(value) -> str:
    """Returns the beginning of a value's JSON, for an error message."""
    try:
        return json.dumps(value)[:40]
    except RecursionError:
        return shown(value, 40)


def _check_label(label: str, labels: Sequence[str] | None, where: str) -> None:
    if labels is None:
        fits, expected = label.isprintable() and bool(label.strip()), "printable text on one line"
    elif labels:
        fits, expected = label in labels, f"one of {', '.join(labels)}"
    else:
        fits, expected = _is_number(label), "a number"
    if not fits:
        raise InputError(f"{where}: the label must be {expected}. Received: {label[:40]!r}.")


def _is_number(text: str) -> bool:
    """Returns whether a text is a number in ASCII that float32 can represent."""
    try:
        return text.isascii() and "_" not in text and abs(float(text)) < MAX_NUMBER
    except ValueError:
        return False
