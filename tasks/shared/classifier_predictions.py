"""Predictions of classifiers, with progress and a warning. Shape letters: N rows, C classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import logging

from spanbert_keras.model_flag import SAMPLE, print_precision_difference
from spanbert_keras.progress import Progress
from tasks.shared.calibration import label_loss


def logits_of(model, rows: Sequence, batch_size: int) -> np.ndarray:
    """Returns a classifier's logits of rows, `(N, C)`, and shows progress in a bar or the log."""
    with Progress(len(rows), "rows") as progress:
        return model.logits_of(rows, batch_size, advance=progress.advance)


def compare_precisions(config, model, rows: Sequence) -> None:
    """Prints what `--precision` changes in the probabilities (of a regression, the numbers) of the first rows."""
    is_number = model.problem_type == "regression"

    def scores_of(model):
        logits = model.logits_of(rows[:SAMPLE], config.batch_size)
        return logits if is_number else model.probabilities(logits)

    what = "numbers" if is_number else "probabilities"
    print_precision_difference(config.model, model, config.precision, what, scores_of)


def calibrate(config, model, folder: Path, logits: np.ndarray, gold: Sequence) -> dict[str, float]:
    """Returns the calibration of a classifier's probabilities; see `CalibratedEvaluation.calibrate`.

    A prediction is the most probable label; with several labels for each text whether it has one, for each of them.
    These decisions stay: the threshold of a calibrated model is the probability that the former one has now.

    Args:
        config: `CalibratedEvaluation`.
        model: a classifier, not a regression.
        folder: path.
        logits: float `(N, C)`.
        gold: sequence of N labels, or of tuples of them if a text may have several. Examples with a label that the
            model does not know count as wrong, and not in the fit.
    """
    several = model.problem_type == "multi_label"
    place_of = {label: place for place, label in enumerate(model.labels)}
    if several:
        targets = np.array([[label in labels for label in model.labels] for labels in gold])  # (N, C)
        known = np.ones(len(gold), bool)
    else:
        targets = np.array([place_of.get(label, -1) for label in gold])  # (N,)
        known = targets >= 0

    if several:
        threshold, before = model.threshold, model.temperature
        given = model.probabilities(logits) >= threshold  # (N, C)

    def predicted(temperature: float) -> tuple[np.ndarray, np.ndarray]:
        shares = model.probabilities(logits, temperature)
        if several:
            return np.where(given, shares, 1 - shares).ravel(), (given == targets).ravel()
        return shares.max(axis=1), shares.argmax(axis=1) == targets

    def set_temperature(temperature: float) -> None:
        model.temperature = temperature
        if several and 0 < threshold < 1 and temperature != before:
            odds = (threshold / (1 - threshold)) ** (before / temperature)
            model.threshold = odds / (1 + odds)
        elif several:
            model.threshold = threshold

    return config.calibrate(model, folder, predicted, label_loss(logits[known], targets[known]), set_temperature)


def warn_if_alike(found: Sequence, what: str) -> None:
    """Logs a warning if all of several predictions are the same: such a model has not learnt to distinguish classes."""
    if len(found) > 1 and all(one == found[0] for one in found):
        logging.warning("All %d %s get the same prediction, %s.", len(found), what, found[0])
