"""Scores of relation extraction, as by TACRED's and SemEval-2010's official scorers. Shape letter: C classes."""

import dataclasses
import re
import statistics
from collections.abc import Iterable, Sequence

import numpy as np

from spanbert_keras.program import InputError

DIRECTED = re.compile(r"(.+)\((e1,e2|e2,e1)\)")  # Cause-Effect(e1,e2)


@dataclasses.dataclass(frozen=True)
class Figure:
    """Counts of one relation, or of all together; they can be added.

    Attributes:
        correct, predicted, gold: int.
    """

    correct: int = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        """From 0 to 1; 1 where nothing is predicted (official scorer)."""
        return self.correct / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        """From 0 to 1; 0 where there is nothing to find (official scorer)."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """From 0 to 1, F1 = 2 P R / (P + R); 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def summary(self) -> dict[str, float]:
        """Returns precision, recall and F1 in per cent."""
        return {key: 100.0 * getattr(self, key) for key in ("precision", "recall", "f1")}


def score(
    gold: Sequence[str], predicted: Sequence[str], no_relation: str, labels: Sequence[str] = ()
) -> dict[str, float]:
    """Returns micro-averaged precision, recall and F1 in per cent; examples without a relation only count if one
    is predicted, and predictions of no relation are not counted.

    Args:
        gold, predicted: sequences of relations, one per example.
        no_relation: str. The label of no relation.
        labels: sequence of str. All relations of the model.

    Returns:
        dict: `precision`, `recall`, `f1`, `accuracy` in per cent, `examples`; before them, if all relations have a
        direction, `macro_precision`, `macro_recall` and `macro_f1`, see `directed_scores`.

    Raises:
        InputError: nothing to score, or different numbers of examples and predictions.
    """
    figures = by_relation(gold, predicted, no_relation)
    total = Figure(
        *(sum(getattr(figure, key) for figure in figures.values()) for key in ("correct", "predicted", "gold"))
    )
    right = sum(one == other for one, other in zip(gold, predicted, strict=True))
    macro = (
        directed_scores(gold, predicted, no_relation)
        if have_directions({*gold, *predicted, *labels}, no_relation)
        else {}
    )
    return total.summary() | macro | {"accuracy": 100.0 * right / len(gold), "examples": len(gold)}


def have_directions(labels: Iterable[str], no_relation: str) -> bool:
    """Returns whether all relations, at least one, are of the form `Cause-Effect(e1,e2)` or `Cause-Effect(e2,e1)`."""
    relations = set(labels) - {no_relation}
    return bool(relations) and all(DIRECTED.fullmatch(relation) for relation in relations)


def directed_scores(gold: Sequence[str], predicted: Sequence[str], no_relation: str) -> dict[str, float]:
    """Returns the official score of SemEval-2010 Task 8 ((9+1)-way, with directionality) in per cent.

    Both directions of a relation are one class, in which only the gold direction is right:

        P = right / predicted in either direction
        R = right / gold in either direction
        F1 = 2 P R / (P + R)

    and each is averaged over the relations of the gold labels, `no_relation` left out. A wrong direction thus
    lowers both. A relation without predictions has P = 0; one without a gold example counts as `no_relation`
    (official scorer, version 1.2).

    Returns:
        dict: `macro_precision`, `macro_recall`, `macro_f1`; 0 if no gold label is a relation.

    Reference: Hendrickx et al., 2010.
    """
    counts: dict[str, list[int]] = {_undirected(one): [0, 0, 0] for one in gold if one != no_relation}
    for one, other in zip(gold, predicted, strict=True):
        if one != no_relation:
            counts[_undirected(one)][0] += one == other
            counts[_undirected(one)][2] += 1
        if other != no_relation and _undirected(other) in counts:
            counts[_undirected(other)][1] += 1
    shares = [(right / max(found, 1), right / there) for right, found, there in counts.values()]
    every = [(p, r, 2 * p * r / (p + r) if p + r else 0.0) for p, r in shares] or [(0.0, 0.0, 0.0)]
    names = ("macro_precision", "macro_recall", "macro_f1")
    return {
        name: 100.0 * statistics.fmean(column) for name, column in zip(names, zip(*every, strict=True), strict=True)
    }


def _undirected(relation: str) -> str:
    """Returns the name of a relation without its direction, if any."""
    match = DIRECTED.fullmatch(relation)
    return match[1] if match else relation


def by_relation(gold: Sequence[str], predicted: Sequence[str], no_relation: str) -> dict[str, Figure]:
    """Returns the `Figure` of each relation except `no_relation`, by name.

    Raises:
        InputError: nothing to score, or different numbers of examples and predictions.
    """
    if not gold or len(gold) != len(predicted):
        raise InputError(
            "There must be one prediction per example, and at least one. "
            f"Received: {len(gold)} examples and {len(predicted)} predictions."
        )
    names = sorted({*gold, *predicted} - {no_relation})
    counts = {name: [0, 0, 0] for name in names}
    for one, other in zip(gold, predicted, strict=True):
        if other != no_relation:
            counts[other][0] += one == other
            counts[other][1] += 1
        if one != no_relation:
            counts[one][2] += 1
    return {name: Figure(*of_name) for name, of_name in counts.items()}


def confusion(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> np.ndarray:
    """Returns how often each gold relation (row) was predicted as each label (column), int64 `(C, C)`."""
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), np.int64)
    for one, other in zip(gold, predicted, strict=True):
        table[place[one], place[other]] += 1
    return table
