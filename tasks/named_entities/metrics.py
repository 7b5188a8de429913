"""Scores of named entities: an entity is right if its start, end and label are."""

from collections.abc import Sequence
from typing import Any

from tasks.named_entities.tags import Entity, columns_of, outermost
from tasks.shared.extras import ENTITIES, load


def score(gold: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]]) -> dict[str, dict[str, Any]]:
    """Returns precision, recall and F1 in per cent over all entities of all texts (micro), and of each label.

    Args:
        gold, predicted: for each text its entities, (start, end, label).

    Returns:
        dict from `"all"` to `precision`, `recall`, `f1`, and the counts `gold`, `predicted`, `correct`; if there are
        nested entities, from `"outermost"` to those of the entities that are not inside another one (of the gold and of
        the predicted ones alike); and from each label to its own.
    """
    pairs = [(set(one), set(other)) for one, other in zip(gold, predicted, strict=True)]
    tables = {"all": _table(pairs)}
    outer = [(set(outermost(one)), set(outermost(other))) for one, other in pairs]
    if outer != pairs:
        tables["outermost"] = _table(outer)
    for label in sorted({entity[2] for pair in pairs for part in pair for entity in part}):
        tables[label] = _table([tuple({e for e in part if e[2] == label} for part in pair) for pair in pairs])
    return tables


def flat_score(
    gold: Sequence[Sequence[Entity]], predicted: Sequence[Sequence[Entity]], lengths: Sequence[int]
) -> dict[str, float]:
    """Returns seqeval's precision, recall and F1 (micro, strict, IOB2) in per cent, of entities that are not nested.

    Args:
        gold, predicted: for each text its entities, in tokens.
        lengths: sequence of int. Number of tokens of each text.

    Raises:
        InputError: seqeval is not installed (extra `entities`).
    """
    seqeval = load("seqeval.metrics", ENTITIES)
    scheme = load("seqeval.scheme", ENTITIES).IOB2
    rows = [
        [columns_of(entities, length)[0] for entities, length in zip(part, lengths, strict=True)]
        for part in (gold, predicted)
    ]
    settings = {"mode": "strict", "scheme": scheme, "zero_division": 0}
    names = ("precision", "recall", "f1")
    return {name: 100.0 * float(getattr(seqeval, f"{name}_score")(*rows, **settings)) for name in names}


def _table(pairs: Sequence[tuple]) -> dict[str, Any]:
    gold, predicted, correct = (
        sum(len(one) for one, _ in pairs),
        sum(len(other) for _, other in pairs),
        sum(len(one & other) for one, other in pairs),
    )
    precision, recall = (100.0 * correct / max(1, count) for count in (predicted, gold))
    f1 = 2 * precision * recall / (precision + recall) if correct else 0.0
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "gold": gold,
        "predicted": predicted,
        "correct": correct,
    }
