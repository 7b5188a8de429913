"""The errors of a resolver in a document: mentions missed and invented, clusters merged and split."""

import collections
import dataclasses
from collections.abc import Sequence

Span = tuple[int, int]
Clusters = Sequence[Sequence[Span]]


@dataclasses.dataclass(frozen=True)
class Errors:
    """The errors of a document. A cluster is given by its index in the list that holds it.

    Attributes:
        missed: tuple of (start, end). Gold mentions that no predicted cluster holds.
        invented: tuple of (start, end). Predicted mentions that no gold cluster holds.
        merged: tuple of (predicted cluster, gold clusters). The gold clusters, two or more, whose mentions it mixes.
        split: tuple of (gold cluster, predicted clusters). The predicted clusters, two or more, that its found mentions
            are spread over.
    """

    missed: tuple[Span, ...]
    invented: tuple[Span, ...]
    merged: tuple[tuple[int, tuple[int, ...]], ...]
    split: tuple[tuple[int, tuple[int, ...]], ...]


def errors_of(gold: Clusters, predicted: Clusters) -> Errors:
    """Returns what differs between two clusterings of a document.

    Args:
        gold, predicted: lists of clusters of (start, end).

    Example:

    ```python
    errors_of([[(0, 1), (2, 3)]], [[(0, 1), (4, 5)]])  # (2, 3) is missed, (4, 5) is invented
    ```
    """
    of_gold = _places(gold)
    of_predicted = _places(predicted)
    return Errors(
        missed=tuple(sorted(of_gold.keys() - of_predicted.keys())),
        invented=tuple(sorted(of_predicted.keys() - of_gold.keys())),
        merged=_spread(of_predicted, of_gold),
        split=_spread(of_gold, of_predicted),
    )


def _places(clusters: Clusters) -> dict[Span, int]:
    """Returns the cluster of every mention."""
    return {tuple(mention): number for number, cluster in enumerate(clusters) for mention in cluster}


def _spread(one: dict[Span, int], other: dict[Span, int]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Returns the clusters of one side whose mentions are in several clusters of the other."""
    found = collections.defaultdict(set)
    for mention, number in one.items():
        if mention in other:
            found[number].add(other[mention])
    return tuple((number, tuple(sorted(others))) for number, others in sorted(found.items()) if len(others) > 1)
