"""Writes an HTML page of errors: mentions missed and invented, chains merged and split."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.coreference.error_kinds import errors_of
from tasks.shared.error_page import utf16_converter, write_browsing_page

TASK_PAGE = Path(__file__).with_name("page")


def write_page(
    path: str | os.PathLike, title: str, documents: Sequence, found: Sequence[Sequence], facts: Mapping[str, str]
) -> None:
    """Writes one self-contained HTML file that shows every error in its text, with the chains that are involved.

    Args:
        path: path of the file, which is written whole or not at all.
        title: heading of the page.
        documents: list of `spanbert_keras.Document` with gold clusters.
        found: list of predicted clusters of (start, end), in tokens, one entry per document.
        facts: names and values shown at the top.
    """
    write_browsing_page(path, title, TASK_PAGE, coreference_data(documents, found, facts))


def coreference_data(documents: Sequence, found: Sequence[Sequence], facts: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the page embeds, ready for JSON.

    A text is the document's words with a blank between them, one sentence per line. Spans are half-open in UTF-16
    units, as JavaScript slices strings.

    Returns:
        Dict with keys `facts` (pairs), `documents` (dicts of name, text, and the gold and predicted chains: lists of
        spans) and `rows`, the errors: `kind`, `document`, `chain` (index among the gold chains for missed
        and split, else among the predicted ones), `mention` (index in the chain) or `others` (indices among the chains
        of the other side).
    """
    made, rows = [], []
    for number, (document, predicted) in enumerate(zip(documents, found, strict=True)):
        text, to_text = _text(document)
        gold = [sorted(cluster) for cluster in document.clusters]
        predicted = [sorted(tuple(mention) for mention in cluster) for cluster in predicted]
        chains = {"gold": gold, "predicted": predicted}
        spans = {side: [[to_text(*mention) for mention in chain] for chain in of] for side, of in chains.items()}
        made.append({"name": _name(document), "text": text, **spans})
        errors = errors_of(gold, predicted)
        for kind, mentions, chains_of in (("missed", errors.missed, gold), ("invented", errors.invented, predicted)):
            places = {mention: (i, j) for i, chain in enumerate(chains_of) for j, mention in enumerate(chain)}
            for mention in mentions:
                chain, place = places[mention]
                rows.append({"kind": kind, "document": number, "chain": chain, "mention": place})
        for kind, several in (("merged", errors.merged), ("split", errors.split)):
            rows += [
                {"kind": kind, "document": number, "chain": chain, "others": list(others)} for chain, others in several
            ]
    return {"facts": [[name, value] for name, value in facts.items()], "documents": made, "rows": rows}


def _name(document) -> str:
    """Returns the name of a document, with its part if that is not 0."""
    return f"{document.name or 'document'}, part {document.part}" if document.part else document.name


def _text(document):
    """Returns the document's words as text, and a function from a span of words to its place in that text."""
    line_ends = {end - 1 for _, end in document.sentences}
    parts: list[str] = []
    offsets: list[tuple[int, int]] = []
    at = 0
    for place, token in enumerate(document.tokens):
        offsets.append((at, at + len(token)))
        parts += [token, "\n" if place in line_ends else " "]
        at += len(token) + 1
    text = "".join(parts).rstrip("\n")
    convert = utf16_converter(text)
    return text, lambda start, end: [convert(offsets[start][0]), convert(offsets[end - 1][1])]
