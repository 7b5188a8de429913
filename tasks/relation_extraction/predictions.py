"""Predictions for examples, and their files. Shape letters: N examples, C classes."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tasks.shared.text_files import write_lines


def labels_of(model, logits: np.ndarray) -> list[str]:
    """Returns the most probable relation of each row of logits, `(N, C)`."""
    return [model.labels[place] for place in logits.argmax(axis=1)]


def write(folder: Path, model, examples: Sequence, logits: np.ndarray, gold: bool = True) -> None:
    """Writes the files that scorers read: relations, one per line, and the same with ids as JSON lines.

    `predictions.txt` and `gold.txt` are the official scorer's arguments. `gold.txt` is not written without gold.
    """
    found = labels_of(model, logits)
    rows = (
        json.dumps(
            {"id": example.id, "relation": label} | ({"gold": example.relation} if gold else {}), ensure_ascii=False
        )
        for example, label in zip(examples, found, strict=True)
    )
    contents = {
        "predictions.txt": found,
        "gold.txt": [example.relation for example in examples],
        "predictions.jsonl": list(rows),
    }
    if not gold:
        del contents["gold.txt"]
    for name, lines in contents.items():
        write_lines(folder / name, lines)
