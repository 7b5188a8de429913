"""Questions, their contexts and their answers, in every form in which they are given. Shape letters: E examples."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.examples.given_texts import given_list, given_texts, plain

FIELDS = ("question", "context", "answer_start", "answer_text", "answers")
ANSWER_FIELDS = FIELDS[2:]

Spans = tuple[tuple[int, int], ...]  # half-open, in characters


def given_questions(x, y=None) -> tuple[list[str], list[str], list[Spans] | None]:
    """Returns questions, contexts and the places of their answers, as many of each.

    Args:
        x: dict of columns (or a pandas table): `question` and `context`, of E str each, of which one may be a single
            str for all, and optionally the answers: `answer_start`, an int or a list of int for each question, with
            `answer_text`, a str or a list of str; or `answers`, `{"text": [...], "answer_start": [...]}` for each, as
            in the SQuAD of Hugging Face. Or one example, such a dict without lists; or a list of those. No text, or an
            empty one: the question has no answer.
        y: the same answers, apart from the questions.

    Returns:
        (list of str, list of str, list of tuples of (start, end), or `None` without answers): half-open places of
        characters, in the order given.

    Raises:
        InputError: a column is missing or has another length, something has another type, or an answer does not stand
            in its context where it should.
    """
    columns = x if hasattr(x, "keys") else _columns(x)
    missing = [name for name in FIELDS[:2] if name not in columns]
    if missing:
        raise InputError(
            f"Questions lack `{missing[0]}`. Expected: `question` and `context`. Received: "
            f"{', '.join(f'`{name}`' for name in columns) or 'nothing'}."
        )
    questions, contexts, single = paired_texts(columns["question"], columns["context"], FIELDS[:2])
    starts, texts = _answers(columns, y)
    if starts is None:
        return questions, contexts, None
    if single:
        starts, texts = [starts], [texts]
    answers = {"answer_start": starts, "answer_text": texts}
    lists = [_column(name, values, len(questions)) for name, values in answers.items()]
    found = zip(contexts, *lists, strict=True)
    return questions, contexts, [_spans(number, *one) for number, one in enumerate(found)]


def paired_texts(questions, contexts, names=("questions", "contexts")) -> tuple[list[str], list[str], bool]:
    """Returns as many questions as contexts, and whether both were single.

    Args:
        questions, contexts: str, or iterables of str; a single one goes with each of the others.
        names: two str. Names of these arguments, for error messages.

    Raises:
        InputError: something is not a str, or there are more of one than of the other.
    """
    questions, one_question = given_texts(questions, names[0], "question")
    contexts, one_context = given_texts(contexts, names[1], "context")
    if one_question != one_context:
        questions = questions * len(contexts) if one_question else questions
        contexts = contexts * len(questions) if one_context else contexts
    if len(questions) != len(contexts):
        raise InputError(
            f"There must be as many contexts as questions. Received: {len(questions)} questions and {len(contexts)} "
            "contexts."
        )
    return questions, contexts, one_question and one_context


def _columns(x) -> dict[str, list]:
    """Returns the columns of a list of examples."""
    examples, _ = given_list(x, "x", "a dict of columns, an example, or a list of examples", ())
    wrong = [one for one in examples if not isinstance(one, Mapping)]
    if wrong:
        raise InputError(f"An example must be a dict with `question` and `context`. Received: {shown(wrong[0], 60)}.")
    if not examples:
        return {"question": [], "context": []}
    names = [name for name in FIELDS if name in examples[0]]
    for number, one in enumerate(examples):
        own = [name for name in FIELDS if name in one]
        if own != names:
            raise InputError(
                f"All examples must have the same entries. Expected: {names}. Received: {own} in example {number}."
            )
    return {name: [one[name] for one in examples] for name in names}


def _answers(x, y) -> tuple[Any, Any]:
    """Returns the columns of the answers' starts and texts; `None` twice without."""
    inside = [name for name in ANSWER_FIELDS if name in x]
    if y is not None and inside:
        raise InputError(f"Answers must be given once. Received: `{inside[0]}` in `x`, and `y`.")
    if y is not None:
        x = y if hasattr(y, "keys") and "text" not in y else {"answers": y}
        inside = [name for name in ANSWER_FIELDS if name in x]
        if not inside:
            raise InputError(f"`y` must have `answer_start` and `answer_text`. Received: {shown(y, 60)}.")
    if not inside:
        return None, None
    if "answers" in inside and len(inside) > 1:
        raise InputError(f"Answers must be given once. Received: `answers` and `{inside[0]}`.")
    if "answers" in inside:
        return _nested(x["answers"])
    if len(inside) < 2:
        other = next(name for name in ANSWER_FIELDS if name not in inside)
        raise InputError(f"Answers need both `answer_start` and `answer_text`. Received: no `{other}`.")
    return x["answer_start"], x["answer_text"]


def _nested(answers) -> tuple[Any, Any]:
    """Returns the columns of the answers' starts and texts in a dict of them, or in a dict for each question."""
    by_column = hasattr(answers, "keys")
    each = [answers] if by_column else given_list(answers, "answers", "a list with a dict for each question", ())[0]
    for number, one in enumerate(each):
        if not (hasattr(one, "keys") and "text" in one and "answer_start" in one):
            raise InputError(
                'Each of `answers` must be {"text": [...], "answer_start": [...]}. '
                f"Received: {shown(one, 60)} in example {number}."
            )
    if by_column:
        return answers["answer_start"], answers["text"]
    return [one["answer_start"] for one in each], [one["text"] for one in each]


def _column(name: str, values, size: int) -> list:
    values, _ = given_list(values, name, "a list with one entry for each question", ())
    if len(values) != size:
        raise InputError(f"There must be one `{name}` for each question. Expected: {size}. Received: {len(values)}.")
    return values


def _spans(number: int, context: str, starts, texts) -> Spans:
    """Returns the places of one question's answers; () if it has none."""
    starts, texts = plain(starts), plain(texts)
    starts = list(starts) if isinstance(starts, list | tuple) else [starts]
    texts = list(texts) if isinstance(texts, list | tuple) else [texts]
    for text in texts:
        if not isinstance(text, str):
            raise InputError(
                f"`answer_text` of example {number} must be a str or a list of str; an empty one: no answer. "
                f"Received: {shown(text, 60)}."
            )
    if texts == [""]:
        return ()
    if len(starts) != len(texts):
        raise InputError(
            f"Example {number} must have one `answer_start` for each `answer_text`. Expected: {len(texts)}. "
            f"Received: {len(starts)}."
        )
    return tuple(_span(number, context, *one) for one in zip(starts, texts, strict=True) if one[1])


def _span(number: int, context: str, start, text: str) -> tuple[int, int]:
    if not isinstance(start, Integral) or isinstance(start, bool):
        raise InputError(f"`answer_start` of example {number} must be an int. Received: {shown(start, 60)}.")
    start = int(start)
    found = context[start : start + len(text)] if start >= 0 else ""
    if found != text:
        raise InputError(
            f"The answer of example {number} does not stand in its context at `answer_start`, which counts characters "
            f"from 0. Expected: {shown(text, 60)} at {start}. "
            f"Received: {shown(found, 60) if found else 'nothing'} there."
        )
    return start, start + len(text)
