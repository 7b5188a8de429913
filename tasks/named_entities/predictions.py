"""Predicted entities of examples, their scores and their files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras.progress import Progress
from tasks.named_entities import metrics
from tasks.named_entities.data import Example, by_sentence
from tasks.named_entities.tags import Entity, columns_of
from tasks.shared.text_files import write_lines


def readable(model, examples: Sequence[Example]) -> list[Example]:
    """Returns the examples whose texts have words for the model's tokenizer, and logs the number of the others."""
    found = [one for one in examples if len(model.windows.words_in(one.text))]
    if len(found) < len(examples):
        logging.warning("%d of %d texts have no words.", len(examples) - len(found), len(examples))
    return found


def predict(model, examples: Sequence[Example], batch_size: int = 32) -> list[list]:
    """Returns the `Entity` results of each example, and shows progress in a bar or the log.

    Entities do not cross the ends of the sentences that a file has. A text without words has no entities.
    """
    some = readable(model, examples)
    found: dict[int, list] = {}  # by example
    with Progress(len(some), "texts") as progress:
        of_texts = model.span_logits([one.text for one in some], batch_size, advance=progress.advance)
        for example, (words, logits) in zip(some, of_texts, strict=True):
            found[id(example)] = inside_sentences(example, model.entities_of(example.text, words, logits))
    if some and not any(found.values()):
        logging.warning("The model finds no entity in any of the %d texts.", len(some))
    return [found.get(id(example), []) for example in examples]


def inside_sentences(example: Example, entities: Sequence) -> list:
    """Returns the `Entity` results of an example that do not cross the end of a sentence."""
    if len(example.sentences) < 2:
        return list(entities)
    places = [(one.start, one.end, number) for number, one in enumerate(entities)]
    kept = by_sentence(places, example.sentences)  # type: ignore[arg-type]
    return [entities[number] for part in kept for _, _, number in part]  # type: ignore[call-overload]


def spans_of(entities: Sequence) -> list[Entity]:
    """Returns `Entity` results as (start, end, label)."""
    return [(one.start, one.end, one.label) for one in entities]


def score(model, examples: Sequence[Example], found: Sequence[Sequence]) -> dict[str, dict[str, Any]]:
    """Returns the scores of predicted entities: `metrics.score`; of flat ones in tokens the total is seqeval's."""
    gold = [example.entities for example in examples]
    predicted = [spans_of(entities) for entities in found]
    tables = metrics.score(gold, predicted)
    in_tokens = not any(isinstance(example.text, str) for example in examples)
    if not model.nested and in_tokens and all(_is_flat(entities) for entities in gold):
        tables["all"] |= metrics.flat_score(gold, predicted, [len(example.text) for example in examples])
    return tables


def _is_flat(entities: Sequence[Entity]) -> bool:
    ends = 0
    for start, end, _ in sorted(entities):
        if start < ends:
            return False
        ends = end
    return True


def write(folder: Path, examples: Sequence[Example], found: Sequence[Sequence], tag_columns: int = 0) -> None:
    """Writes `predictions.jsonl`, and of columns `predictions.tsv`: a token and its tags, in as many columns as needed.

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
        columns = columns_of(spans_of(entities), len(example.text), least)
        yield f"# document {example.id}"
        for start, end in example.sentences:
            for place in range(start, end):
                yield "\t".join([example.text[place], *(column[place] for column in columns)])
            yield ""
