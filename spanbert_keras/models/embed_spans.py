"""Vectors of spans of texts of any length. Shape letters: P pieces of a text, N spans, W windows, D hidden_dim."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from spanbert_keras.arguments import one_of, whole_number
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_spans import SpanList, given_spans
from spanbert_keras.preprocessing.piece_row import PieceRow, pad_rows

SLOTS = {"boundary": 2, "external": 2, "mean": 1}  # vectors of width D that each pooling joins


@dataclasses.dataclass(frozen=True)
class _Part:
    """Neighbouring pieces whose vectors, in one window, are added to a slot of a span's vector.

    Attributes:
        text, span, slot: int. Which text, which of its spans, and which part of that one's vector.
        window: int. First piece of the window.
        first, last: int. First and last position in the window's row (inclusive).
        share: float. What the sum is multiplied by.
    """

    text: int
    span: int
    slot: int
    window: int
    first: int
    last: int
    share: float


def embed_spans(encoder, texts, spans, pooling: str, batch_size: int):
    """Returns a vector for each span of a text, or of several; see `SpanBertEncoder.embed_spans`."""
    one_of("pooling", pooling, tuple(SLOTS))
    batch_size = whole_number("batch_size", batch_size)
    if encoder.tokenizer is None or not encoder.tokenizer.has_vocabulary:
        raise InputError("`embed_spans` needs the encoder's tokenizer. Expected: `encoder.tokenizer`. Received: none.")
    given, single = given_spans(texts, spans)
    pieces: list[np.ndarray] = []
    parts: list[_Part] = []
    vectors: list[np.ndarray] = []
    room = encoder.max_sequence_length - 2
    for number, (text, of_text) in enumerate(given):
        token_ids, places = _pieces(encoder.tokenizer, text, of_text, "" if single else f"Text {number}: ")
        pieces.append(token_ids)
        parts += _parts(number, len(token_ids), places, room, pooling)
        vectors.append(np.zeros((len(of_text), SLOTS[pooling] * encoder.hidden_dim), np.float32))
    _add_vectors(encoder, pieces, parts, vectors, batch_size)
    return vectors[0] if single else vectors


def _pieces(tokenizer, text: str | list[str], spans: SpanList, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a text's pieces, int32 `(P,)`, and the first and last one of each span (inclusive), int64 `(N, 2)`."""
    if isinstance(text, str):
        token_ids, offsets = tokenizer.encode_with_offsets(text)
        bounds = np.array(offsets, np.int64).reshape(-1, 2)
        starts, ends = bounds[:, 0], bounds[:, 1]
    else:
        of_tokens = tokenizer.tokenize(text) if text else []
        token_ids = [piece for ids in of_tokens for piece in ids]
        starts = np.repeat(np.arange(len(text)), [len(ids) for ids in of_tokens])  # (P,): the token of each piece
        ends = starts + 1
    given = np.array(spans, np.int64).reshape(-1, 2)
    first = np.searchsorted(ends, given[:, 0], side="right")
    last = np.searchsorted(starts, given[:, 1], side="left") - 1
    for number in np.flatnonzero(first > last)[:1].tolist():
        start, end = spans[number]
        raise InputError(
            f"{name}A span holds no word. Expected: a range with text that the tokenizer keeps. "
            f"Received: ({start}, {end}), {text[start:end]!r}."
        )
    return np.array(token_ids, np.int32), np.stack([first, last], 1)


def _parts(number: int, pieces: int, places: np.ndarray, room: int, pooling: str) -> Iterator[_Part]:
    """Yields the parts of the vectors of a text's spans.

    A span is read in the window where it has most context on its shorter side. If it fits in no window, each of its
    pieces is read in the window where that piece has most.
    """
    begins = window_begins(pieces, room)
    margin = 1 if pooling == "external" else 0
    needed = np.clip(places + [-margin, margin], 0, pieces - 1)  # (N, 2)
    windows, fits = best_windows(begins, room, needed[:, 0], needed[:, 1])
    for span, ((first, last), window, whole) in enumerate(zip(places.tolist(), windows.tolist(), fits, strict=True)):
        share = 1.0
        if pooling == "mean":
            runs, share = [(0, first, last)], 1 / (last - first + 1)
        else:
            runs = [(0, first - margin, first - margin), (1, last + margin, last + margin)]
        for slot, start, end in runs:
            for begin, low, high in [(window, start, end)] if whole else _by_piece(begins, room, pieces, start, end):
                yield _Part(number, span, slot, begin, low - begin + 1, high - begin + 1, share)


def _by_piece(begins: np.ndarray, room: int, pieces: int, first: int, last: int) -> list[tuple[int, int, int]]:
    """Returns the pieces from `first` to `last` (inclusive) as runs (window, first, last) in their best windows."""
    places = np.arange(first, last + 1)
    inside = np.clip(places, 0, pieces - 1)  # [CLS] and [SEP] are read with the first and the last piece
    windows, _ = best_windows(begins, room, inside, inside)
    starts = np.flatnonzero(np.diff(windows, prepend=-1))
    ends = np.append(starts[1:], len(places)) - 1
    return [(int(windows[a]), int(places[a]), int(places[b])) for a, b in zip(starts, ends, strict=True)]


def window_begins(pieces: int, room: int) -> np.ndarray:
    """Returns the first piece of each window of a text, ascending, int64 `(W,)`: each overlaps half of the next.

    Args:
        pieces: int. P.
        room: int. Pieces of a window, without [CLS] and [SEP].
    """
    last = max(0, pieces - room)
    return np.append(np.arange(0, last, max(1, room // 2)), last)


def best_windows(begins: np.ndarray, room: int, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the window of each span in which its shorter side has most context, and whether the span fits.

    Args:
        begins: int64 `(W,)`, ascending. First piece of each window.
        room: int. Pieces of a window.
        first, last: int64 `(N,)`. First and last piece of each span (inclusive).

    Returns:
        The window's first piece, int64 `(N,)`, and bool `(N,)`.
    """
    # The shorter side grows with the window's begin up to where both sides are equal, and then falls.
    following = np.searchsorted(begins, (first + last + 1 - room) / 2)
    options = begins[np.clip([following - 1, following], 0, len(begins) - 1)]  # (2, N)
    context = np.minimum(first - options, options + room - 1 - last)
    return np.where(context[1] > context[0], options[1], options[0]), context.max(axis=0) >= 0


def _add_vectors(encoder, pieces: list, parts: list[_Part], vectors: list[np.ndarray], batch_size: int) -> None:
    """Encodes the windows that parts need, and adds each part's vectors to its slot."""
    of_window: dict[tuple[int, int], list[_Part]] = {}
    for part in parts:
        of_window.setdefault((part.text, part.window), []).append(part)
    room, (cls, sep) = encoder.max_sequence_length - 2, (encoder.tokenizer.cls_token_id, encoder.tokenizer.sep_token_id)
    rows = []
    for text, begin in of_window:
        token_ids = np.concatenate([[cls], pieces[text][begin : begin + room], [sep]]).astype(np.int32)
        rows.append(PieceRow(token_ids, np.zeros_like(token_ids)))
    wanted, dim = list(of_window.values()), encoder.hidden_dim
    for places, size, length in encoder.batches_of(list(map(len, rows)), encoder.max_sequence_length, batch_size):
        chosen = [rows[place] for place in places.tolist()]
        outputs = encoder.compute_rows(pad_rows([*chosen, *[chosen[-1]] * (size - len(chosen))], length))
        for place, row in zip(places.tolist(), np.asarray(outputs["sequence_output"], np.float32), strict=False):
            for part in wanted[place]:
                slot = slice(part.slot * dim, (part.slot + 1) * dim)
                vectors[part.text][part.span, slot] += row[part.first : part.last + 1].sum(axis=0) * part.share
