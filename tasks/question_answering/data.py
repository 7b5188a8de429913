"""Reads SQuAD's and MRQA's files, with every question checked."""

import dataclasses
import functools
import os
import unicodedata
from collections.abc import Callable
from typing import Any, BinaryIO, Literal

from spanbert_keras.program import InputError
from tasks.question_answering.json_file import first_value, opened, parsed
from tasks.shared.example_collector import LEAVE_OUT, ExampleCollector
from tasks.shared.text_files import shortened

# Categories of invisible characters, which BERT's basic tokenizer drops.
INVISIBLE = {"Cc", "Cf", "Cs", "Co"}
FORMS = {
    "squad": 'SQuAD\'s JSON, {"data": [{"title", "paragraphs": [...]}, ...]}',
    "mrqa": 'MRQA\'s JSON lines, the first {"header": {...}}, then {"context", "qas": [...]} on each',
}
FORMAT_NAMES = {"squad": "SQuAD", "mrqa": "MRQA"}

NO_GOLD = "For a file without gold answers, `evaluate --predict_only` writes predictions."

Format = Literal["squad", "mrqa"]


@dataclasses.dataclass(frozen=True)
class Example:
    """A question, the text to answer it from, and the places of the gold answers in it.

    Attributes:
        id: str. Unique in its file; predictions are keyed by it.
        question: str.
        context: str.
        answers: tuple of str. The gold texts in the file's order; `()` if the question has no answer.
        spans: tuple of (start, end). Half-open character spans of the gold answers in `context`, in the file's order:
            in SQuAD one per answer, in MRQA every place where one was found, unsorted, with repetitions.
        article: str. The article's title in SQuAD, `""` in MRQA.

    Example:

    ```python
    example = Example("q1", "Who wrote it?", "Ann wrote it.", ("Ann",), ((0, 3),), "")
    [example.context[start:end] for start, end in example.spans]  # ["Ann"]
    ```
    """

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    article: str


@dataclasses.dataclass(frozen=True)
class Examples:
    """The questions of one file.

    Attributes:
        examples: list of `Example`, in the file's order.
        format: "squad" or "mrqa".
        has_unanswerable: bool. Whether a question has no answer, as in SQuAD 2.0.
        bad: list of str. A sentence (file, place, what is wrong) for each question that was left out.
    """

    examples: list[Example]
    format: Format
    has_unanswerable: bool
    bad: list[str]


class _BadExampleError(InputError):
    """One question cannot be used; the message says why, without the place."""


class _NoGoldError(_BadExampleError):
    """A question has no gold answers."""


class _QuestionCollector(ExampleCollector):
    """The questions of one file as they are read.

    Args:
        path: str. Path of the file, for messages.
        skip_bad: bool. Whether bad questions are left out; otherwise the first one raises.
        gold: bool. Whether gold answers are read.
    """

    def __init__(self, path: str, skip_bad: bool, gold: bool):
        super().__init__(path, skip_bad)
        self.gold = gold
        self._without_gold = 0

    def add_question(self, make: Callable[[], Example], place: str) -> None:
        """Adds the example that `make` returns; the message of a bad one gets its place."""

        def make_here() -> Example:
            try:
                return make()
            except _BadExampleError as error:
                raise type(error)(f"{self.path}, {place}: {error}") from error

        self.add(make_here, place)
        if self.left_out and not self.skip_bad and self.examples:
            raise InputError(self.left_out[0], LEAVE_OUT)

    def leave_out(self, error: InputError) -> None:
        """Notes what is wrong with a question, or raises.

        Questions without gold answers only raise once another question has some: in a file without any, leaving
        questions out would not help, and `check` gives the hint that does.
        """
        if isinstance(error, _NoGoldError):
            self._without_gold += 1
            if not self.examples and not self.skip_bad:
                self.left_out.append(str(error))
                return
        super().leave_out(error)

    def check(self) -> None:
        """Raises if the file has no usable question."""
        if not self.examples:
            bad = self.left_out
            why = f"all {len(bad)} are bad, the first: {bad[0]}" if bad else "it has no question."
            hint = NO_GOLD if self._without_gold == len(bad) > 0 else ""
            raise InputError(f"{self.path} has no usable question: {why}", hint)


def read(path: str | os.PathLike, skip_bad_examples: bool = False, gold: bool = True) -> Examples:
    """Reads a file of SQuAD 1.1, SQuAD 2.0 or MRQA, gzipped or not; the format is detected from the content.

    Args:
        path: str or path.
        skip_bad_examples: bool. Whether questions that cannot be used are left out, with a sentence each in `bad`.
        gold: bool. Whether gold answers are read; otherwise the file needs none.

    Returns:
        `Examples`, at least one.

    Raises:
        InputError: the file cannot be read, has neither format or no usable question; or, without `skip_bad_examples`,
            a question has an empty or invisible text, a repeated id, or an answer that is not at its offset.
    """
    return _read(os.fspath(path), None, skip_bad_examples, gold)


def read_squad(path: str | os.PathLike, skip_bad_examples: bool = False) -> Examples:
    """Reads a file of SQuAD 1.1 or 2.0, like `read`; rejects one of MRQA."""
    return _read(os.fspath(path), "squad", skip_bad_examples)


def read_mrqa(path: str | os.PathLike, skip_bad_examples: bool = False) -> Examples:
    """Reads a file of MRQA, like `read`; rejects one of SQuAD."""
    return _read(os.fspath(path), "mrqa", skip_bad_examples)


def _read(path: str, expected: Format | None, skip_bad_examples: bool, gold: bool = True) -> Examples:
    """Reads a file of the expected format, or of any."""
    collector = _QuestionCollector(path, skip_bad_examples, gold)
    with opened(path) as stream:
        number, value = first_value(stream, path, " or ".join(FORMS.values()))
        found = _format_of(value, path)
        if expected not in (None, found):
            wanted = expected or found
            raise InputError(
                f"{path} does not have the format of {FORMAT_NAMES[wanted]}. Expected: {FORMS[wanted]}. "
                f"Received: {FORMS[found]}."
            )
        if found == "squad":
            _read_articles(value, path, collector)
        else:
            _read_lines(stream, number, path, collector)
    collector.check()
    return Examples(collector.examples, found, any(not e.answers for e in collector.examples), collector.left_out)


def _format_of(value: Any, path: str) -> Format:
    """Returns the format of a file from its first JSON value."""
    keys = value.keys() if isinstance(value, dict) else ()
    if "data" in keys:
        return "squad"
    if "header" in keys:
        return "mrqa"
    if "context" in keys and "qas" in keys:
        raise InputError(
            f'{path} lacks the header line of MRQA. Expected: {{"header": {{...}}}} on its first line. '
            f"Received: {shortened(value)}."
        )
    if isinstance(value, list):
        value = f"a JSON array, {shortened(value)}"
    else:
        value = shortened(value)
    raise InputError(
        f"{path} has neither SQuAD's nor MRQA's format. Expected: {' or '.join(FORMS.values())}. Received: {value}."
    )


def _member(value: Any, key: str, kind: type | None, where: str) -> Any:
    """Returns a member of an object outside of the questions; the file cannot be read without it."""
    what = "a list" if kind is list else "an object" if kind is dict else "text"
    if not isinstance(value, dict) or key not in value or (kind and not isinstance(value[key], kind)):
        received = shortened(value[key]) if isinstance(value, dict) and key in value else shortened(value)
        raise InputError(f'{where} lacks "{key}". Expected: {what} under that key. Received: {received}.')
    return value[key]


def _place(frame: str, number: int, qa: Any, *keys: str) -> str:
    """Returns the place of a question in words: its id if it has one, else its number."""
    ids = [qa[key] for key in keys if isinstance(qa, dict) and key in qa]
    return f"{frame}, question {shortened(ids[0]) if ids else number}"


def _read_articles(value: dict, path: str, collector: _QuestionCollector) -> None:
    """Reads the questions of a SQuAD file."""
    for a, article in enumerate(_member(value, "data", list, path), start=1):
        paragraphs = _member(article, "paragraphs", list, f"{path}, article {a}")
        title = _member({"title": "", **article}, "title", str, f"{path}, article {a}")
        for p, paragraph in enumerate(paragraphs, start=1):
            frame = f"article {a}, paragraph {p}"
            context = _member(paragraph, "context", None, f"{path}, {frame}")
            for q, qa in enumerate(_member(paragraph, "qas", list, f"{path}, {frame}"), start=1):
                make = functools.partial(_squad_example, qa, context, title, collector.gold)
                collector.add_question(make, _place(frame, q, qa, "id"))


def _read_lines(stream: BinaryIO, header: int, path: str, collector: _QuestionCollector) -> None:
    """Reads the questions of an MRQA file after its header."""
    for number, line in enumerate(stream, start=header + 1):
        if not line.strip():
            continue
        frame = f"line {number}"
        value = parsed(line, path, number, 'an object with "context" and "qas"')
        context = _member(value, "context", None, f"{path}, {frame}")
        for q, qa in enumerate(_member(value, "qas", list, f"{path}, {frame}"), start=1):
            make = functools.partial(_mrqa_example, qa, context, collector.gold)
            collector.add_question(make, _place(frame, q, qa, "qid", "id"))


def _text(value: Any, name: str) -> str:
    """Returns a text of a question, which must have visible characters."""
    if not isinstance(value, str):
        raise _BadExampleError(f"the {name} is not text. Expected: a string. Received: {shortened(value)}.")
    if all(c.isspace() or c == "\ufffd" or unicodedata.category(c) in INVISIBLE for c in value):
        what = "is empty" if not value.strip() else "has only control characters"
        raise _BadExampleError(f"the {name} {what}. Expected: visible text. Received: {shortened(value)}.")
    return value


def _get(value: Any, key: str, kind: type) -> Any:
    """Returns a member of a question, which must exist and have the type."""
    if not isinstance(value, dict) or key not in value:
        raise _BadExampleError(f'"{key}" is missing. Expected: that key. Received: {shortened(value)}.')
    # JSON's true is a Python int.
    if not isinstance(value[key], kind) or (kind is int and isinstance(value[key], bool)):
        what = {list: "a list", int: "a whole number", bool: "true or false", str: "a string"}[kind]
        raise _BadExampleError(f'"{key}" has the wrong type. Expected: {what}. Received: {shortened(value[key])}.')
    return value[key]


def _squad_example(qa: Any, context: Any, article: str, gold: bool) -> Example:
    """Returns the example of one question of SQuAD."""
    identifier = _text(_get(qa, "id", object), "id")
    question, context = _text(_get(qa, "question", object), "question"), _text(context, "context")
    if not gold:
        return Example(identifier, question, context, (), (), article)
    impossible = "is_impossible" in qa and _get(qa, "is_impossible", bool)
    if not impossible and "answers" not in qa:
        raise _NoGoldError(f'"answers" is missing. Expected: that key. Received: {shortened(qa)}.')
    answers = _get({"answers": [], **qa} if impossible else qa, "answers", list)
    if impossible and answers:
        raise _BadExampleError(f'"is_impossible" is true. Expected: no answers then. Received: {shortened(answers)}.')
    if not impossible and not answers:
        raise _NoGoldError('"answers" is empty. Expected: an answer, or "is_impossible": true. Received: neither.')
    texts = tuple(_text(_get(answer, "text", object), "answer") for answer in answers)
    starts = [_get(answer, "answer_start", int) for answer in answers]
    for text, start in zip(texts, starts, strict=True):
        if start < 0 or context[start : start + len(text)] != text:
            found = repr(context[start : start + len(text)]) if 0 <= start < len(context) else "nothing"
            raise _BadExampleError(
                f"the answer's offset does not match the text. Expected: {shortened(text)} from character {start} of "
                f"the context ({len(context)} characters). Received: {found} there."
            )
    spans = tuple((start, start + len(text)) for text, start in zip(texts, starts, strict=True))
    return Example(identifier, question, context, texts, spans, article)


def _mrqa_example(qa: Any, context: Any, gold: bool) -> Example:
    """Returns the example of one question of MRQA."""
    key = "qid" if isinstance(qa, dict) and "qid" in qa else "id"
    identifier = _text(_get(qa, key, object), "id")
    question, context = _text(_get(qa, "question", object), "question"), _text(context, "context")
    if not gold:
        return Example(identifier, question, context, (), (), "")
    missing = [key for key in ("answers", "detected_answers") if key not in qa]
    if missing:
        raise _NoGoldError(f'"{missing[0]}" is missing. Expected: that key. Received: {shortened(qa)}.')
    answers = _get(qa, "answers", list)
    for answer in answers:
        if not isinstance(answer, str):
            raise _BadExampleError(f"an answer is not text. Expected: a string. Received: {shortened(answer)}.")
    spans = [
        _detected_span(span, _text(_get(detected, "text", object), "detected answer"), context)
        for detected in _get(qa, "detected_answers", list)
        for span in _get(detected, "char_spans", list)
    ]
    if not any(answer.strip() for answer in answers) or not spans:
        raise _NoGoldError(
            "it has no answer. Expected: a text in `answers` and a span in `detected_answers`. "
            f"Received: {shortened(answers)} and {len(spans)} spans."
        )
    return Example(identifier, question, context, tuple(answers), tuple(spans), "")


def _detected_span(span: Any, text: str, context: str) -> tuple[int, int]:
    """Returns the half-open span of an MRQA span, whose end is inclusive."""
    if not isinstance(span, list) or len(span) != 2 or not all(type(x) is int for x in span):
        raise _BadExampleError(f"a span is not a pair. Expected: [start, inclusive end]. Received: {shortened(span)}.")
    start, last = span
    if not 0 <= start <= last < len(context):
        raise _BadExampleError(
            f"the span of the answer {shortened(text)} is not in the context. Expected: 0 <= start <= end < "
            f"{len(context)}. Received: {span}."
        )
    found = context[start : last + 1]
    if not _same_text(found, text):
        raise _BadExampleError(
            f"the answer's span does not match the text. Expected: {shortened(text)} in the characters {start} to "
            f"{last}, the last included. Received: {shortened(found)} there."
        )
    return start, last + 1


def _same_text(found: str, text: str) -> bool:
    """Returns whether the text in a span is that of MRQA's answer.

    Case, accents, space and punctuation may differ: MRQA's texts have more or less space around hyphens, for example
    (mrqa/MRQA-Shared-Task-2019, issue 11). A span that is longer than the text is wrong: half-open ends would be.
    """
    found, text = found.casefold(), text.casefold()
    return found == text or (text not in found and _letters_and_digits(found) == _letters_and_digits(text))


def _letters_and_digits(text: str) -> str:
    """Returns the letters and digits of a text without accents; if it has neither, the text without space."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text))) or "".join(text.split())
