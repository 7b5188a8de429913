"""Writes an HTML page of extracted relations: sentences with both entities marked, filters."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tasks.shared.error_page import finite, utf16_converter, write_browsing_page

TASK_PAGE = Path(__file__).with_name("page")
MAX_CANDIDATES = 5


def write_page(
    path: str | os.PathLike,
    title: str,
    examples: Sequence,
    shares: np.ndarray,
    labels: Sequence[str],
    no_relation: str,
    facts: Mapping[str, str],
) -> None:
    """Writes one self-contained HTML file that shows each sentence with its gold and predicted relation.

    Args:
        path: path of the file, which is written whole or not at all.
        title: heading of the page.
        examples: list of `Example`.
        shares: float `(N, C)`. Probability of each label.
        labels: list of str, C.
        no_relation: str. Label of no relation.
        facts: names and values shown at the top.
    """
    write_browsing_page(path, title, TASK_PAGE, relation_data(examples, shares, labels, no_relation, facts))


def relation_data(
    examples: Sequence, shares: np.ndarray, labels: Sequence[str], no_relation: str, facts: Mapping[str, str]
) -> dict[str, Any]:
    """Returns what the page embeds, ready for JSON.

    A text is the tokens with a blank between them. Spans are half-open in UTF-16 units, as JavaScript slices strings.

    Returns:
        Dict with keys `facts` (pairs), `no_relation` and `rows` (dicts).
    """
    rows = []
    for example, of_labels in zip(examples, shares, strict=True):
        pair = example.pair
        text = " ".join(pair.units)
        starts = np.cumsum([0, *(len(unit) + 1 for unit in pair.units)])
        convert = utf16_converter(text)
        spans = [
            [convert(int(starts[first])), convert(int(starts[end]) - 1)] for first, end in (pair.subject, pair.object)
        ]
        order = np.argsort(-of_labels, kind="stable")[:MAX_CANDIDATES].tolist()
        rows.append(
            {
                "id": example.id,
                "text": text,
                "subject": spans[0],
                "object": spans[1],
                "types": [pair.subject_type, pair.object_type],
                "gold": example.relation,
                "predicted": labels[order[0]],
                "candidates": [[labels[place], finite(of_labels[place])] for place in order],
            }
        )
    return {"facts": [[name, value] for name, value in facts.items()], "no_relation": no_relation, "rows": rows}
