"""Training rows of classifiers. Shape letters: N all rows, B rows of a batch, T tokens, C classes."""

from collections.abc import Sequence

import numpy as np
from absl import logging

from spanbert_keras.progress import Progress


class ClassifierRows:
    """Tokenized rows with their targets; see `TrainingRows`.

    Args:
        rows: list of a model's rows (`token_ids`, `segment_ids`), N of them.
        targets: float32 `(N, C)`.
        pad: function of rows and a length that returns the model's inputs.

    Attributes:
        lengths: list of int. Tokens of each row.
        cut: int. Rows that were too long and lost tokens.
    """

    def __init__(self, rows: Sequence, targets: np.ndarray, pad):
        self.rows = list(rows)
        self.targets = targets
        self.pad = pad
        self.lengths = [len(row) for row in self.rows]
        self.cut = sum(row.cut for row in self.rows)

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns the model's inputs, int32 `(B, length)`, and `label_targets`, float32 `(B, C)`; the same in every
        epoch.

        Args:
            rows: int `(B,)`.
            length: int.
            epoch: int.
        """
        batch = self.pad([self.rows[row] for row in rows.tolist()], length)
        return batch | {"label_targets": self.targets[rows]}


def label_targets(
    labels: Sequence[int], num_classes: int, smoothing: float = 0.0, class_weights: str = "none"
) -> np.ndarray:
    """Returns the training targets of a classifier, float32 `(N, C)`.

    A row is 1 - smoothing at its label, plus smoothing / C everywhere (Szegedy et al., 2016), times its label's weight.
    With `"balanced"`, the weight of a class is N / (number of classes that occur x its rows), as in scikit-learn; the
    mean over the rows is 1.

    Args:
        labels: sequence of int, from 0 to C - 1.
        num_classes: int. C.
        smoothing: float, from 0 to below 1.
        class_weights: `"none"` or `"balanced"`.
    """
    places = np.asarray(labels, np.int64)
    targets = np.full((len(places), num_classes), smoothing / num_classes, np.float32)
    targets[np.arange(len(places)), places] += 1.0 - smoothing
    if class_weights == "balanced":
        counts = np.bincount(places, minlength=num_classes)
        weights = len(places) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        targets *= weights[places, None].astype(np.float32)
    return targets


def logits_of(model, rows: Sequence, batch_size: int) -> np.ndarray:
    """Returns a classifier's logits of rows, `(N, C)`, and shows progress in a bar or the log."""
    with Progress(len(rows), "rows") as progress:

        def compute(batch):
            outputs = model.compute_rows(batch)
            progress.advance(batch_size)
            return outputs

        return model.logits_of(rows, batch_size, compute)


def warn_if_alike(found: Sequence, what: str) -> None:
    """Logs a warning if all of several predictions are the same: such a model has not learnt to distinguish classes."""
    if len(found) > 1 and all(one == found[0] for one in found):
        logging.warning("All %d %s get the same prediction, %s.", len(found), what, found[0])
