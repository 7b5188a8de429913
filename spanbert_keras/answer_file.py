"""Answers the questions of a file: SQuAD's JSON, MRQA's JSON lines, or JSON lines with `question` and `context`."""

import collections
import contextlib
import dataclasses
import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from spanbert_keras.data.file_faults import decode, json_lines_fault
from spanbert_keras.errors import InputError
from spanbert_keras.training.files import write_atomically
from spanbert_keras.training.progress import tracked

CHUNK = 256  # questions checked at once
GZIP_MAGIC, BYTE_ORDER_MARK = b"\x1f\x8b", b"\xef\xbb\xbf"
EXPECTED = 'JSON lines, {"id", "question", "context"} on each, or SQuAD\'s JSON, {"data": [...]}'


@dataclasses.dataclass(frozen=True)
class Question:
    """One question of a file.

    Attributes:
        id: what the file calls it, any JSON value; its number from 0 if it has no name.
        question, context: str.
        where: str. Its place in the file, for messages.
    """

    id: Any
    question: str
    context: str
    where: str


def answer_file(reader, path: str, output: str, n_best: int, batch_size: int, max_answer_pieces: int | None) -> int:
    """Writes a JSON line with the answers to each question of a file, in its order, and returns how many there are.

    A line has the question's `id` and the best answer's `text`, `start`, `end`, `score`, `no_answer_score`; with
    `n_best` above 1 also the list `answers`. Of JSON lines only those in work are held in memory; SQuAD's JSON is one
    value and is held whole. The output is whole or not there.

    Args:
        reader: `SpanBertQuestionAnswerer`.
        path: str. The file, gzipped or not.
        output: str. Written; gzipped if it ends with .gz.
        n_best: int. Answers per question.
        batch_size: int. Windows computed at once.
        max_answer_pieces: int or `None`. Longest answer.

    Raises:
        InputError: the file cannot be read, holds no question, or one that cannot be used, before anything is computed.
    """
    total = 0
    questions = read_questions(path)
    while part := list(itertools.islice(questions, CHUNK)):
        names = [one.where for one in part]
        reader.windows.questions([one.question for one in part], names)
        reader.windows.passages([one.context for one in part], names)
        total += len(part)
    if not total:
        raise InputError(f"{path} holds no question. Expected: {EXPECTED}.")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, 0) if output.endswith(".gz") else raw as file:
            found = answers(reader, read_questions(path), n_best, batch_size, max_answer_pieces)
            for question, best in tracked(found, total, "questions"):
                record = {"id": question.id} | dataclasses.asdict(best[0])
                if n_best > 1:
                    record["answers"] = [dataclasses.asdict(answer) for answer in best]
                file.write(json.dumps(record).encode() + b"\n")  # ASCII: an answer may hold half a surrogate pair

    write_atomically(output, write)
    return total


def answers(
    reader, questions: Iterator[Question], n_best: int, batch_size: int, max_answer_pieces: int | None
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
        while waiting:  # one, once its question is taken
            yield waiting.popleft()

    for reading in reader.read(asked(), contexts(), batch_size, max_answer_pieces):
        one = given.popleft()
        yield one, reader.answers_of(reading, one.context, n_best, max_answer_pieces)


def read_questions(path: str) -> Iterator[Question]:
    """Yields the questions of a file in its order.

    Raises:
        InputError: the file cannot be read or is of another form, or a question or context is missing.
    """
    with _opened(path) as stream:
        first = b""
        number = 0
        while not first.strip() and (line := stream.readline()):
            number, first = number + 1, line.removeprefix(BYTE_ORDER_MARK)
        text = decode(first, path, number, "surrogatepass")
        value = _value(text)
        if isinstance(value, dict) and "data" not in value:
            yield from _of_lines(stream, path, number, value)
            return
        whole = text + decode(stream.read(), path, number + 1, "surrogatepass")
        value = _value(whole)
        if not isinstance(value, dict) or "data" not in value:
            fault = json_lines_fault(whole) or "not such a file"
            raise InputError(f"{path} is {fault}. Expected: {EXPECTED}. Received: {whole.strip()[:60]!r}.")
        yield from _of_squad(value, path)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """Yields the decompressed stream of a file; whatever goes wrong while it is read is an `InputError`."""
    try:
        with open(path, "rb") as raw:
            zipped = raw.peek(2)[:2] == GZIP_MAGIC
            with gzip.GzipFile(fileobj=raw) if zipped else raw as stream:
                yield stream  # type: ignore[misc]
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"--input={path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _value(text: str) -> Any:
    """Returns a JSON value, `None` for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_lines(stream: BinaryIO, path: str, first: int, value: dict) -> Iterator[Question]:
    """Yields the questions of JSON lines, of which the first is read."""
    count = 0
    for number, line in itertools.chain([(first, b"")], enumerate(stream, first + 1)):
        if line:
            if not line.strip():
                continue
            text = decode(line, path, number, "surrogatepass")
            value = _value(text)
            if not isinstance(value, dict):
                raise InputError(
                    f"{path}, line {number} is not a JSON object. Expected: {EXPECTED}. Received: {text[:60]!r}."
                )
        if "header" in value and "question" not in value:  # MRQA's first line
            continue
        for one in value["qas"] if isinstance(value.get("qas"), list) else [value]:
            yield _question(one, value.get("context"), path, f"line {number}", count)
            count += 1


def _of_squad(value: dict, path: str) -> Iterator[Question]:
    """Yields the questions of SQuAD's JSON."""
    count = 0
    for a, article in enumerate(_list(value, "data", path, "the file"), 1):
        for p, paragraph in enumerate(_list(article, "paragraphs", path, f"article {a}"), 1):
            place = f"article {a}, paragraph {p}"
            for q, one in enumerate(_list(paragraph, "qas", path, place), 1):
                yield _question(one, paragraph.get("context"), path, f"{place}, question {q}", count)
                count += 1


def _list(value: Any, key: str, path: str, place: str) -> list:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise InputError(f'{path}, {place} has no list "{key}". Expected: {EXPECTED}.')
    return found


def _question(value: Any, context: Any, path: str, place: str, number: int) -> Question:
    """Returns the checked question of a JSON object."""
    question: Any = value.get("question") if isinstance(value, dict) else None
    for name, text in (("question", question), ("context", context)):
        if not isinstance(text, str):
            received = "nothing" if text is None else repr(text)[:60]
            raise InputError(f'{path}, {place}: "{name}" must be text. Expected: {EXPECTED}. Received: {received}.')
    name = value.get("qid", value.get("id", number))
    return Question(name, question, context, f"in {path}, {place},")
