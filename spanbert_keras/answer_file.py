"""Answers the questions of a file: SQuAD's JSON, MRQA's JSON lines, or JSON lines with `question` and `context`."""

import collections
import dataclasses
import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from spanbert_keras.errors import InputError
from spanbert_keras.files.byte_streams import BYTE_ORDER_MARK, as_utf_8, gunzipped
from spanbert_keras.files.text_errors import decode, json_lines_fault
from spanbert_keras.files.writing import write_atomically
from spanbert_keras.progress import tracked

CHUNK_QUESTIONS = 256  # questions checked at once
EXPECTED = 'JSON lines, {"id", "question", "context"} on each, or SQuAD\'s JSON, {"data": [...]}'


@dataclasses.dataclass(frozen=True)
class Question:
    """One question of a file.

    Attributes:
        id: any JSON value. Its id in the file; a number without one, see `read_questions`.
        question, context: str.
        where: str. Its place in the file, for messages.
        numbered: bool. Whether the file has no id for it.
    """

    id: Any
    question: str
    context: str
    where: str
    numbered: bool = False


def answer_file(
    reader,
    path: str,
    output: str,
    n_best: int,
    batch_size: int,
    max_answer_pieces: int | None,
    min_score: float = 0.0,
) -> int:
    """Writes a JSON line of answers for each question of a file, in its order, and returns the number of questions.

    A line has the question's `id` (an unused number if the file has none) and the best answer's
    `text`, `start`, `end`, `score`, `no_answer_score`; with `n_best` above 1 also the list `answers`. Of JSON lines
    only the current ones are held in memory; SQuAD's JSON is one value and is held whole. The output is written
    atomically.

    Args:
        reader: `SpanBertQuestionAnswerer`.
        path: str. The file, gzipped or not.
        output: str. File to write; gzipped if it ends with .gz.
        n_best: int. Number of answers per question.
        batch_size: int. Number of windows computed at once.
        max_answer_pieces: int or `None`. Longest answer, in word pieces.
        min_score: float. Lowest score of an answer.

    Raises:
        InputError: the file cannot be read, or holds no or an unusable question; raised before anything is computed.
    """
    total = free = 0
    questions = read_questions(path)
    while part := list(itertools.islice(questions, CHUNK_QUESTIONS)):
        names = [one.where for one in part]
        reader.windows.questions([one.question for one in part], names)
        reader.windows.passages([one.context for one in part], names)
        total += len(part)
        free = max([free, *(1 + _whole_number(one.id) for one in part if not one.numbered)])
    if not total:
        raise InputError(f"{path} holds no question. Expected: {EXPECTED}.")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) if output.endswith(".gz") else raw as file:
            found = answers(reader, read_questions(path, free), n_best, batch_size, max_answer_pieces, min_score)
            for question, best in tracked(found, total, "questions"):
                record = {"id": question.id} | dataclasses.asdict(best[0])
                if n_best > 1:
                    record["answers"] = [dataclasses.asdict(answer) for answer in best]
                file.write(json.dumps(record).encode() + b"\n")  # ASCII: an answer may have an unpaired surrogate

    write_atomically(output, write)
    return total


def answers(
    reader,
    questions: Iterator[Question],
    n_best: int,
    batch_size: int,
    max_answer_pieces: int | None,
    min_score: float = 0.0,
) -> Iterator[tuple[Question, list]]:
    """Yields each question with its answers, best first; a bounded number of questions is held at any time."""
    given: collections.deque[Question] = collections.deque()
    waiting: collections.deque[str] = collections.deque()

    def asked() -> Iterator[str]:
        for one in questions:
            given.append(one)
            waiting.append(one.context)
            yield one.question

    def contexts() -> Iterator[str]:
        while waiting:  # one, after its question was taken
            yield waiting.popleft()

    for reading in reader.readings(asked(), contexts(), batch_size, max_answer_pieces):
        one = given.popleft()
        yield one, reader.answers_of(reading, one.context, n_best, max_answer_pieces, min_score=min_score)


def read_questions(path: str, free: int = 0) -> Iterator[Question]:
    """Yields the questions of a file in its order.

    Args:
        path: str. The file.
        free: int. First number for questions without an id: their place in the file, from 0, is added.

    Raises:
        InputError: the file cannot be read or has another form, or a question or context is missing.
    """
    with gunzipped(path, "--input=") as file:
        stream = as_utf_8(file)
        first = b""
        number = 0
        while not first.strip() and (line := stream.readline()):
            number, first = number + 1, line.removeprefix(BYTE_ORDER_MARK)
        text = decode(first, path, number, "surrogatepass")
        value = _json_value(text)
        if isinstance(value, dict) and ("data" not in value or "question" in value):
            yield from _of_lines(stream, path, number, value, free)
            return
        whole = text + decode(stream.read(), path, number + 1, "surrogatepass")
        value = _json_value(whole)
        if not isinstance(value, dict) or "data" not in value:
            received = f" Received: {whole.strip()[:60]!r}." if whole.strip() else ""
            raise InputError(f"{path} is {json_lines_fault(whole) or _form_of(whole)}. Expected: {EXPECTED}.{received}")
        yield from _of_squad(value, path, free)


def _form_of(text: str) -> str:
    """Returns a description of a text that is neither JSON lines nor a JSON object."""
    text = text.removeprefix("\ufeff").strip()
    if not text:
        return "empty"
    if text.startswith("{") or _json_value(text) is not None:
        return "not valid JSON lines" if text.startswith("{") else "JSON, but not an object"
    header = text.partition("\n")[0].lower()
    for mark, name in ((",", "CSV"), ("\t", "TSV"), (";", "CSV")):
        if {"question", "context"} & {cell.strip(' "') for cell in header.split(mark)} and mark in header:
            return f"a table ({name})"
    return "text that is not JSON"


def _json_value(text: str) -> Any:
    """Returns a JSON value, `None` for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_lines(stream: BinaryIO, path: str, first: int, value: dict, count: int) -> Iterator[Question]:
    """Yields the questions of JSON lines, of which the first is read."""
    for number, line in itertools.chain([(first, b"")], enumerate(stream, first + 1)):
        if line:
            if not line.strip():
                continue
            text = decode(line, path, number, "surrogatepass")
            value = _json_value(text)
            if not isinstance(value, dict):
                raise InputError(
                    f"{path}, line {number} is not a JSON object. Expected: {EXPECTED}. Received: {text[:60]!r}."
                )
        if "header" in value and "question" not in value:  # MRQA's first line
            continue
        for one in value["qas"] if isinstance(value.get("qas"), list) else [value]:
            yield _checked_question(one, value.get("context"), path, f"line {number}", count)
            count += 1


def _of_squad(value: dict, path: str, count: int) -> Iterator[Question]:
    """Yields the questions of SQuAD's JSON."""
    for a, article in enumerate(_member_list(value, "data", path, "the file"), 1):
        for p, paragraph in enumerate(_member_list(article, "paragraphs", path, f"article {a}"), 1):
            place = f"article {a}, paragraph {p}"
            for q, one in enumerate(_member_list(paragraph, "qas", path, place), 1):
                yield _checked_question(one, paragraph.get("context"), path, f"{place}, question {q}", count)
                count += 1


def _member_list(value: Any, key: str, path: str, place: str) -> list:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise InputError(f'{path}, {place} has no list "{key}". Expected: {EXPECTED}.')
    return found


def _checked_question(value: Any, context: Any, path: str, place: str, number: int) -> Question:
    """Returns the checked question of a JSON object."""
    question: Any = value.get("question") if isinstance(value, dict) else None
    for name, text in (("question", question), ("context", context)):
        if not isinstance(text, str):
            received = "nothing" if text is None else repr(text)[:60]
            raise InputError(f'{path}, {place}: "{name}" must be text. Expected: {EXPECTED}. Received: {received}.')
    name = value.get("qid", value.get("id", number))
    return Question(name, question, context, f"in {path}, {place},", "qid" not in value and "id" not in value)


def _whole_number(name: Any) -> int:
    """Returns the whole number that an id is or spells; -1 for other ids, and for numbers too large to matter."""
    try:
        number = int(name) if isinstance(name, int | str) or isinstance(name, float) and name.is_integer() else -1
    except ValueError:
        return -1
    return number if number < 1 << 53 else -1
