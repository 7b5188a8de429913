"""What a model makes of examples, and the files for the benchmark's site. Shape letters: N examples, C classes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.glue.data import Example
from tasks.shared.text_files import write_lines

HIGHEST = 5.0  # of STS-B's scale, which begins at 0


def rows_of(model, examples: Sequence[Example]) -> list:
    """Returns the model's row of each example; they all are texts, or all are pairs."""
    seconds = [example.pair for example in examples if example.pair is not None]
    return model.pairs.rows([example.text for example in examples], seconds or None)


def found_of(model, logits: np.ndarray) -> list:
    """Returns what a model says by each row of logits, `(N, C)`.

    That is the most probable label; a tuple of the labels that reach the threshold if a text may have several; the
    number; or a tuple of several numbers.
    """
    if model.problem_type == "multi_label":
        return [model.reached(row) for row in model.probabilities(logits)]
    if model.problem_type == "single_label":
        return [model.labels[place] for place in logits.argmax(axis=1)]
    if logits.shape[1] == 1:
        return [float(value) for value in logits[:, 0]]
    return [tuple(row) for row in logits.tolist()]


def write(path: Path, ids: Sequence[str], found: Sequence) -> None:
    """Writes a line with id and prediction for each example, under the header that the benchmark's site expects.

    Several labels or numbers are a JSON list.
    """
    shown = [_cell(value) for value in found]
    write_lines(path, ["index\tprediction", *(f"{id}\t{value}" for id, value in zip(ids, shown, strict=True))])


def _cell(value) -> str:
    if isinstance(value, tuple):
        return json.dumps([float(f"{x:.6g}") if isinstance(x, float) else x for x in value], ensure_ascii=False)
    return f"{value:.3f}" if isinstance(value, float) else value


def ids_in(path: Path) -> list[str]:
    """Returns the ids of a file that `write` made; [] where there is none."""
    if not path.is_file():
        return []
    return [line.partition("\t")[0] for line in path.read_text(encoding="utf-8").split("\n")[1:-1]]


def for_site(found: Sequence) -> list:
    """Returns predictions as the benchmark's site takes them: numbers within STS-B's scale."""
    return [min(HIGHEST, max(0.0, value)) if isinstance(value, float) else value for value in found]
