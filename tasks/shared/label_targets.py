"""Training targets of classifiers. Shape letters: N rows, C classes."""

from collections.abc import Sequence

import numpy as np


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
