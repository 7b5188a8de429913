"""Scores of GLUE, by scikit-learn and scipy, in per cent."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from spanbert_keras.program import InputError
from tasks.glue.data import Example
from tasks.shared.extras import CLASSIFICATION, load


def need_libraries() -> None:
    """Refuses to go on where scores could not be computed later.

    Raises:
        InputError: a library is not installed.
    """
    for module in ("scipy.stats", "sklearn.metrics"):
        load(module, CLASSIFICATION)


def accuracy(gold: Sequence, found: Sequence) -> float:
    """Share of equal labels."""
    return 100.0 * float(load("sklearn.metrics", CLASSIFICATION).accuracy_score(gold, found))


def f1(gold: Sequence[str], found: Sequence[str]) -> float:
    """F1 of the label "1"; 0 where neither side has it."""
    return 100.0 * float(
        load("sklearn.metrics", CLASSIFICATION).f1_score(gold, found, pos_label="1", zero_division=0.0)
    )


def macro_f1(gold: Sequence, found: Sequence) -> float:
    """Mean over the labels that occur of their F1, 0 for one that is never found; a text may have several (tuples)."""
    return _average_f1(gold, found, "macro")


def micro_f1(gold: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> float:
    """F1 of all pairs of a text and one of its labels; 0 where neither side has any."""
    return _average_f1(gold, found, "micro")


def exact_match(gold: Sequence[tuple[str, ...]], found: Sequence[tuple[str, ...]]) -> float:
    """Share of texts whose labels are found, all of them and no others."""
    return 100.0 * float(load("sklearn.metrics", CLASSIFICATION).accuracy_score(*_indicators(gold, found)))


def _average_f1(gold: Sequence, found: Sequence, average: str) -> float:
    if any(isinstance(labels, tuple) for labels in gold):
        if not any(gold) and not any(found):
            return 0.0
        gold, found = _indicators(gold, found)
        if gold.shape[1] == 1:  # scikit-learn would take a single column for two classes, "has it" and "has it not"
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
    """Matthews' correlation; 0 where one side is constant."""
    if len(set(gold)) < 2 or len(set(found)) < 2:
        return 0.0
    return 100.0 * float(load("sklearn.metrics", CLASSIFICATION).matthews_corrcoef(gold, found))


def pearson(gold: Sequence[float], found: Sequence[float]) -> float:
    """Pearson's correlation; 0 where one side is constant, which has none. Of several numbers the mean over them."""
    return _correlation(load("scipy.stats", CLASSIFICATION).pearsonr, gold, found)


def spearman(gold: Sequence[float], found: Sequence[float]) -> float:
    """Spearman's rank correlation, ties at their mean rank; 0 where one side is constant, which has none. Of several
    numbers the mean over them."""
    return _correlation(load("scipy.stats", CLASSIFICATION).spearmanr, gold, found)


def _correlation(function, gold, found) -> float:
    gold, found = np.asarray(gold, np.float64), np.asarray(found, np.float64)
    if gold.ndim == 2:
        return sum(_correlation(function, *columns) for columns in zip(gold.T, found.T, strict=True)) / gold.shape[1]
    if len(gold) < 2 or np.ptp(gold) == 0 or np.ptp(found) == 0:
        return 0.0
    with warnings.catch_warnings(action="ignore"):  # of numbers that are nearly constant
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
    """Returns the scores of these names, as `score` the mean of them or of those `chosen`, and `examples`.

    Raises:
        InputError: nothing to score, or different numbers.
    """
    if not len(gold) or len(gold) != len(found):
        raise InputError(
            "There must be a prediction for each example, and one at least. "
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
    """Returns what `score` does, of examples and what was found for them: labels, or numbers.

    Raises:
        InputError: nothing to score, or different numbers.
    """
    return score(names, gold_of(examples, found), found, chosen)


def gold_of(examples: Sequence[Example], found: Sequence) -> list:
    """Returns the gold labels in the form of what was found: labels, numbers, tuples of labels or of numbers."""
    labels = [one.label for one in examples]
    if any(isinstance(value, float) for value in found):
        return [float(label[0] if isinstance(label, tuple) else label or 0) for label in labels]
    if any(isinstance(value, tuple) and value and isinstance(value[0], float) for value in found):
        return [tuple(map(float, label or ())) for label in labels]
    return labels
