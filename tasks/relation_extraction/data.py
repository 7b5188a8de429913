"""Reads TACRED's JSON, and files in its form, with every example checked."""

import contextlib
import dataclasses
import functools
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import spanbert_keras
from spanbert_keras.files.text_errors import json_lines_fault
from spanbert_keras.program import InputError, shown
from tasks.shared.example_collector import LEAVE_OUT, ExampleCollector
from tasks.shared.text_files import read_text

NO_RELATION = "no_relation"
KEYS = ("id", "token", "subj_start", "subj_end", "obj_start", "obj_end", "subj_type", "obj_type", "relation")
FORM = f"TACRED's form, an object with {', '.join(KEYS)}"
NO_GOLD = "For a file without relations, `evaluate --predict_only` writes predictions."
LABELS_FORM = "Re-TACRED's form, one JSON object from ids to relations"


@dataclasses.dataclass(frozen=True)
class Example:
    """A sentence with two entities, and how they are related.

    Attributes:
        id: str. Unique in its file; predictions are keyed by it.
        pair: `spanbert_keras.EntityPair`. Its units are the tokens.
        relation: str. The gold label.
    """

    id: str
    pair: "spanbert_keras.EntityPair"
    relation: str


@dataclasses.dataclass(frozen=True)
class ExampleFile:
    """The examples of a file.

    Attributes:
        examples: list of `Example`, at least one.
        left_out: list of str. A sentence for each bad example.
        unlabelled: int. Examples without an entry in the file of labels; 0 without such a file.
    """

    examples: list[Example]
    left_out: list[str]
    unlabelled: int = 0


def read(
    path: str | os.PathLike, skip_bad: bool = False, labels: str | os.PathLike | None = None, gold: bool = True
) -> ExampleFile:
    """Reads a file in TACRED's format: a list of objects, or one object per line; gzipped or not.

    `subj_end` and `obj_end` are indices of the last token (inclusive), as in TACRED.

    Args:
        path: str or path.
        skip_bad: bool. Whether bad examples are left out, with a sentence each.
        labels: str, path or `None`. Re-TACRED's file of labels, a JSON object from id to relation, which replaces the
            relations; examples without an entry are left out (Re-TACRED dropped them).
        gold: bool. Whether `relation` is read; otherwise the key may be missing, and each relation is "".

    Raises:
        InputError: the file cannot be read or has another form, an example is bad and `skip_bad` is off, or no
            example is left.
    """
    name = os.fspath(path)
    relations = None if labels is None else read_labels(labels)
    collector = ExampleCollector(name, skip_bad, lambda error: _hint(name, gold))
    for place, parse in _records(name):
        collector.add(lambda parse=parse, place=place: _example(parse(), f"{name}, {place}", gold), place)
    examples, left_out = collector.examples, collector.left_out
    if relations is not None:
        examples = [dataclasses.replace(e, relation=relations[e.id]) for e in examples if e.id in relations]
    if not examples:
        known = "" if relations is None else f" whose id is in {os.fspath(labels)}"  # type: ignore[arg-type]
        hint = _hint(name, gold) if left_out else ""
        hint = hint if hint == NO_GOLD else ""
        raise InputError(f"{name} holds no example{known}. Expected: at least one. Received: none.", hint)
    return ExampleFile(examples, left_out, len(collector.examples) - len(examples))


def _hint(path: str, gold: bool) -> str:
    """Returns what to do about a bad example: leaving it out only helps if another example has all keys."""
    wanted = set(KEYS) if gold else set(KEYS) - {"relation"}
    lacks_gold = False
    for _, parse in _records(path):
        with contextlib.suppress(InputError):
            record = parse()
            given = {key for key in record if record[key] is not None} if isinstance(record, Mapping) else set()
            if wanted <= given:
                return LEAVE_OUT
            lacks_gold |= wanted - {"relation"} <= given
    return NO_GOLD if lacks_gold else ""


def read_labels(path: str | os.PathLike) -> dict[str, str]:
    """Returns a dict from id to relation, read from a file in Re-TACRED's format.

    Raises:
        InputError: the file has another form.
    """
    name = os.fspath(path)
    value = _json(read_text(name, LABELS_FORM), name, LABELS_FORM)
    if not isinstance(value, dict) or not value or not all(_is_name(label) for label in value.values()):
        raise InputError(f"{name} is not a file of labels. Expected: {LABELS_FORM}. Received: {shown(value, 60)}.")
    return value


def labels_of(examples: Sequence[Example], no_relation: str = NO_RELATION) -> list[str]:
    """Returns the relations of training examples in the order of a model's logits.

    The absence of a relation comes first, then the others by frequency (released code) and name.
    """
    counts = Counter(example.relation for example in examples)
    counts.pop(no_relation, None)
    return [no_relation, *sorted(counts, key=lambda relation: (-counts[relation], relation))]


def types_of(examples: Sequence[Example]) -> tuple[list[str], list[str]]:
    """Returns the types of subjects and of objects, each sorted: the order of a model's markers."""
    subjects = sorted({example.pair.subject_type for example in examples})
    return subjects, sorted({example.pair.object_type for example in examples})


def _records(path: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yields the place of each object in words, and the function that returns it."""
    text = read_text(path, FORM)
    if text.lstrip()[:1] == "[":
        for number, record in enumerate(_json(text, path, FORM)):
            yield f"example {number}", functools.partial(lambda found: found, record)
        return
    fault = json_lines_fault(text)
    if fault:
        raise InputError(f"{path} is {fault}. Expected: {FORM}, one per line, or a list of them.")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"line {number}", functools.partial(_json, line, f"{path}, line {number}", FORM)


def _json(text: str, where: str, form: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON. Expected: {form}. Received: {text[:40]!r}.") from error


def _is_name(value: Any) -> bool:
    """Returns whether a value is printable text on one line."""
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _example(record: Any, where: str, gold: bool) -> Example:
    """Returns the checked example of a record."""
    if isinstance(record, Mapping) and not gold:
        record = {**record, "relation": "-"}
    if not isinstance(record, Mapping):
        raise InputError(f"{where} is not an example. Expected: {FORM}. Received: {shown(record, 60)}.")
    missing = [key for key in KEYS if key not in record]
    if missing:
        raise InputError(f"{where} lacks {', '.join(missing)}. Expected: {FORM}. Received: {', '.join(record)[:80]}.")
    name = record["id"]
    where = f"{where} ({shown(name, 60)})"
    for key in ("id", "subj_type", "obj_type", "relation"):
        if not _is_name(record[key]):
            received = shown(record[key], 60)
            raise InputError(f"{where}: `{key}` must be printable text on one line. Received: {received}.")
    tokens = record["token"]
    if not isinstance(tokens, list) or not tokens or not all(isinstance(token, str) for token in tokens):
        raise InputError(f"{where}: `token` must be a list of at least one string. Received: {shown(tokens, 60)}.")
    spans = []
    for side in ("subj", "obj"):
        start, last = record[f"{side}_start"], record[f"{side}_end"]
        whole = all(isinstance(place, int) and not isinstance(place, bool) for place in (start, last))
        if not whole or not 0 <= start <= last < len(tokens):
            raise InputError(
                f"{where}: {side}_start and {side}_end must be indices of the {len(tokens)} tokens, the last one "
                f"included. Received: {shown(start, 60)} and {shown(last, 60)}."
            )
        spans.append((start, last + 1))
    if spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]:
        raise InputError(
            f"{where}: subject and object share tokens. Expected: disjoint spans. Received: {spans[0]} and {spans[1]}, "
            "half-open."
        )
    pair = spanbert_keras.EntityPair(tuple(tokens), spans[0], spans[1], record["subj_type"], record["obj_type"])
    return Example(name, pair, record["relation"] if gold else "")
