"""The confusion matrix as a picture. Shape letter: C classes."""

import os
from collections.abc import Sequence

import numpy as np

from spanbert_keras.files.writing import write_atomically
from tasks.shared.extras import CLASSIFICATION, load


def need_library() -> None:
    """Raises if matplotlib is missing: better now than after the predictions.

    Raises:
        InputError: matplotlib is not installed.
    """
    load("matplotlib", CLASSIFICATION)


def draw(path: str | os.PathLike, counts: np.ndarray, labels: Sequence[str]) -> None:
    """Draws how often each gold label (row) was predicted as each label (column); colours are shares of a row.

    Args:
        path: path of the PNG file.
        counts: int `(C, C)`.
        labels: list of str, C.

    Raises:
        InputError: matplotlib is not installed.
    """
    load("matplotlib", CLASSIFICATION).use("Agg")
    pyplot = load("matplotlib.pyplot", CLASSIFICATION)
    size = len(labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = pyplot.subplots(figsize=(4 + 0.32 * size, 3 + 0.32 * size), layout="constrained")
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(size), labels, rotation=90, fontsize=8, parse_math=False)  # a $ does not start a formula
    axes.set_yticks(range(size), labels, fontsize=8, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("gold")
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=6, color=colour)
    figure.colorbar(image, ax=axes, shrink=0.6, label="share of the gold relation")
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=130))
    pyplot.close(figure)
