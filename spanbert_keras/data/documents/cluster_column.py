"""The cluster column of CoNLL-2012: `(12|(3)|12)`. Spans are half-open, [start, end)."""

import collections
import re
from collections.abc import Iterable, Sequence

from spanbert_keras.data.documents.collector import BadDocumentError
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.document import Span

NO_MENTION = ("-", "_")
WHOLE = re.compile(r"(?:\(\d+\)?|\d+\))(?:\|?(?:\(\d+\)?|\d+\)))*", re.ASCII)
ITEM = re.compile(r"(\(?)(\d+)(\)?)", re.ASCII)
# In one column the official scorer takes mentions of one token first, then those that begin, then those that end.
OFFICIAL_ORDER = {("(", ")"): 0, ("(", ""): 1, ("", ")"): 2}


def read_cluster_column(rows: Iterable[tuple[int, str]]) -> dict[int, list[Span]]:
    """Returns the mentions of each cluster, as the official scorer reads them.

    A bracket that closes ends the mention of its cluster that began last: mentions of one cluster nest, those of
    different ones may cross. Clusters come in the order in which their numbers appear, mentions in the order in which
    they end; a mention that occurs twice is returned twice.

    Args:
        rows: iterable of (line, column), one per token. `-` and `_` stand for no mention; the bar between two mentions
            may be missing.

    Raises:
        BadDocumentError: a malformed column, or a bracket without its partner; it has the line.
    """
    mentions: dict[int, list[Span]] = {}
    begun: dict[int, list[tuple[int, int]]] = collections.defaultdict(list)
    for position, (line, column) in enumerate(rows):
        if column in NO_MENTION:
            continue
        if not WHOLE.fullmatch(column):
            raise BadDocumentError(
                line,
                "the cluster column cannot be read. Expected: '-', or numbers in brackets such as '(12|(3)|12)'. "
                f"Received: {column!r}.",
            )
        items = sorted(ITEM.findall(column), key=lambda item: OFFICIAL_ORDER[item[0], item[2]])
        for opens, digits, closes in items:
            number = int(digits)
            mentions.setdefault(number, [])
            if opens:
                begun[number].append((position, line))
            if closes:
                if not begun[number]:
                    raise BadDocumentError(
                        line,
                        f"a bracket of cluster {number} closes that never opened. Expected: '({number}' in this line "
                        f"or before it in the document. Received: {column!r}.",
                    )
                mentions[number].append((begun[number].pop()[0], position + 1))
    for number, rest in begun.items():
        if rest:
            line = rest[-1][1]
            raise BadDocumentError(
                line,
                f"a bracket of cluster {number} opens and never closes. Expected: '{number})' before the document "
                "ends. Received: none.",
            )
    return mentions


def write_cluster_column(clusters: Sequence[Sequence[Span]], length: int, numbers: Sequence[int] = ()) -> list[str]:
    """Returns the cluster column of a document, one text per token.

    A cell lists the mentions that begin, the longest first; then those of one token; then those that end, the shortest
    first. If a span is in two clusters, the lower number is outside. Files made from LitBank and OntoGUM do the same.

    Args:
        clusters: sequence of clusters of (start, end).
        length: int. Number of tokens of the document.
        numbers: sequence of int, one per cluster. Default: 0, 1, 2, ...

    Raises:
        InputError: two mentions of one cluster cross, which the format cannot express.
    """
    begin: list[list[tuple]] = [[] for _ in range(length)]
    single: list[list[tuple]] = [[] for _ in range(length)]
    end: list[list[tuple]] = [[] for _ in range(length)]
    for i, cluster in enumerate(clusters):
        number = numbers[i] if numbers else i
        _check_nested(cluster, number)
        for start, stop in cluster:
            if stop - start == 1:
                single[start].append((number, f"({number})"))
            else:
                begin[start].append((-stop, number, f"({number}"))
                end[stop - 1].append((-start, -number, f"{number})"))
    columns = ([*sorted(b), *sorted(s), *sorted(e)] for b, s, e in zip(begin, single, end, strict=True))
    return ["|".join(item[-1] for item in items) or "-" for items in columns]


def _check_nested(cluster: Sequence[Span], number: int) -> None:
    """Raises if a mention of a cluster begins inside another and ends after it."""
    enclosing: list[Span] = []
    for start, stop in sorted(cluster, key=lambda span: (span[0], -span[1])):
        while enclosing and enclosing[-1][1] <= start:
            enclosing.pop()
        if enclosing and stop > enclosing[-1][1]:
            raise InputError(
                f"two mentions of cluster {number} cross, which the cluster column of CoNLL-2012 cannot hold. "
                f"Expected: one inside the other, or apart. "
                f"Received: [{enclosing[-1][0]}, {enclosing[-1][1]}) and [{start}, {stop})."
            )
        enclosing.append((start, stop))
