"""Arguments of an entity recognizer, and training examples: texts or tokens, and the entities in them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.examples.given_texts import given_list, is_range, plain

EntityText = str | tuple[str, ...]  # a text, or its tokens
Entities = list[tuple[int, int, str]]  # half-open start and end, in characters or tokens, and the label
FORM = "a list of texts, of lists of tokens, or of dicts with `text` or `tokens`, or a dict of columns"


def given_entity_texts(texts: Any, tokens: Any) -> tuple[list[EntityText], bool]:
    """Returns the texts that were given, and whether it was a single one.

    Args:
        texts: str, or a list of str and of lists of tokens; `None` with `tokens`.
        tokens: list of str, the tokens of one text; or `None`.

    Raises:
        InputError: both or neither were given, or something is not text.
    """
    if (texts is None) == (tokens is None):
        raise InputError(
            "`recognize` takes `texts` or the `tokens` of one text. "
            f"Expected: one of them. Received: {'neither' if texts is None else 'both'}."
        )
    if tokens is not None:
        if isinstance(tokens, str):
            raise InputError(f"`tokens` must be a list of str. Received: {shown(tokens)}.")
        return [_checked(tokens, "`tokens`")], True
    given, single = given_list(texts, "texts", "a str, or a list of str or of lists of tokens")
    return [_checked(text, f"Text {number}") for number, text in enumerate(given)], single


def labelled_texts(x: Any, y: Any = None) -> tuple[list[EntityText], list[Entities] | None]:
    """Returns the texts of training examples, and the entities of each if there are any.

    Args:
        x: list of texts, of lists of tokens, or of dicts; or a dict of columns. A dict has `text` or `tokens`, and may
            have `entities`.
        y: list of entities for each text; or `None`. An entity is (start, end, label), or a dict or an object with
            these.

    Raises:
        InputError: something has another form, lists differ in length, a range is outside of its text, or only some of
            the examples have `entities`.
    """
    x = plain(x)
    if isinstance(x, Mapping):
        x, of_columns = _columns(x)
        y = of_columns if y is None else y
        single = False
    else:
        x, single = given_list(x, "x", FORM, (str,))
    texts, own = [], []
    for number, one in enumerate(x):
        name = f"Example {number}"
        one = plain(one)
        if isinstance(one, Mapping):
            own.append(one.get("entities"))
            one = one[_key(one, name)]
        texts.append(_checked(one, name))
    if y is None:
        lacking = [number for number, entities in enumerate(own) if entities is None]
        if not own or len(lacking) == len(own):
            return texts, None
        if lacking or len(own) != len(texts):
            raise InputError(
                "Every example needs `entities`, an empty list if it has none, or no example has them. "
                f"Received: {len(texts) - len(own) + len(lacking)} of {len(texts)} without."
            )
        y = own
    every, _ = given_list([y] if single else y, "y", "a list with the entities of each text", ())
    if len(every) != len(texts):
        raise InputError(
            f"`y` must have a list of entities for each text. Expected: {len(texts)}. Received: {len(every)}."
        )
    return texts, [
        entities_of(text, entities, f"Example {number}")
        for number, (text, entities) in enumerate(zip(texts, every, strict=True))
    ]


def entities_of(text: EntityText, entities: Any, name: str) -> Entities:
    """Returns the entities of a text, checked.

    Args:
        text: str or tuple of str.
        entities: see `labelled_texts`.
        name: str. How messages name the text.

    Raises:
        InputError: one has another form, or is not a range of the text.
    """
    given, _ = given_list(entities, f"{name}: `entities`", "a list of (start, end, label)", ())
    return [_entity(text, one, name) for one in map(plain, given)]


def _columns(columns: Mapping[str, Any]) -> tuple[list, list | None]:
    key = _key(columns, "`x`")
    if isinstance(plain(columns[key]), str):
        return [columns], None
    texts, _ = given_list(columns[key], key, "a list with one for each example", ())
    entities = columns.get("entities")
    return texts, None if entities is None else given_list(entities, "entities", "a list for each example", ())[0]


def _key(example: Mapping[str, Any], name: str) -> str:
    found = [key for key in ("tokens", "text") if example.get(key) is not None]
    if len(found) != 1:
        raise InputError(
            f"{name} must have either `text` or `tokens`. Received: {', '.join(map(str, example))[:80] or 'neither'}."
        )
    return found[0]


def _checked(text: Any, name: str) -> EntityText:
    text = plain(text)
    if isinstance(text, str):
        return text
    if isinstance(text, Sequence) and not isinstance(text, bytes) and all(isinstance(token, str) for token in text):
        return tuple(text)
    raise InputError(f"{name} must be a str or a list of str, its tokens. Received: {shown(text)}.")


def _entity(text: EntityText, entity: Any, name: str) -> tuple[int, int, str]:
    if dataclasses.is_dataclass(entity) and not isinstance(entity, type):
        entity = vars(entity)
    if isinstance(entity, Mapping):
        parts = [plain(entity.get(key)) for key in ("start", "end", "label")]
    else:
        parts = [*map(plain, entity)] if isinstance(entity, Sequence) and not isinstance(entity, str) else []
    if len(parts) != 3 or not is_range(parts[:2]) or not isinstance(parts[2], str) or not parts[2]:
        raise InputError(
            f"{name}: an entity must be (start, end, label), or a dict with these. Received: {shown(entity)}."
        )
    start, end, label = int(parts[0]), int(parts[1]), parts[2]
    if not 0 <= start < end <= len(text):
        unit = "characters" if isinstance(text, str) else "tokens"
        raise InputError(
            f"{name}: an entity must be a half-open range of the text's {len(text):,} {unit}. "
            f"Received: ({start}, {end})."
        )
    return start, end, label
