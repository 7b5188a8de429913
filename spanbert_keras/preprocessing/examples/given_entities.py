"""Arguments of an extractor, and training examples, as pairs of entities."""

from collections.abc import Mapping, Sequence
from typing import Any

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.entity_rows import EntityPair
from spanbert_keras.preprocessing.examples.given_texts import given_list, is_range, plain

NAMES = ("subject", "object", "subject_type", "object_type")


def given_pairs(sentences, subject, object, subject_type, object_type) -> tuple[list[EntityPair], bool]:
    """Returns the pairs that were given, and whether it is a single one.

    Args:
        sentences: str, a list of tokens, or a list of either.
        subject, object: (start, end), of tokens or characters, or lists of them.
        subject_type, object_type: str, or lists of them; `None` in mode `"text"`.

    Raises:
        InputError: lists of different lengths, or an invalid sentence or range.
    """
    sentences, *columns = map(plain, (sentences, subject, object, subject_type, object_type))
    single = isinstance(sentences, str) or any(map(is_range, columns[:2]))
    if single:
        sentences, columns = [sentences], [[column] for column in columns]
    else:
        sentences, _ = given_list(sentences, "sentences", "a str, a list of tokens, or a list of either")
        columns = [_column(name, column, len(sentences)) for name, column in zip(NAMES, columns, strict=True)]
    return [_pair(number, *given) for number, given in enumerate(zip(sentences, *columns, strict=True))], single


def labelled_pairs(examples) -> tuple[list[EntityPair], list | None]:
    """Returns the pairs of training examples, and their labels if they have any.

    Args:
        examples: `EntityPair`, dict, or a list of either; or a dict of columns. A dict has `tokens` or `text`, the
            `NAMES`, and may have a `label`.

    Raises:
        InputError: an example is not valid or lacks an entry, lists of different lengths, an invalid sentence or
            range, or only some examples have a label.
    """
    expected = "a list of `EntityPair` or of dicts, or a dict of columns"
    is_mapping = isinstance(examples, Mapping)
    if is_mapping and not isinstance(examples.get("text"), str) and not is_range(examples.get("subject")):
        given = _records(examples)
    else:
        given, _ = given_list(examples, "x", expected, (EntityPair, Mapping))
    pairs = [_example(number, one, expected) for number, one in enumerate(given)]
    labels = [one.get("label") if isinstance(one, Mapping) else None for one in given]
    lacking = [number for number, label in enumerate(labels) if label is None]
    if len(lacking) == len(labels):
        return pairs, None
    if lacking:
        raise InputError(
            f"Every example needs a `label`, or none has one. Received: {len(lacking)} of {len(labels)} without, the "
            f"first is example {lacking[0]}."
        )
    return pairs, labels


def _records(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns a dict for each row of some columns."""
    key = _sentence_key(columns, "`x`")
    sentences, _ = given_list(columns[key], key, "a list with one for each example", ())
    given = {name: _column(name, plain(columns.get(name)), len(sentences)) for name in (*NAMES, "label")}
    return [
        {key: sentence} | dict(zip(given, row, strict=True))
        for sentence, *row in zip(sentences, *given.values(), strict=True)
    ]


def _example(number: int, example, expected: str) -> EntityPair:
    """Returns the pair of an example; see `labelled_pairs`."""
    if isinstance(example, EntityPair):
        return example
    if not isinstance(example, Mapping):
        raise InputError(
            f"Example {number} is not an example of a relation. Expected: {expected}. "
            f"Received: {type(example).__name__}."
        )
    key = _sentence_key(example, f"Example {number}")
    sentence = plain(example[key])
    if isinstance(sentence, str) != (key == "text"):
        wanted = {"text": "a str", "tokens": "a list of str"}[key]
        raise InputError(f"Example {number}: `{key}` must be {wanted}. Received: {shown(sentence, 60)}.")
    return _pair(number, sentence, *(plain(example.get(name)) for name in NAMES))


def _sentence_key(example: Mapping, what: str) -> str:
    """Returns `"tokens"` or `"text"`, which of them there is."""
    found = [key for key in ("tokens", "text") if example.get(key) is not None]
    if len(found) != 1:
        raise InputError(
            f"{what} must have either `tokens` or `text`, besides {', '.join(f'`{name}`' for name in NAMES)}. "
            f"Received: {', '.join(map(str, example))[:80]}."
        )
    return found[0]


def _column(name: str, values, size: int) -> list:
    """Returns a value for each sentence; a type may be the same for all."""
    if values is None or isinstance(values, str | int):
        return [values] * size
    values, _ = given_list(values, name, "a list with one for each sentence", ())
    if len(values) != size:
        raise InputError(f"There must be one `{name}` for each sentence. Expected: {size}. Received: {len(values)}.")
    return values


def _pair(number: int, sentence, subject, object, subject_type, object_type) -> EntityPair:
    sentence = plain(sentence)
    spans = {"subject": plain(subject), "object": plain(object)}
    for name, span in spans.items():
        if not is_range(span):
            raise InputError(f"Sentence {number}: `{name}` must be (start, end). Received: {shown(span)}.")
    subject, object = (tuple(map(int, span)) for span in spans.values())  # NumPy integers are accepted
    spans = {"subject": subject, "object": object}
    if isinstance(sentence, str):
        units, first, second = _text_parts(number, sentence, spans)
    elif isinstance(sentence, Sequence) and all(isinstance(unit, str) for unit in sentence):
        units, first, second = tuple(sentence), subject, object
    else:
        raise InputError(f"Sentence {number} must be a str or a list of them. Received: {shown(sentence)}.")
    return EntityPair(units, first, second, subject_type or "", object_type or "")


def _text_parts(number: int, text: str, spans: dict[str, tuple[int, int]]):
    """Returns a text cut where an entity begins or ends, and the entities as ranges of these parts."""
    for name, (start, end) in spans.items():
        if not 0 <= start < end <= len(text):
            raise InputError(
                f"Sentence {number}: the {name} must be a half-open range of its {len(text)} characters. "
                f"Received: ({start}, {end})."
            )
    places = sorted({0, len(text), *(place for span in spans.values() for place in span)})
    units = tuple(text[start:end] for start, end in zip(places, places[1:], strict=False))
    first, second = ((places.index(start), places.index(end)) for start, end in spans.values())
    return units, first, second
