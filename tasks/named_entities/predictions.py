"""Predicted entities of examples, their scores and their files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras.progress import Progress
from tasks.named_entities import metrics
from tasks.named_entities.data import Example
from tasks.named_entities.tags import columns_of
from tasks.shared.text_files import write_lines


def predict(model, examples: Sequence[Example], batch_size: int = 32) -> list[list]:
    """Returns the `Entity` results of each example, and shows progress in a bar or the log."""
    found: list[list] = []
    with Progress(len(examples), "texts") as progress:
        for start in range(0, len(examples), batch_size):
            part = examples[start : start + batch_size]
            found += model.recognize([example.text for example in part], batch_size=batch_size)
            progress.advance(len(part))
    if examples and not any(found):
        logging.warning("The model finds no entity in any of the %d texts.", len(examples))
    return found


def score(model, examples: Sequence[Example], found: Sequence[Sequence]) -> dict[str, dict[str, Any]]:
    """Returns the scores of predicted entities: `metrics.score`; of flat ones in tokens the total is seqeval's."""
    gold = [example.entities for example in examples]
    predicted = [[(one.start, one.end, one.label) for one in entities] for entities in found]
    tables = metrics.score(gold, predicted)
    in_tokens = not any(isinstance(example.text, str) for example in examples)
    if not model.nested and in_tokens and all(_is_flat(entities) for entities in gold):
        tables["all"] |= metrics.flat_score(gold, predicted, [len(example.text) for example in examples])
    return tables


def _is_flat(entities) -> bool:
    ends = 0
    for start, end, _ in sorted(entities):
        if start < ends:
            return False
        ends = end
    return True


def write(folder: Path, examples: Sequence[Example], found: Sequence[Sequence], tag_columns: int = 0) -> None:
    """Writes `predictions.jsonl`, and of tokens `predictions.tsv` in columns as they were read.

    Args:
        folder: path.
        examples: sequence of `Example`.
        found: for each its `Entity` results.
        tag_columns: int. Least number of columns with tags; 0: no columns are written.
    """
    rows = []
    for example, entities in zip(examples, found, strict=True):
        key = "text" if isinstance(example.text, str) else "tokens"
        entries = [
            {"start": one.start, "end": one.end, "label": one.label, "text": one.text, "score": round(one.score, 6)}
            for one in entities
        ]
        rows.append(json.dumps({"id": example.id, key: example.text, "entities": entries}, ensure_ascii=False))
    write_lines(folder / "predictions.jsonl", rows)
    if tag_columns:
        write_lines(folder / "predictions.tsv", _lines(examples, found, tag_columns))


def _lines(examples: Sequence[Example], found: Sequence[Sequence], least: int):
    for example, entities in zip(examples, found, strict=True):
        spans = [(one.start, one.end, one.label) for one in entities]
        columns = columns_of(spans, len(example.text), least)
        yield f"# document {example.id}"
        for start, end in example.sentences:
            for place in range(start, end):
                yield "\t".join([example.text[place], *(column[place] for column in columns)])
            yield ""
