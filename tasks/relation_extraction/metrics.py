"""Scores of relation extraction as the official scorer of TACRED has them. Shape letter: C classes."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spanbert_keras.program import InputError


@dataclasses.dataclass(frozen=True)
class Figure:
    """Counts of one relation, or of all together, which add up.

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


def score(gold: Sequence[str], predicted: Sequence[str], no_relation: str) -> dict[str, float]:
    """Returns micro-averaged precision, recall and F1 in per cent; examples without a relation count where one is
    predicted, and predictions of none count nowhere.

    Args:
        gold, predicted: sequences of relations, one an example.
        no_relation: str. The label of no relation.

    Returns:
        dict: `precision`, `recall`, `f1`, `accuracy` in per cent, `examples`.

    Raises:
        InputError: nothing to score, or different numbers.
    """
    figures = by_relation(gold, predicted, no_relation)
    total = Figure(
        *(sum(getattr(figure, key) for figure in figures.values()) for key in ("correct", "predicted", "gold"))
    )
    right = sum(one == other for one, other in zip(gold, predicted, strict=True))
    return total.summary() | {"accuracy": 100.0 * right / len(gold), "examples": len(gold)}


def by_relation(gold: Sequence[str], predicted: Sequence[str], no_relation: str) -> dict[str, Figure]:
    """Returns the `Figure` of each relation but `no_relation`, by name.

    Raises:
        InputError: nothing to score, or different numbers.
    """
    if not gold or len(gold) != len(predicted):
        raise InputError(
            "There must be a prediction for each example, and one at least. "
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
    """Returns how often each gold relation (row) was given each label (column), int64 `(C, C)`."""
    place = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)), np.int64)
    for one, other in zip(gold, predicted, strict=True):
        table[place[one], place[other]] += 1
    return table
