"""One HTML file in which a person looks through a scored file: questions, contexts with answers marked, filters."""

import bisect
import dataclasses
import html
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spanbert_keras.training.files import write_atomically

TEMPLATE = Path(__file__).with_name("page.html")
PLACEHOLDER = re.compile(r"\{\{(title|data)\}\}")
# Code points that JavaScript counts as two.
ASTRAL = re.compile("[\U00010000-\U0010ffff]")
# What could end the script element or, in old browsers, a string; each has an escape that JSON reads back.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageRow:
    """One question of the page, its answers and scores.

    Args:
        id: str. The question's id.
        question: str.
        context: str. The whole text in which the answer is looked for; a text that questions share is stored once.
        article: str. Title of the article, or `""`; the page offers a choice where there are several.
        gold: tuple of str. The accepted answers; empty if the context holds none.
        gold_spans: tuple of (start, end). Half-open offsets into `context`, in code points, that are marked as gold.
        predicted: str. The answer given; `""` is no answer.
        start: int or None. Offset of the prediction's first code point; None if it has no place in the context.
        end: int or None. Offset past its last code point.
        score: float. The prediction's score.
        no_answer_score: float or None. Score of there being no answer, if the model gives one.
        exact: bool. Whether the prediction is an accepted answer.
        f1: float in [0, 1]. Overlap of words with the best accepted answer.
        candidates: tuple of (text, score). The n best answers, best first; may be empty.
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

    The file needs no network and no other file. It is whole or absent: if writing fails, what was at `path` is still
    there. Any text is shown as text, whatever markup it holds. Scores that are not finite are shown as a dash.

    Args:
        path: where the file goes; missing folders are made.
        title: heading of the page.
        rows: the questions, in the file's order.
        facts: names and values shown at the top, such as the exact match, the F1, the model and the file.

    Raises:
        ValueError: a span lies outside its context, or only one end of it is given.
    """
    content = render(TEMPLATE.read_text(encoding="utf-8"), title, question_answering_data(rows, facts))
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


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
        "score": _finite(row.score),
        "no_answer_score": _finite(row.no_answer_score),
        "exact": bool(row.exact),
        "f1": _finite(row.f1),
        "candidates": [[text, _finite(score)] for text, score in row.candidates],
    }


def _finite(value: float | None) -> float | None:
    """Returns a float that JSON knows; infinities and NaN, which it does not, are None."""
    return float(value) if value is not None and math.isfinite(value) else None


def utf16_converter(text: str) -> Callable[[int], int]:
    """Returns the function from an offset in code points of `text` to the same place in UTF-16 units.

    Example: `utf16_converter("a😀b")(2)` is 3.
    """
    wide = [found.start() for found in ASTRAL.finditer(text)]
    return lambda offset: offset + bisect.bisect_left(wide, offset)


# From here on nothing knows of questions and answers: any task's page is made so.


def render(template: str, title: str, data: Any) -> bytes:
    """Returns the template's bytes with the title and, as JSON that cannot leave its script element, the data.

    Args:
        template: text with `{{title}}` where markup is read and `{{data}}` inside a script of type application/json.
        title: str, escaped here.
        data: what `json` can write; no NaN or infinity.
    """
    # ASCII escapes carry anything, lone surrogates too. One pass: a placeholder inside a text is left alone.
    values = {"title": html.escape(title), "data": json.dumps(data, allow_nan=False, separators=(",", ":"))}
    values["data"] = values["data"].translate(ESCAPES)
    return PLACEHOLDER.sub(lambda found: values[found[1]], template).encode("utf-8", errors="xmlcharrefreplace")
