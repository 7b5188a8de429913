"""Sentences with two entities to rows of pieces. Shape letters: T tokens, U units."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

import numpy as np

from spanbert_keras.arguments import one_of, whole_number
from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.piece_row import PieceRow
from spanbert_keras.preprocessing.wordpiece import UNUSED_PIECE

MODES = ("ner", "text", "text_ner", "ner_text")
BOUNDARIES = ("SUBJ-START", "SUBJ-END", "OBJ-START", "OBJ-END")
# The Penn Treebank's brackets, as in TACRED's tokens.
BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}

CONTEXT, ENTITY, MARKER = range(3)  # roles of a row's pieces

Span = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class EntityPair:
    """A sentence and two entities in it.

    Attributes:
        units: tuple of str. Its words, or the parts of a text that the ends of entities separate.
        subject, object: (start, end). Half-open ranges of units.
        subject_type, object_type: str. Entity types, e.g. `"PERSON"`.

    Example:

    ```python
    from spanbert_keras import SpanBertTokenizer
    from spanbert_keras.preprocessing.entity_rows import EntityPair, EntityRows

    pair = EntityPair(("Ann", "lives", "in", "Rome"), (0, 1), (3, 4), "PERSON", "CITY")
    tokenizer = SpanBertTokenizer(
        ["[PAD]", "[unused1]", "[unused2]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "lives", "in"]
    )
    markers = {"SUBJ-PERSON": "[unused1]", "OBJ-CITY": "[unused2]"}
    EntityRows(tokenizer, markers).rows([pair])[0].token_ids  # [4, 1, 7, 8, 2, 5]
    ```
    """

    units: tuple[str, ...]
    subject: Span
    object: Span
    subject_type: str
    object_type: str


def marker_names(mode: str, subject_types: Iterable[str], object_types: Iterable[str]) -> list[str]:
    """Returns the names of the markers that a mode needs, in their fixed order.

    Args:
        mode: one of `MODES`.
        subject_types, object_types: iterable of str. Entity types; their order is kept.
    """
    boundaries = list(BOUNDARIES) if mode in ("text", "text_ner") else []
    if mode == "text":
        return boundaries
    types = [*(f"SUBJ-{name}" for name in subject_types), *(f"OBJ-{name}" for name in object_types)]
    return [*boundaries, *dict.fromkeys(types)]


def assign_markers(tokenizer, names: Sequence[str]) -> dict[str, str]:
    """Returns a piece for each marker: the [unusedN] of the vocabulary, in its order.

    Raises:
        ValueError: the vocabulary has too few of them.
    """
    unused = [piece for piece in tokenizer.get_vocabulary() if UNUSED_PIECE.fullmatch(piece)]
    if len(unused) < len(names):
        raise ValueError(
            f"Each marker of an entity needs an [unusedN] piece of the vocabulary. Expected: {len(names)} of them. "
            f"Received: {len(unused)}. Add pieces [unused{len(unused) + 1}] and so on with `convert --add_tokens`."
        )
    return dict(zip(names, unused, strict=False))


class EntityRows:
    """Makes rows in which two entities are marked.

    - `"ner"`, the paper's entity masking (section 4.1): each entity is one marker, `[SUBJ-PERSON]`, `[OBJ-CITY]`.
    - `"text"`: markers surround both entities, which keep their words.
    - `"text_ner"`: the same, followed by [SEP] subject's type [SEP] object's type.
    - `"ner_text"`: as `"ner"`, followed by [SEP] subject's words [SEP] object's words.

    All segment ids are 0. A sentence that is too long keeps both entities, the words between them, and the pieces
    nearest to them (the released code cuts off the end, even if an entity is there). The Penn Treebank's bracket
    tokens, `-LRB-` and so on, become brackets (released code).

    Args:
        tokenizer: `SpanBertTokenizer`.
        markers: dict. From a marker's name (`SUBJ-PERSON`) to its piece (`[unused3]`).
        mode: str. One of the above.
        row_length: int. Largest number of pieces in a row.

    Raises:
        ValueError: an unknown mode, or a row that is too short.
    """

    def __init__(self, tokenizer, markers: Mapping[str, str], mode: str = "ner", row_length: int = 128):
        if not isinstance(markers, Mapping):
            raise InputError(f"`markers` must be a dict of names and pieces. Received: markers={shown(markers)}.")
        self.tokenizer = tokenizer
        self.markers = dict(markers)
        self.mode = one_of("feature_mode", mode, MODES)
        self.row_length = whole_number("row_length", row_length, minimum=16)

    def rows(self, pairs: Sequence[EntityPair]) -> list[PieceRow]:
        """Returns a row for each pair of entities.

        Raises:
            InputError: the markers are unknown, or lack one of this type; an entity is out of range.
        """
        for number, pair in enumerate(pairs):
            _check(pair, number)
        units = [BRACKETS.get(unit, unit) for pair in pairs for unit in pair.units]
        pieces = iter(self.tokenizer.tokenize(units) if units else [])
        return [self._row(pair, [next(pieces) for _ in pair.units]) for pair in pairs]

    def marker(self, name: str) -> int:
        """Returns the id of a marker's piece.

        Raises:
            InputError: it is unknown, or the vocabulary lacks its piece.
        """
        if not self.markers:
            raise InputError(
                "This model does not know which pieces mark entities, and does not guess. Expected: `markers`, a dict "
                "such as {'SUBJ-PERSON': '[unused1]'}, in the order of its training. Received: none."
            )
        if name not in self.markers:
            side, _, kind = name.partition("-")
            others = [other for other in self.markers if other.startswith(f"{side}-") and other not in BOUNDARIES]
            known = [other.partition("-")[2] for other in others]
            which = {"SUBJ": "subject", "OBJ": "object"}[side]
            if not kind:
                raise InputError(f"The type of the {which} is missing. Expected: `{which}_type`, {_one_of(known)}.")
            raise InputError(
                f"{shown(kind)} is not a type of {which} that this model knows. Expected: {_one_of(known)}."
            )
        piece = self.markers[name]
        if piece not in self.tokenizer.wordpiece.ids:
            raise InputError(
                f"The vocabulary lacks the piece {shown(piece)}, which marks {name}: it is not the vocabulary of this "
                "model."
            )
        return self.tokenizer.token_to_id(piece)

    def check_types(self, pair: EntityPair) -> None:
        """Raises if the types of the entities have no marker.

        Raises:
            InputError: the markers are unknown, or lack one of this type.
        """
        if self.mode != "text":
            self.marker(f"SUBJ-{pair.subject_type}")
            self.marker(f"OBJ-{pair.object_type}")

    def _row(self, pair: EntityPair, pieces: list[list[int]]) -> PieceRow:
        tail, cut = self._tail(pair, pieces)
        room = self.row_length - 2 - len(tail)
        ids, roles = self._body(pair, pieces)
        chosen = _nearest(np.array(roles, np.int64), room)
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        token_ids = np.concatenate([[cls], np.array(ids, np.int64)[chosen], tail, [sep]]).astype(np.int32)
        return PieceRow(token_ids, np.zeros(len(token_ids), np.int32), cut or len(chosen) < len(ids))

    def _body(self, pair: EntityPair, pieces: list[list[int]]) -> tuple[list[int], list[int]]:
        """Returns the sentence's pieces with markers, and the role of each."""
        ids: list[int] = []
        roles: list[int] = []

        def add(new: Sequence[int], role: int) -> None:
            ids.extend(new)
            roles.extend([role] * len(new))

        spans = {"SUBJ": pair.subject, "OBJ": pair.object}
        types = {"SUBJ": pair.subject_type, "OBJ": pair.object_type}
        masked = self.mode in ("ner", "ner_text")
        for number, of_unit in enumerate(pieces):
            for side, (start, _) in spans.items():
                if number == start:
                    add([self.marker(f"{side}-{types[side] if masked else 'START'}")], MARKER)
            inside = any(start <= number < end for start, end in spans.values())
            if not (masked and inside):
                add(of_unit, ENTITY if inside else CONTEXT)
            for side, (_, end) in spans.items():
                if number == end - 1 and not masked:
                    add([self.marker(f"{side}-END")], MARKER)
        return ids, roles

    def _tail(self, pair: EntityPair, pieces: list[list[int]]) -> tuple[list[int], bool]:
        """Returns the pieces after the sentence, entities' types or their words, and whether words were cut.

        At most a quarter of a row is kept of each entity's words.
        """
        sep = self.tokenizer.sep_token_id
        if self.mode == "text_ner":
            types = (self.marker(f"SUBJ-{pair.subject_type}"), self.marker(f"OBJ-{pair.object_type}"))
            return [sep, types[0], sep, types[1]], False
        if self.mode == "ner_text":
            words = [[i for unit in pieces[slice(*span)] for i in unit] for span in (pair.subject, pair.object)]
            most = self.row_length // 4
            return [sep, *words[0][:most], sep, *words[1][:most]], max(map(len, words)) > most
        return [], False


def _nearest(roles: np.ndarray, room: int) -> np.ndarray:
    """Returns the places of `room` pieces: markers, then entities' words, then the context nearest to them.

    Pieces between the entities take precedence over those around them, if there is room for all of them. Of an entity
    longer than the room, the pieces nearest to its markers are kept.

    Args:
        roles: int `(T,)`.
        room: int.
    """
    size = len(roles)
    if size <= room:
        return np.arange(size)
    places = np.flatnonzero(roles != CONTEXT)
    # The lowest priorities are kept: -1 markers, below 0.5 entities, 0.5 between entities, then distances from 1.
    priority = _distances(size, places)
    if places[-1] - places[0] < room:
        priority[places[0] : places[-1]] = 0.5
    of_entity = roles == ENTITY
    priority[of_entity] = _distances(size, np.flatnonzero(roles == MARKER))[of_entity] / (2.0 * size)  # below 0.5
    priority[roles == MARKER] = -1.0
    return np.sort(np.argsort(priority, kind="stable")[:room])


def _distances(size: int, places: np.ndarray) -> np.ndarray:
    """Returns the distance of each of `size` places from the nearest of `places`, float `(size,)`."""
    every = np.arange(size)
    after = np.searchsorted(places, every)
    previous, following = places[np.maximum(after - 1, 0)], places[np.minimum(after, len(places) - 1)]
    return np.minimum(np.abs(every - previous), np.abs(following - every)).astype(float)


def _one_of(names: list[str]) -> str:
    return f"one of {', '.join(names)}" if names else "a marker of it in `markers`"


def _check(pair: EntityPair, number: int) -> None:
    """Raises if a pair is not one of strings and ranges, or an entity is out of range."""
    if not isinstance(pair, EntityPair):
        raise InputError(f"Sentence {number} must be an `EntityPair`. Received: {shown(pair)}.")
    if not isinstance(pair.units, tuple | list) or not all(isinstance(unit, str) for unit in pair.units):
        raise InputError(f"Sentence {number}: `units` must be a tuple of str. Received: {shown(pair.units)}.")
    for name, span in (("subject", pair.subject), ("object", pair.object)):
        if (
            not isinstance(span, tuple | list)
            or len(span) != 2
            or not all(isinstance(place, Integral) for place in span)
        ):
            raise InputError(f"Sentence {number}: `{name}` must be (start, end). Received: {shown(span)}.")
    for name, kind in (("subject_type", pair.subject_type), ("object_type", pair.object_type)):
        if not isinstance(kind, str):
            raise InputError(f"Sentence {number}: `{name}` must be a str. Received: {shown(kind)}.")
    for name, (start, end) in (("subject", pair.subject), ("object", pair.object)):
        if not 0 <= start < end <= len(pair.units):
            raise InputError(
                f"Sentence {number}: the {name} must be a half-open range of its {len(pair.units)} tokens. "
                f"Received: ({start}, {end})."
            )
