"""A document in words, with its sentences, speakers and clusters of mentions. Spans are half-open, [start, end)."""

import dataclasses
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from spanbert_keras.errors import InputError, shown

# The genres of OntoNotes 5.0, by which its documents' names begin: broadcast conversation, broadcast news, magazines,
# newswire, pivot text (the Bible), telephone conversation, web.
GENRES = ("bc", "bn", "mz", "nw", "pt", "tc", "wb")

Span = tuple[int, int]
Clusters = tuple[tuple[Span, ...], ...]


@dataclasses.dataclass(frozen=True)
class Document:
    """A document in words, validated on construction.

    A mention may be in two clusters, as in some files; `merge_clusters` joins such clusters. It cannot be in one
    cluster twice; `drop_repeats` removes repeats. A document without tokens has neither sentences nor clusters: CoNLL
    files may contain one, and the caller decides what to do with it.

    Attributes:
        tokens: tuple of str. The words, none of them empty.
        sentences: tuple of (start, end). [start, end) ranges of tokens, which cover all of them in order. Default: one.
        speakers: tuple of str. The speaker of each token, `""` for unknown. Default: all unknown.
        genre: str. One of `GENRES`, another, or `""` for unknown.
        clusters: tuple of tuples of (start, end). [start, end) spans of tokens, gold or predicted.
        name: str. The document's name, as in CoNLL files.
        part: int. Its part, from 0.
        cluster_numbers: tuple of int. The numbers that a file gives the clusters; empty for 0, 1, 2, ...

    Raises:
        InputError: lists of different lengths, sentences that do not cover the tokens, a span outside of the document,
            a token without text, a cluster without mentions or with a repeated one.

    Example:

    ```python
    from spanbert_keras import Document

    document = Document(("Ann", "lost", "her", "hat"), clusters=(((0, 1), (2, 3)),))
    document.sentences  # ((0, 4),)
    document.with_clusters([[(0, 1), (2, 3), (3, 4)]]).clusters  # (((0, 1), (2, 3), (3, 4)),)
    ```
    """

    tokens: tuple[str, ...]
    sentences: tuple[Span, ...] = ()
    speakers: tuple[str, ...] = ()
    genre: str = ""
    clusters: Clusters = ()
    name: str = ""
    part: int = 0
    cluster_numbers: tuple[int, ...] = ()

    def __post_init__(self):
        for key in ("genre", "name"):
            if not isinstance(getattr(self, key), str):
                raise InputError(f"`{key}` is not text. Expected: a string. Received: {shown(getattr(self, key))}.")
        where = f"Document {shown(self.name)}, part {self.part}"
        values = {
            "tokens": _texts(self.tokens, f"{where}: `tokens`"),
            "speakers": _texts(self.speakers, f"{where}: `speakers`"),
            "sentences": _spans(self.sentences, f"{where}: sentence"),
            "clusters": tuple(
                _spans(cluster, f"{where}: cluster {i}, mention")
                for i, cluster in enumerate(_list(self.clusters, f"{where}: `clusters`"))
            ),
            "part": _number(self.part, f"{where}: `part`"),
            "cluster_numbers": tuple(
                _number(number, f"{where}: `cluster_numbers`")
                for number in _list(self.cluster_numbers, f"{where}: `cluster_numbers`")
            ),
        }
        length = len(values["tokens"])
        values["sentences"] = values["sentences"] or (((0, length),) if length else ())
        values["speakers"] = values["speakers"] or ("",) * length
        for key, value in values.items():
            object.__setattr__(self, key, value)
        _check_tokens(self, where)
        _check_sentences(self, where)
        _check_clusters(self, where)

    def __len__(self) -> int:
        return len(self.tokens)

    def with_clusters(self, clusters: Iterable[Iterable[Span]]) -> "Document":
        """Returns the same document with other clusters, numbered from 0."""
        return dataclasses.replace(self, clusters=tuple(map(tuple, clusters)), cluster_numbers=())

    def merged(self) -> "Document":
        """Returns the same document with one cluster where several share a mention; see `merge_clusters`."""
        return self.with_clusters(merge_clusters(self.clusters))


def genre_of(name: str) -> str:
    """Returns the genre with which OntoNotes' document names begin, `""` if the first two letters are not a genre."""
    return name[:2] if name[:2] in GENRES else ""


def genre_place(genre: str | None, genres: Sequence[str], default: str) -> int:
    """Returns the place of a genre among a model's; `None` and `""` mean the default one.

    Raises:
        InputError: the model does not know the genre.
    """
    genre = genre or default
    if genre not in genres:
        raise InputError(f"The genre {shown(genre)} is not one of the model's. Expected: one of {list(genres)}.")
    return list(genres).index(genre)


def drop_repeats(clusters: Iterable[Iterable[Span]]) -> tuple[Clusters, list[tuple[int, Span]]]:
    """Removes repeated mentions of a cluster.

    Returns:
        (clusters, dropped): the clusters, mentions in the order of first appearance, and (cluster, mention) for each
        one removed.
    """
    kept, dropped = [], []
    for i, cluster in enumerate(clusters):
        seen: dict[Span, None] = {}
        for mention in cluster:
            if mention in seen:
                dropped.append((i, mention))
            seen[mention] = None
        kept.append(tuple(seen))
    return tuple(kept), dropped


def merge_clusters(clusters: Iterable[Iterable[Span]]) -> Clusters:
    """Joins clusters that share a mention, directly or through others.

    The released code does this to every training document: a mention in two clusters would contradict itself.

    Returns:
        tuple of clusters in the order of the first of each; mentions in the order of first appearance, each once.

    Example:

    ```python
    from spanbert_keras.preprocessing.document import merge_clusters

    merge_clusters([[(0, 1), (2, 3)], [(5, 6)], [(2, 3), (7, 8)]])
    # (((0, 1), (2, 3), (7, 8)), ((5, 6),))
    ```
    """
    merged: list[dict[Span, None]] = []
    places: dict[Span, int] = {}
    for cluster in clusters:
        mentions = dict.fromkeys(cluster)
        first, *others = sorted({places[mention] for mention in mentions if mention in places}) or [len(merged)]
        if first == len(merged):
            merged.append({})
        for other in others:
            merged[first].update(merged[other])
            merged[other] = {}
        merged[first].update(mentions)
        places.update((mention, first) for mention in merged[first])
    return tuple(tuple(cluster) for cluster in merged if cluster)


def _list(values: Any, what: str) -> Sequence:
    is_sized = hasattr(values, "__len__") and getattr(values, "ndim", 1) > 0  # an array without dimensions is not
    if isinstance(values, str | bytes | dict) or not is_sized or not hasattr(values, "__iter__"):
        raise InputError(f"{what} is not a list. Expected: a sequence. Received: {shown(values, 60)}.")
    return values


def _texts(values: Any, what: str) -> tuple[str, ...]:
    """Returns a sequence of texts as a tuple."""
    texts = tuple(_list(values, what))
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{what} have no text at index {i}. Expected: a string. Received: {shown(text, 60)}.")
    return texts


def _number(value: Any, what: str) -> int:
    """Returns an int or NumPy integer as an int; it must not be negative."""
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
    if number < 0:
        raise InputError(f"{what} must be a whole number from 0. Received: {shown(value, 60)}.")
    return number


def _spans(values: Any, what: str) -> tuple[Span, ...]:
    """Returns pairs of whole numbers as a tuple of tuples."""
    spans = []
    for i, value in enumerate(_list(values, f"{what} list")):
        try:
            start, end = value
            is_pair = not isinstance(value, str) and bool not in (type(start), type(end))
            spans.append((operator.index(start), operator.index(end)))
        except (TypeError, ValueError):
            is_pair = False
        if not is_pair:
            raise InputError(f"{what} {i} is not a pair of whole numbers, [start, end). Received: {shown(value, 60)}.")
    return tuple(spans)


def _check_tokens(document: Document, where: str) -> None:
    """Raises if a token has no text, or speakers and tokens differ in number."""
    for i, token in enumerate(document.tokens):
        if not token.strip(" \t\r\n"):
            raise InputError(f"{where}: token {i} has no text. Expected: a word. Received: {shown(token)}.")
    if len(document.speakers) != len(document.tokens):
        raise InputError(
            f"{where}: every token needs a speaker, an empty text if it is unknown. "
            f"Received: {len(document.tokens)} tokens and {len(document.speakers)} speakers."
        )
    text = "".join((*document.tokens, *document.speakers, document.name, document.genre))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: a text contains an unpaired surrogate. Expected: Unicode. Received: {text[error.start]!r}."
        ) from None


def _check_sentences(document: Document, where: str) -> None:
    """Raises if a sentence is empty, or the sentences do not cover the tokens in order."""
    position, length = 0, len(document.tokens)
    for i, (start, end) in enumerate(document.sentences):
        if start != position or not start < end <= length:
            raise InputError(
                f"{where}: sentence {i} does not follow the one before it or has no tokens. Expected: [{position}, "
                f"end) with {position} < end <= {length}. Received: [{start}, {end})."
            )
        position = end
    if position != length:
        raise InputError(
            f"{where}: the sentences must hold all tokens. Expected: the last ends at {length}. Received: {position}."
        )


def _check_clusters(document: Document, where: str) -> None:
    """Raises if a cluster is empty, leaves the document or repeats a mention, or if their numbers do not fit."""
    length, numbers = len(document.tokens), document.cluster_numbers
    for i, cluster in enumerate(document.clusters):
        for start, end in cluster:
            if not 0 <= start < end <= length:
                raise InputError(
                    f"{where}: a mention of cluster {i} is not inside the document. Expected: [start, end) with "
                    f"0 <= start < end <= {length}, end excluded. Received: [{start}, {end})."
                )
        if len(set(cluster)) != len(cluster) or not cluster:
            what = "has no mention" if not cluster else "holds the same mention twice"
            raise InputError(f"{where}: cluster {i} {what}. Expected: one or more, all different. Received: {cluster}.")
    if numbers and (len(numbers) != len(document.clusters) or len(set(numbers)) != len(numbers)):
        raise InputError(
            f"{where}: every cluster needs its own number, or none has one. Received: {len(document.clusters)} "
            f"clusters and the numbers {shown(numbers, 60)}."
        )
