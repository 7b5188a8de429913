"""Predictions for examples, and the files for the benchmark's site. Shape letters: N examples, C classes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.glue.data import Example
from tasks.shared.text_files import write_lines

STS_B_MAXIMUM = 5.0  # its scale begins at 0


def inputs_of(examples: Sequence[Example]) -> list:
    """Returns the text, or the pair of texts, of each example."""
    return [example.text if example.pair is None else (example.text, example.pair) for example in examples]


def found_of(model, logits: np.ndarray) -> list:
    """Returns the prediction of each row of logits, `(N, C)`.

    It is the most probable label; with several labels per text, a tuple of those that reach the threshold; for
    regression, the number or a tuple of several.
    """
    if model.problem_type == "multi_label":
        return [model.reached(row) for row in model.probabilities(logits)]
    if model.problem_type == "single_label":
        return [model.labels[place] for place in logits.argmax(axis=1)]
    if logits.shape[1] == 1:
        return [float(value) for value in logits[:, 0]]
    return [tuple(row) for row in logits.tolist()]


def write(path: Path, ids: Sequence[str], found: Sequence) -> None:
    """Writes one line per example, id and prediction, below the header that the benchmark's site expects.

    Several labels or numbers are written as a JSON list.
    """
    rows = (f"{id}\t{_cell(value)}" for id, value in zip(ids, found, strict=True))
    write_lines(path, ["index\tprediction", *rows])


def _cell(value) -> str:
    if isinstance(value, tuple):
        return json.dumps([float(f"{x:.6g}") if isinstance(x, float) else x for x in value], ensure_ascii=False)
    return f"{value:.3f}" if isinstance(value, float) else value


def ids_in(path: Path) -> list[str]:
    """Returns the ids of a file that `write` made; [] if the file is missing."""
    if not path.is_file():
        return []
    return [line.partition("\t")[0] for line in path.read_text(encoding="utf-8").split("\n")[1:-1]]


def for_site(found: Sequence) -> list:
    """Returns predictions as the benchmark's site accepts them: numbers clipped to STS-B's scale."""
    return [min(STS_B_MAXIMUM, max(0.0, value)) if isinstance(value, float) else value for value in found]
