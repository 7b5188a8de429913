"""Predictions of classifiers, with progress and a warning. Shape letters: N rows, C classes."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from spanbert_keras.progress import Progress


def logits_of(model, rows: Sequence, batch_size: int) -> np.ndarray:
    """Returns a classifier's logits of rows, `(N, C)`, and shows progress in a bar or the log."""
    with Progress(len(rows), "rows") as progress:
        return model.logits_of(rows, batch_size, advance=progress.advance)


def warn_if_alike(found: Sequence, what: str) -> None:
    """Logs a warning if all of several predictions are the same: such a model has not learnt to distinguish classes."""
    if len(found) > 1 and all(one == found[0] for one in found):
        logging.warning("All %d %s get the same prediction, %s.", len(found), what, found[0])
