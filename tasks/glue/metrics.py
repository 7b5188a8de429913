"""Scores of GLUE, by scikit-learn and scipy, in per cent."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from spanbert_keras.program import InputError
from tasks.extras import load
from tasks.glue.example import Example

EXTRA = "classification"


def need_libraries() -> None:
    """Refuses to go on where scores could not be computed later.

    Raises:
        InputError: a library is not installed.
    """
    for module in ("scipy.stats", "sklearn.metrics"):
        load(module, EXTRA)


def accuracy(gold: Sequence, found: Sequence) -> float:
    """Share of equal labels."""
    return 100.0 * float(load("sklearn.metrics", EXTRA).accuracy_score(gold, found))


def f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """F1 of the label "1"; 0 where neither side has it."""
    return 100.0 * float(load("sklearn.metrics", EXTRA).f1_score(gold, found, pos_label="1", zero_division=0.0))


def macro_f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """Mean over the labels that occur of their F1, 0 for one that is never found."""
    return 100.0 * float(load("sklearn.metrics", EXTRA).f1_score(gold, found, average="macro", zero_division=0.0))


def matthews(gold: Sequence, found: Sequence) -> float:
    """Matthews' correlation; 0 where one side is constant."""
    if len(set(gold)) < 2 or len(set(found)) < 2:
        return 0.0
    return 100.0 * float(load("sklearn.metrics", EXTRA).matthews_corrcoef(gold, found))


def pearson(gold: Sequence[float], found: Sequence[float]) -> float:
    """Pearson's correlation; 0 where one side is constant, which has none."""
    return _correlation(load("scipy.stats", EXTRA).pearsonr, gold, found)


def spearman(gold: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where one side is constant, which has none."""
    return _correlation(load("scipy.stats", EXTRA).spearmanr, gold, found)


def _correlation(function, gold, found) -> float:
    gold, found = np.asarray(gold, np.float64), np.asarray(found, np.float64)
    if len(gold) < 2 or np.ptp(gold) == 0 or np.ptp(found) == 0:
        return 0.0
    with warnings.catch_warnings(action="ignore"):  # of numbers that are nearly constant
        value = float(function(gold, found)[0])
    return 100.0 * value if math.isfinite(value) else 0.0


SCORES = {
    "accuracy": accuracy, "f1": f1, "macro_f1": macro_f1, "matthews": matthews, "pearson": pearson, "spearman": spearman
}  # fmt: skip


def score(names: Sequence[str], gold: Sequence, found: Sequence) -> dict[str, float]:
    """Returns the scores of these names, their mean as `score`, and `examples`.

    Raises:
        InputError: nothing to score, or different numbers.
    """
    if not len(gold) or len(gold) != len(found):
        raise InputError(
            "There must be a prediction for each example, and one at least. "
            f"Received: {len(gold)} examples and {len(found)} predictions."
        )
    values = {name: SCORES[name](gold, found) for name in names}
    return values | {"score": sum(values.values()) / len(values), "examples": len(gold)}


def score_examples(names: Sequence[str], examples: Sequence[Example], found: Sequence) -> dict[str, float]:
    """Returns what `score` does, of examples and what was found for them: labels, or numbers.

    Raises:
        InputError: nothing to score, or different numbers.
    """
    numbers = any(isinstance(value, float) for value in found)
    return score(names, [float(one.label or 0) if numbers else one.label for one in examples], found)
