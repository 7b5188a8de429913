"""Scores of GLUE, by scikit-learn and scipy, in per cent."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from spanbert_keras.program import InputError
from tasks.glue.data import Example
from tasks.shared.extras import CLASSIFICATION, load


def need_libraries() -> None:
    """Raises if the libraries are missing: better now than after the training.

    Raises:
        InputError: a library is not installed.
    """
    for module in ("scipy.stats", "sklearn.metrics"):
        load(module, CLASSIFICATION)


def accuracy(gold: Sequence, found: Sequence) -> float:
    """Share of equal labels."""
    return 100.0 * float(load("sklearn.metrics", CLASSIFICATION).accuracy_score(gold, found))


def f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """F1 of the label "1"; 0 if neither side has it."""
    return 100.0 * float(
        load("sklearn.metrics", CLASSIFICATION).f1_score(gold, found, pos_label="1", zero_division=0.0)
    )


def macro_f1(gold: Sequence, found: Sequence) -> float:
    """Mean F1 over the labels that occur, 0 for one that is never predicted; texts may have several labels (tuples)."""
    return _average_f1(gold, found, "macro")


def micro_f1(gold: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> float:
    """F1 over all pairs of a text and one of its labels; 0 if neither side has any."""
    return _average_f1(gold, found, "micro")


def exact_match(gold: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> float:
    """Share of texts with exactly the gold labels."""
    return 100.0 * float(load("sklearn.metrics", CLASSIFICATION).accuracy_score(*_indicators(gold, found)))


def _average_f1(gold: Sequence, found: Sequence, average: str) -> float:
    if any(isinstance(labels, tuple) for labels in gold):
        if not any(gold) and not any(found):
            return 0.0
        gold, found = _indicators(gold, found)
        if gold.shape[1] == 1:  # scikit-learn would read a single column as two classes, with and without the label
            gold, found, average = gold[:, 0], found[:, 0], "binary"
    return 100.0 * float(
        load("sklearn.metrics", CLASSIFICATION).f1_score(gold, found, average=average, zero_division=0.0)
    )


def _indicators(gold: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether each text has each of the labels that occur, int64 `(N, L)`, for gold and found."""
    names = sorted({label for labels in (*gold, *found) for label in labels}) or [""]
    sides = ([[int(name in labels) for name in names] for labels in side] for side in (gold, found))
    first, second = map(np.array, sides)
    return first, second


def matthews(gold: Sequence, found: Sequence) -> float:
    """Matthews' correlation; 0 if one side is constant."""
    if len(set(gold)) < 2 or len(set(found)) < 2:
        return 0.0
    return 100.0 * float(load("sklearn.metrics", CLASSIFICATION).matthews_corrcoef(gold, found))


def pearson(gold: Sequence[float], found: Sequence[float]) -> float:
    """Pearson's correlation; 0 if one side is constant, where it is undefined. Mean over several targets."""
    return _correlation(load("scipy.stats", CLASSIFICATION).pearsonr, gold, found)


def spearman(gold: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 if one side is constant, where it is undefined. Mean over
    several targets."""
    return _correlation(load("scipy.stats", CLASSIFICATION).spearmanr, gold, found)


def _correlation(function, gold, found) -> float:
    gold, found = np.asarray(gold, np.float64), np.asarray(found, np.float64)
    if gold.ndim == 2:
        return sum(_correlation(function, *columns) for columns in zip(gold.T, found.T, strict=True)) / gold.shape[1]
    if len(gold) < 2 or np.ptp(gold) == 0 or np.ptp(found) == 0:
        return 0.0
    with warnings.catch_warnings(action="ignore"):  # about nearly constant numbers
        value = float(function(gold, found)[0])
    return 100.0 * value if math.isfinite(value) else 0.0


SCORES = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "matthews": matthews,
    "pearson": pearson,
    "spearman": spearman,
    "micro_f1": micro_f1,
    "exact_match": exact_match,
}


def score(names: Sequence[str], gold: Sequence, found: Sequence, chosen: Sequence[str] = ()) -> dict[str, float]:
    """Returns the named scores, the mean of all or of the `chosen` ones as `score`, and the number of `examples`.

    Raises:
        InputError: nothing to score, or different numbers of examples and predictions.
    """
    if not len(gold) or len(gold) != len(found):
        raise InputError(
            "There must be one prediction per example, and at least one. "
            f"Received: {len(gold)} examples and {len(found)} predictions."
        )
    values = {name: SCORES[name](gold, found) for name in names}
    return values | {
        "score": sum(values[name] for name in chosen or names) / len(chosen or names),
        "examples": len(gold),
    }


def score_examples(
    names: Sequence[str], examples: Sequence[Example], found: Sequence, chosen: Sequence[str] = ()
) -> dict[str, float]:
    """Returns the result of `score` for examples and their predictions: labels, or numbers.

    Raises:
        InputError: nothing to score, or different numbers of examples and predictions.
    """
    return score(names, gold_of(examples, found), found, chosen)


def gold_of(examples: Sequence[Example], found: Sequence) -> list:
    """Returns the gold labels in the form of the predictions: labels, numbers, tuples of labels or of numbers."""
    labels = [one.label for one in examples]
    if any(isinstance(value, float) for value in found):
        return [float(label[0] if isinstance(label, tuple) else label or 0) for label in labels]
    if any(isinstance(value, tuple) and value and isinstance(value[0], float) for value in found):
        return [tuple(map(float, label or ())) for label in labels]
    return labels
