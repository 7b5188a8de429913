"""Whether probabilities mean what they say, and the temperature with which they do. Shape letters: N examples.

A model is calibrated if, of all predictions with a probability of 0.8, 80 % are right.
"""

import math
import os
from collections.abc import Callable

import numpy as np
from absl import logging

from spanbert_keras.files.writing import write_atomically
from tasks.shared.extras import CLASSIFICATION, load

BINS = 15  # Guo et al., 2017
PRECISION = 0.95
LIMITS = (0.05, 20.0)  # of temperatures that are tried


def calibration_scores(confidence: np.ndarray, correct: np.ndarray) -> dict[str, float]:
    """Returns how well probabilities of predictions agree with how often these are right, in per cent.

    Args:
        confidence: float `(N,)`. Probability of each prediction.
        correct: bool `(N,)`. Whether it is right.

    Returns:
        dict: `expected_calibration_error`, the mean over 15 equal bins of |share of right predictions - mean
        confidence|, weighted by their size; `brier_score`, the mean of (confidence - correct)^2;
        `coverage_at_95_precision`, the largest share of examples that can be answered, the surest first, with at least
        95 % of the answers right; `mean_confidence`, `share_correct`.

    Reference: Guo et al., 2017, section 2.
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    error = sum(abs(share - mean) * count for mean, share, count in reliability(confidence, correct))
    return {
        "expected_calibration_error": 100 * error / len(confidence),
        "brier_score": 100 * float(((confidence - correct) ** 2).mean()),
        "coverage_at_95_precision": 100 * coverage_at(confidence, correct, PRECISION),
        "mean_confidence": 100 * float(confidence.mean()),
        "share_correct": 100 * float(correct.mean()),
    }


def reliability(confidence: np.ndarray, correct: np.ndarray) -> list[tuple[float, float, int]]:
    """Returns (mean confidence, share of right predictions, examples) of every bin that is not empty."""
    bins = np.minimum((np.asarray(confidence) * BINS).astype(int), BINS - 1)
    found = []
    for number in np.unique(bins):
        inside = bins == number
        found.append((float(confidence[inside].mean()), float(correct[inside].mean()), int(inside.sum())))
    return found


def coverage_at(confidence: np.ndarray, correct: np.ndarray, precision: float) -> float:
    """Returns the largest share of examples, those above a limit of confidence, of which this share is right."""
    order = np.argsort(-confidence, kind="stable")
    shares = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    last_of_ties = np.append(np.diff(confidence[order]) != 0, True)
    good = np.flatnonzero((shares >= precision) & last_of_ties)
    return (int(good[-1]) + 1) / len(order) if len(good) else 0.0


def fitted_temperature(loss: Callable[[float], float]) -> float:
    """Returns the temperature from 0.05 to 20 with the lowest loss, to three digits; of equal ones that nearest to 1.

    Logs a warning if all or hardly any predictions are right: then no temperature between these limits is the best one.

    Args:
        loss: function from a temperature to the mean negative log probability of what is right.
    """

    def lowest(temperatures) -> float:
        return min(temperatures, key=lambda t: (loss(t), abs(math.log(t))))

    best = lowest([1.0, *np.geomspace(*LIMITS, 41)])
    found = float(f"{lowest(np.clip(np.geomspace(best / 1.17, best * 1.17, 41), *LIMITS)):.3g}")
    if found in LIMITS or loss(found) == 0.0:
        logging.warning(
            "The temperature %g fits nothing: all or hardly any predictions are right. Fit it on more examples, "
            "which the model was not trained on.",
            found,
        )
    return found


def label_loss(logits: np.ndarray, targets: np.ndarray) -> Callable[[float], float]:
    """Returns the loss of a classifier for `fitted_temperature`.

    Args:
        logits: float `(N, C)`.
        targets: int `(N,)`, the right class; or bool `(N, C)`, whether a text has each label.
    """
    logits = np.asarray(logits, np.float64)

    def loss(temperature: float) -> float:
        scaled = logits / temperature
        if targets.ndim == 2:
            return float(np.logaddexp(0.0, np.where(targets, -scaled, scaled)).mean())
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(targets)), targets]).mean())

    return loss


def prediction_loss(confidence_at: Callable[[float], np.ndarray], correct: np.ndarray) -> Callable[[float], float]:
    """Returns the loss of predictions that are right or wrong, for `fitted_temperature`.

    Args:
        confidence_at: function from a temperature to the probability of each prediction, float `(N,)`.
        correct: bool `(N,)`.
    """

    def loss(temperature: float) -> float:
        confidence = np.clip(confidence_at(temperature), 1e-12, 1 - 1e-12)
        return float(-np.log(np.where(correct, confidence, 1 - confidence)).mean())

    return loss


def draw_reliability(path: str | os.PathLike, confidence: np.ndarray, correct: np.ndarray) -> None:
    """Draws how often predictions are right by their probability, and how many there are.

    Args:
        path: path of the PNG file.
        confidence: float `(N,)`.
        correct: bool `(N,)`.

    Raises:
        InputError: matplotlib is not installed.
    """
    load("matplotlib", CLASSIFICATION).use("Agg")
    pyplot = load("matplotlib.pyplot", CLASSIFICATION)
    means, shares, counts = map(np.array, zip(*reliability(np.asarray(confidence), np.asarray(correct)), strict=True))
    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(4.6, 5.2), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="#8b949e", linewidth=1, linestyle="--", label="calibrated")
    above.plot(means, shares, color="#1f6feb", marker="o", markersize=4, label="this model")
    above.set(ylabel="share of right predictions", xlim=(0, 1), ylim=(0, 1))
    above.legend(loc="upper left", frameon=False)
    below.bar(means, counts, width=0.8 / BINS, color="#1f6feb")
    below.set(xlabel="probability of the prediction", ylabel="predictions")
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=130))
    pyplot.close(figure)
