"""Writes an HTML page of named entities: sentences with gold and predicted entities marked, filters."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.named_entities.data import Example, by_sentence
from tasks.named_entities.predictions import spans_of
from tasks.shared.error_page import utf16_converter, write_browsing_page

TASK_PAGE = Path(__file__).with_name("page")


def write_page(
    path: str | os.PathLike,
    title: str,
    examples: Sequence[Example],
    found: Sequence[Sequence],
    facts: Mapping[str, str],
) -> None:
    """Writes one self-contained HTML file that shows each sentence with its gold and predicted entities.

    Args:
        path: path of the file, which is written whole or not at all.
        title: heading of the page.
        examples: sequence of `Example`.
        found: for each its `Entity` results.
        facts: names and values shown at the top.
    """
    write_browsing_page(path, title, TASK_PAGE, entity_data(examples, found, facts))


def entity_data(examples: Sequence[Example], found: Sequence[Sequence], facts: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the page embeds, ready for JSON: a row for each sentence, or text, with an entity.

    A text of tokens has a blank between them. Spans are half-open in UTF-16 units, as JavaScript slices strings.

    Returns:
        Dict with keys `facts` (pairs) and `rows` (dicts).
    """
    rows = []
    for example, entities in zip(examples, found, strict=True):
        sentences = example.sentences or ((0, len(example.text)),)
        both = (by_sentence(every, sentences) for every in (example.entities, spans_of(entities)))
        for number, ((start, end), *sides) in enumerate(zip(sentences, *both, strict=True), 1):
            if any(sides):
                moved = [[(a - start, b - start, label) for a, b, label in side] for side in sides]
                rows.append(_row(example, start, end, *moved, number))
    return {"facts": [[name, value] for name, value in facts.items()], "rows": rows}


def _row(example: Example, start: int, end: int, gold: list, predicted: list, number: int) -> dict[str, Any]:
    part = example.text[start:end]
    if isinstance(part, str):
        text, begins, ends = part, np.arange(len(part)), np.arange(len(part)) + 1
    else:
        text = " ".join(part)
        lengths = np.array([len(token) for token in part])
        begins = np.cumsum(lengths + 1) - lengths - 1
        ends = begins + lengths
    convert = utf16_converter(text)

    def shown(entities: list, others: set) -> list:
        """Returns [start, end, label, whether the other side has it too], outer ones first."""
        return [
            [convert(int(begins[a])), convert(int(ends[b - 1])), label, (a, b, label) in others]
            for a, b, label in sorted(entities, key=lambda one: (one[0], -one[1]))
        ]

    return {
        "id": f"{example.id}, {number}",
        "group": example.id,
        "text": text,
        "gold": shown(gold, set(predicted)),
        "predicted": shown(predicted, set(gold)),
    }
