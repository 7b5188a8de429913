"""Writes an HTML page of classified texts: labels, probabilities, filters."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.glue.data import Example
from tasks.glue.metrics import gold_of
from tasks.shared.error_page import finite, write_browsing_page

TASK_PAGE = Path(__file__).with_name("page")


def write_page(
    path: str | os.PathLike,
    title: str,
    examples: Sequence[Example],
    found: Sequence,
    shares: np.ndarray | None,
    labels: Sequence[str],
    facts: Mapping[str, str],
) -> None:
    """Writes one self-contained HTML file that shows each text or pair with its gold and predicted label or number.

    Args:
        path: path of the file, which is written whole or not at all.
        title: heading of the page.
        examples: list of `Example`, with labels.
        found: list of the predictions: labels (str), numbers (float), or tuples of them.
        shares: float `(N, C)`. Probability of each label; `None` for numbers.
        labels: list of str, C; empty for a single number without a name.
        facts: names and values shown at the top.
    """
    write_browsing_page(path, title, TASK_PAGE, text_data(examples, found, shares, labels, facts))


def text_data(
    examples: Sequence[Example],
    found: Sequence,
    shares: np.ndarray | None,
    labels: Sequence[str],
    facts: Mapping[str, str],
) -> dict[str, Any]:
    """Returns what the page embeds, ready for JSON; see `write_page`.

    Returns:
        Dict with keys `facts` (pairs), `numbers` (bool: no labels) and `rows` (dicts with `id`, `texts`, `gold`,
        `predicted`, and `candidates`, pairs of label and probability, the most probable first). If
        texts have several labels, `gold` and `predicted` are these, in the labels' order, with commas; several numbers
        are lists.
    """
    golds = gold_of(examples, found)
    names = () if shares is None else labels
    rows = []
    for place, (example, prediction) in enumerate(zip(examples, found, strict=True)):
        of_labels = [] if shares is None else shares[place].tolist()
        candidates = sorted(zip(names, of_labels, strict=True), key=lambda pair: -pair[1])
        rows.append(
            {
                "id": example.id,
                "texts": [example.text] if example.pair is None else [example.text, example.pair],
                "gold": _page_value(golds[place], labels),
                "predicted": _page_value(prediction, labels),
                "candidates": [[label, finite(share)] for label, share in candidates],
            }
        )
    return {"facts": [[name, value] for name, value in facts.items()], "numbers": shares is None, "rows": rows}


def _page_value(value, labels: Sequence[str]):
    """Returns a gold or predicted value for the page: label, several labels as text, number, or list of numbers."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, tuple) and value and isinstance(value[0], float):
        return [finite(number) for number in value]
    if isinstance(value, tuple):
        return ", ".join([*(label for label in labels if label in value), *sorted(set(value) - set(labels))]) or "none"
    return value
