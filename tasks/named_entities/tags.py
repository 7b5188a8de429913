"""Tags of tokens to entities, and back. Entities are half-open, (start, end, label)."""

import re
from collections.abc import Iterable, Sequence

Entity = tuple[int, int, str]
TAG = re.compile(r"O|[BIESLU]-\S+")  # BIO, IOB, BIOES and BILOU
BEGINS = "BSU"
ENDS = "ELSU"


def is_tag(text: str) -> bool:
    """Returns whether a cell is a tag of an entity, or of none."""
    return TAG.fullmatch(text) is not None


def entities_of(tags: Sequence[str]) -> list[Entity]:
    """Returns the entities of a sentence's tags, in the order of their starts.

    As in CoNLL's scorer, an entity also begins at I (E, L) after a token of another type or of none: so IOB1, the form
    of CoNLL-2003's own files, is read as well as BIO.
    """
    found: list[Entity] = []
    start, open_label = 0, ""
    for place, tag in enumerate([*tags, "O"]):
        kind, _, label = tag.partition("-")
        if open_label and (kind in BEGINS or label != open_label):
            found.append((start, place, open_label))
            open_label = ""
        if label and not open_label:
            start, open_label = place, label
        if open_label and kind in ENDS:
            found.append((start, place + 1, open_label))
            open_label = ""
    return found


def columns_of(entities: Iterable[Entity], length: int, least: int = 1) -> list[list[str]]:
    """Returns columns of BIO tags that hold all entities of a sentence, outer ones first; at least `least` columns."""
    columns = [["O"] * length for _ in range(least)]
    for start, end, label in sorted(entities, key=lambda one: (one[0], -one[1], one[2])):
        free = (column for column in columns if all(tag == "O" for tag in column[start:end]))
        column = next(free, None)
        if column is None:
            column = ["O"] * length
            columns.append(column)
        column[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return columns


def outermost(entities: Iterable[Entity]) -> list[Entity]:
    """Returns the entities that are not inside another one; of two on the same tokens both."""
    every = sorted(set(entities), key=lambda one: (one[0], -one[1], one[2]))
    found, reached = [], (-1, -1)
    for start, end, label in every:
        if end > reached[1] or (start, end) == reached:
            found.append((start, end, label))
            reached = (start, end)
    return found
