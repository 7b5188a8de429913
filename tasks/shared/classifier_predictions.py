"""Predictions of classifiers, with progress and a warning. Shape letters: N rows, C classes."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from spanbert_keras.model_flag import SAMPLE, print_precision_difference
from spanbert_keras.progress import Progress


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


def warn_if_alike(found: Sequence, what: str) -> None:
    """Logs a warning if all of several predictions are the same: such a model has not learnt to distinguish classes."""
    if len(found) > 1 and all(one == found[0] for one in found):
        logging.warning("All %d %s get the same prediction, %s.", len(found), what, found[0])
