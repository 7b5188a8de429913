"""Arguments of an extractor, as pairs of entities."""

from collections.abc import Sequence

from spanbert_keras.errors import InputError
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
            raise InputError(f"Sentence {number}: `{name}` must be (start, end). Received: {span!r}.")
    subject, object = (tuple(map(int, span)) for span in spans.values())  # NumPy integers are accepted
    spans = {"subject": subject, "object": object}
    if isinstance(sentence, str):
        units, first, second = _text_parts(number, sentence, spans)
    elif isinstance(sentence, Sequence) and all(isinstance(unit, str) for unit in sentence):
        units, first, second = tuple(sentence), subject, object
    else:
        raise InputError(f"Sentence {number} must be a str or a list of them. Received: {sentence!r}.")
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
