"""Documents from JSON lines: our own form, and the released code's `.jsonlines` in words or in word pieces."""

import contextlib
import functools
import json
import os
import re
from collections.abc import Iterable
from typing import Any

from spanbert_keras.data.documents.collector import BadDocumentError, DocumentCollector, DocumentFile, read_lines
from spanbert_keras.errors import InputError, shown
from spanbert_keras.files.text_errors import json_lines_fault
from spanbert_keras.files.writing import write_text
from spanbert_keras.preprocessing.document import Document, genre_of

OPENING, CLOSING, UNKNOWN_PIECE, CONTINUATION = "[CLS]", "[SEP]", "[UNK]", "##"
FORMS = {
    "jsonl": '{"tokens": [...]} with "name", "part", "sentences", "speakers", "genre" and "clusters" where known',
    "words": '{"doc_key", "sentences": [[words]], "speakers", "clusters"} of the released code',
    "pieces": '{"doc_key", "sentences": [[pieces]], "speakers", "clusters", "sentence_map", "subtoken_map"} of it',
}


def read_jsonl(path: str | os.PathLike, skip_bad: bool = False, clusters: bool = True) -> DocumentFile:
    """Reads a file of JSON lines, one document per line; the keys of the first one decide the form of all.

    - "jsonl", our own: `{"tokens": [...]}` and, where known, `"name"`, `"part"`, `"sentences"` and `"clusters"`
      (half-open [start, end) ranges of tokens), `"speakers"` (one per token), `"genre"`. The default name is
      `document_<line>`.
    - "words", the released code's older form: `"doc_key"`, `"sentences"` (lists of words), `"speakers"` (the same
      shape), `"clusters"` (spans of words, the last one included).
    - "pieces", its newer form: `"sentences"` are segments of word pieces with their [CLS] and [SEP], spans count all of
      these, `"subtoken_map"` gives each piece's word and `"sentence_map"` its sentence. Words are joined from their
      pieces; a mention that begins or ends inside a word gets all of it. A word that became [UNK] stays [UNK], and
      one without a piece is missing.

    The last two have a `"doc_key"` of name and part, `bc/cctv/00/cctv_0000_0`, and the genre is its beginning.
    Speakers `-` are unknown. Keys other than these are ignored.

    Args:
        path: str or path, gzipped or not.
        skip_bad: bool. Whether documents that cannot be used are left out and named in `left_out`.
        clusters: bool. Whether `"clusters"` are read.

    Returns:
        `DocumentFile`, at least one document.

    Raises:
        InputError: the file cannot be read or holds no document; or, without `skip_bad`, a line is not valid JSON or
            has another form, lists differ in length, or a span leaves the document. The message names file and line.
    """
    collector = DocumentCollector(path, skip_bad)
    _check_lines(collector.path)
    form = None
    for number, text in read_lines(collector.path):
        if not text.strip():
            continue
        try:
            value = _parsed(text, number)
            form = form or _form_of(value, number)
            if not clusters:
                value.pop("clusters", None)
        except BadDocumentError as error:
            collector.reject(error.line, str(error), error.is_whole)
            continue
        make = {"jsonl": _own_document, "words": _word_document, "pieces": _piece_document}[form]
        collector.add(number, functools.partial(make, value, number, collector))
    return collector.result(form or "jsonl")


def _check_lines(path: str) -> None:
    """Raises if a file is JSON, but not one object per line: leaving lines out would not help."""
    with contextlib.closing(read_lines(path)) as lines:
        first = next((text for _, text in lines if text.strip()), "")
        try:
            json.loads(first)
            is_line = not first.lstrip().startswith("[")
        except (ValueError, RecursionError):
            is_line = False
        fault = "" if is_line else json_lines_fault("\n".join([first, *(text for _, text in lines)]))
    if fault:
        raise InputError(f"{path} is {fault}. Expected: JSON lines, one object per line: {FORMS['jsonl']}.")


def write_jsonl(path: str | os.PathLike, documents: Iterable[Document]) -> None:
    """Writes documents as JSON lines of our own form; `read_jsonl` restores all but `cluster_numbers`."""
    keys = ("name", "part", "genre", "tokens", "sentences", "speakers", "clusters")
    rows = ({key: getattr(document, key) for key in keys} for document in documents)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text(path, text)


def _parsed(text: str, number: int) -> dict:
    """Returns the object of a line."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadDocumentError(
            number, f"not valid JSON ({error}). Expected: a document on each line. Received: {shown(text, 60)}."
        ) from None
    if not isinstance(value, dict):
        raise BadDocumentError(number, f"not an object. Expected: {FORMS['jsonl']}. Received: {shown(value, 60)}.")
    return value


def _form_of(value: dict, number: int) -> str:
    """Returns the form of a file from its first object."""
    if "subtoken_map" in value:
        return "pieces"
    if "tokens" in value:
        return "jsonl"
    if "sentences" in value and "doc_key" in value:
        return "words"
    raise BadDocumentError(
        number,
        f"a document of an unknown form. Expected: {'; or '.join(FORMS.values())}. {_received(value)}",
        is_whole=True,
    )


def _received(value: dict) -> str:
    return f"Received: an object with the keys {', '.join(map(repr, list(value)[:10])) or '(none)'}."


def _member(value: dict, key: str, number: int, kind: type = list, default: Any = None) -> Any:
    """Returns a member of a document."""
    if key not in value and default is not None:
        return default
    if key not in value:
        raise BadDocumentError(number, f'"{key}" is missing. Expected: that key. {_received(value)}')
    if not isinstance(value[key], kind):
        what = "a list" if kind is list else "a text"
        raise BadDocumentError(number, f'"{key}" is not {what}. Received: {shown(value[key], 60)}.')
    return value[key]


def _texts(values: list, key: str, number: int) -> list[str]:
    """Returns a list of lists of texts as one list."""
    for i, row in enumerate(values):
        if not isinstance(row, list) or not all(isinstance(text, str) for text in row):
            raise BadDocumentError(number, f'"{key}", list {i} is not a list of texts. Received: {shown(row, 60)}.')
    return [text for row in values for text in row]


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(x) is int for x in value)


def _pairs(values: Any, what: str, number: int, limit: int) -> list[tuple[int, int]]:
    """Returns spans [first, last] that lie below a limit, as [first, last + 1)."""
    spans = []
    for value in values if isinstance(values, list) else [values]:
        if not _is_pair(value) or not 0 <= value[0] <= value[1] < limit:
            raise BadDocumentError(
                number,
                f"{what} cannot be used. Expected: [first, last], the last included, with 0 <= first <= last < "
                f"{limit}. Received: {shown(value, 60)}.",
            )
        spans.append((value[0], value[1] + 1))
    return spans


def _own_document(value: dict, number: int, collector: DocumentCollector) -> Document:
    """Returns a document of our own form."""
    name = _member(value, "name", number, str, f"document_{number}")
    clusters = _member(value, "clusters", number, default=[])
    for i, cluster in enumerate(clusters):
        if not isinstance(cluster, list) or not all(map(_is_pair, cluster)):
            raise BadDocumentError(
                number, f'"clusters", {i} is not a list of pairs [start, end). Received: {shown(cluster, 60)}.'
            )
    spans = [[(start, end) for start, end in cluster] for cluster in clusters]
    return Document(
        tokens=tuple(_member(value, "tokens", number)),
        sentences=tuple(_member(value, "sentences", number, default=[])),
        speakers=tuple(_member(value, "speakers", number, default=[])),
        genre=_member(value, "genre", number, str, ""),
        clusters=tuple(collector.distinct(number, spans, name)),
        name=name,
        part=value.get("part", 0),
    )


def _name_part_genre(value: dict, number: int) -> dict[str, Any]:
    """Returns name, part and genre from a key such as `nw/xinhua/00/chtb_0009_2`."""
    key = _member(value, "doc_key", number, str)
    found = re.fullmatch(r"(.*)_([0-9]{1,18})", key, re.DOTALL)
    name, part = (found[1], int(found[2])) if found else (key, 0)
    return {"name": name, "part": part, "genre": genre_of(name)}


def _speakers(value: dict, number: int, length: int) -> list[str]:
    """Returns the speaker of every word or piece."""
    speakers = _texts(_member(value, "speakers", number, default=[]), "speakers", number) or [""] * length
    if len(speakers) != length:
        raise BadDocumentError(
            number, f'"speakers" must hold as many texts as "sentences". Expected: {length}. Received: {len(speakers)}.'
        )
    return ["" if speaker == "-" else speaker for speaker in speakers]


def _word_document(value: dict, number: int, collector: DocumentCollector) -> Document:
    """Returns a document of the released code's older form."""
    sentences = _member(value, "sentences", number)
    words = _texts(sentences, "sentences", number)
    key = _name_part_genre(value, number)
    clusters = [
        _pairs(cluster, f'"clusters", {i}', number, len(words))
        for i, cluster in enumerate(_member(value, "clusters", number, default=[]))
    ]
    return Document(
        tokens=tuple(words),
        sentences=_label_ranges([i for i, sentence in enumerate(sentences) for _ in sentence]),
        speakers=tuple(_speakers(value, number, len(words))),
        clusters=tuple(collector.distinct(number, clusters, key["name"])),
        **key,
    )


def _label_ranges(labels: list[int]) -> tuple[tuple[int, int], ...]:
    """Returns the [start, end) ranges of equal labels."""
    starts = [i for i in range(len(labels)) if i == 0 or labels[i] != labels[i - 1]]
    return tuple(zip(starts, [*starts[1:], len(labels)], strict=True)) if labels else ()


def _piece_document(value: dict, number: int, collector: DocumentCollector) -> Document:
    """Returns a document of the released code's newer form."""
    segments = _member(value, "sentences", number)
    pieces = _texts(segments, "sentences", number)
    word_of, sentence_of = _word_and_sentence_maps(value, number, len(pieces))
    is_special = [
        piece in (OPENING, CLOSING) and i in (0, len(segment) - 1)
        for segment in segments
        for i, piece in enumerate(segment)
    ]
    firsts, words = _join_words(pieces, word_of, is_special, number)
    places = {word_of[first]: i for i, first in enumerate(firsts)}
    key = _name_part_genre(value, number)
    _note_losses(words, list(places), key["name"], number, collector)
    speakers = _speakers(value, number, len(pieces))
    clusters: list[list[tuple[int, int]]] = []
    for i, cluster in enumerate(_member(value, "clusters", number, default=[])):
        what = f'"clusters", {i}'
        clusters.append([])
        for start, end in _pairs(cluster, what, number, len(pieces)):
            if is_special[start] or is_special[end - 1]:
                raise BadDocumentError(
                    number,
                    f"{what} has a mention that begins or ends with {OPENING} or {CLOSING}. Expected: pieces of words. "
                    f"Received: {[start, end - 1]}.",
                )
            clusters[-1].append((places[word_of[start]], places[word_of[end - 1]] + 1))
    return Document(
        tokens=tuple(words),
        sentences=_label_ranges([sentence_of[first] for first in firsts]),
        speakers=tuple(speakers[first] for first in firsts),
        clusters=tuple(collector.distinct(number, clusters, key["name"])),
        **key,
    )


def _word_and_sentence_maps(value: dict, number: int, length: int) -> tuple[list[int], list[int]]:
    """Returns the word and the sentence of each piece."""
    maps = []
    for key, default, lowest in (("subtoken_map", None, 0), ("sentence_map", [0] * length, -(2**63))):
        numbers = _member(value, key, number, default=default)
        if len(numbers) != length or not all(type(x) is int and lowest <= x < 2**63 for x in numbers):
            what = "a number from 0" if key == "subtoken_map" else "a whole number"
            raise BadDocumentError(
                number,
                f'"{key}" must hold {what} for each piece in "sentences". Expected: {length}. '
                f"Received: {len(numbers)}, {shown(numbers, 60)}.",
            )
        maps.append(numbers)
    return maps[0], maps[1]


def _join_words(
    pieces: list[str], word_of: list[int], is_special: list[bool], number: int
) -> tuple[list[int], list[str]]:
    """Returns the first piece of each word, and the words."""
    firsts: list[int] = []
    words: list[str] = []
    last = -1
    for i, piece in enumerate(pieces):
        if is_special[i]:
            continue
        if word_of[i] < last:
            raise BadDocumentError(
                number,
                f'"subtoken_map" goes back at piece {i}. Expected: {last} or more. Received: {word_of[i]}.',
            )
        if word_of[i] > last:
            firsts.append(i)
            words.append(piece)
        else:
            words[-1] += piece.removeprefix(CONTINUATION)
        last = word_of[i]
    return firsts, words


def _note_losses(words: list[str], numbers: list[int], name: str, line: int, collector: DocumentCollector) -> None:
    """Records words that cannot be restored from the pieces."""
    unknown = sum(UNKNOWN_PIECE in word for word in words)
    if unknown:
        collector.note(
            line, f"{unknown} words of document {name!r} became {UNKNOWN_PIECE}; the file does not hold their text."
        )
    missing = numbers[-1] + 1 - len(numbers) if numbers else 0
    if missing:
        collector.note(line, f"{missing} words of document {name!r} have no piece and are missing.")
