"""Writes an HTML page of a scored file: questions, contexts with marked answers, filters."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.shared.error_page import finite, utf16_converter, write_browsing_page

TASK_PAGE = Path(__file__).with_name("page")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageRow:
    """One question of the page, its answers and scores.

    Args:
        id: str. The question's id.
        question: str.
        context: str. The whole text; one that several questions share is stored once.
        article: str. Title of the article, or `""`; with several, the page has a choice of articles.
        gold: tuple of str. The accepted answers; empty if the question has none.
        gold_spans: tuple of (start, end). Half-open offsets into `context`, in code points, that are marked as gold.
        predicted: str. The predicted answer; `""` stands for no answer.
        start: int or None. Offset of the prediction's first code point; `None` if it is not in the context.
        end: int or None. Offset past its last code point.
        score: float. The prediction's score.
        no_answer_score: float or None. No-answer score, if the model has one.
        exact: bool. Whether the prediction is an accepted answer.
        f1: float in [0, 1]. F1 of the words with the best accepted answer.
        candidates: tuple of (text, score). The best answers, best first; may be empty.
    """

    id: str
    question: str
    context: str
    article: str
    gold: tuple[str, ...]
    gold_spans: tuple[tuple[int, int], ...]
    predicted: str
    start: int | None
    end: int | None
    score: float
    no_answer_score: float | None
    exact: bool
    f1: float
    candidates: tuple[tuple[str, float], ...] = ()


def write_page(path: str | os.PathLike, title: str, rows: Sequence[PageRow], facts: Mapping[str, str]) -> None:
    """Writes one self-contained HTML file that shows each question and filters the errors.

    See `write_browsing_page`. Scores that are not finite are shown as a dash.

    Args:
        path: path of the file; missing folders are created.
        title: heading of the page.
        rows: the questions, in the file's order.
        facts: names and values shown at the top, such as the exact match, the F1, the model and the file.

    Raises:
        ValueError: a span lies outside its context, or only one end of it is given.
    """
    write_browsing_page(path, title, TASK_PAGE, question_answering_data(rows, facts))


def question_answering_data(rows: Sequence[PageRow], facts: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the page embeds, ready for JSON; contexts and articles are lists that the rows point into.

    Spans are half-open in UTF-16 units there, as JavaScript slices strings.

    Returns:
        Dict with keys `facts` (pairs), `articles`, `contexts` (each text once) and `rows` (dicts).
    """
    articles: dict[str, int] = {}
    contexts: dict[str, int] = {}
    converters: list[Callable[[int], int]] = []
    made = []
    for row in rows:
        context = contexts.setdefault(row.context, len(contexts))
        if context == len(converters):
            converters.append(utf16_converter(row.context))
        article = articles.setdefault(row.article, len(articles))
        made.append(_row_data(row, context, article, converters[context]))
    pairs = [[str(name), str(value)] for name, value in facts.items()]
    return {"facts": pairs, "articles": list(articles), "contexts": list(contexts), "rows": made}


def _row_data(row: PageRow, context: int, article: int, to_utf16: Callable[[int], int]) -> dict[str, Any]:
    """Returns a row as plain lists and numbers (NumPy's become Python's)."""
    predicted_span = None if row.start is None and row.end is None else (row.start, row.end)
    for start, end in (*row.gold_spans, *([predicted_span] if predicted_span else [])):
        if start is None or end is None or not 0 <= start <= end <= len(row.context):
            raise ValueError(
                "A span must be two offsets with 0 <= start <= end <= length of the context. "
                f"Received: start={start}, end={end}, length={len(row.context)}, id={row.id!r}."
            )
    return {
        "id": row.id,
        "question": row.question,
        "context": context,
        "article": article,
        "gold": list(row.gold),
        "gold_spans": [[to_utf16(int(start)), to_utf16(int(end))] for start, end in row.gold_spans],
        "predicted": row.predicted,
        "predicted_span": predicted_span and [to_utf16(int(offset)) for offset in predicted_span],
        "score": finite(row.score),
        "no_answer_score": finite(row.no_answer_score),
        "exact": bool(row.exact),
        "f1": finite(row.f1),
        "candidates": [[text, finite(score)] for text, score in row.candidates],
    }
