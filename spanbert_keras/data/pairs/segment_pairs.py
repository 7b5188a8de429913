"""Cuts documents into pairs of segments for next-sentence prediction. Shape letters: D documents, N pairs, K chunks.

A chunk of consecutive units (lines or sentences) fills a row. Its first part is segment A. Segment B is the rest of the
chunk or, in half of the pairs, text from another document; the next pair then begins with the unused rest of the chunk.

Reference: Devlin et al., 2019, appendix A.2, and section 2.3 of the SpanBERT paper. Differences from BERT's released
code: the other document is drawn directly, not by up to ten tries, and the pairs are a pure function of (copy,
document).
"""

import dataclasses

import numpy as np

from spanbert_keras.data.pairs.unit_index import Units
from spanbert_keras.preprocessing.philox import fold, philox_words, scale
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_PAIR
from spanbert_keras.preprocessing.seeds import PAIRS

PAIR_STREAM = 5  # third word of the counter; 1 to 4 are the masker's (`RandomStream`)
CHUNKS, DOCUMENT_START = 0, 1  # fourth word of the counter
WORD_BITS = 32
COIN = np.uint64(2**31)  # a word below it is heads
MIN_ROW_LENGTH = SPECIALS_PER_PAIR + 2  # a piece for each segment


@dataclasses.dataclass(frozen=True)
class SegmentPairs:
    """Pairs of segments. Arrays of shape `(N,)`.

    Attributes:
        a_starts: int64. First piece of segment A, counted over all shards.
        b_starts: int64. First piece of segment B.
        a_lengths: int64. Pieces of A, at least 1.
        b_lengths: int64. Pieces of B, at least 1.
        labels: 0 where B follows A in the text, 1 where it is from another document.
    """

    a_starts: np.ndarray
    b_starts: np.ndarray
    a_lengths: np.ndarray
    b_lengths: np.ndarray
    labels: np.ndarray

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """The arrays, in the order above."""
        return self.a_starts, self.b_starts, self.a_lengths, self.b_lengths, self.labels


def truncated_lengths(a_lengths: np.ndarray, b_lengths: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lengths of both segments after pieces were removed, one at a time, until both fit.

    Each piece is removed from the longer segment, and from B where both are equally long.

    Args:
        a_lengths, b_lengths: int64 of one shape.
        room: int. Places for both, at least 2.
    """
    b_after = np.minimum(b_lengths, np.maximum(room // 2, room - a_lengths))
    return np.minimum(a_lengths, room - b_after), b_after


def pair_documents(
    units: Units, first: int, last: int, max_sequence_length: int, short_rate: float, copy: int
) -> SegmentPairs:
    """Returns the pairs whose segment A is in documents `first` to `last` - 1.

    Each step cuts the next pair of every unfinished document at once.

    Args:
        units: `Units` of the whole split, from which random segments are drawn.
        first: int.
        last: int.
        max_sequence_length: int. T, at least 5.
        short_rate: float. Share of documents whose pairs are shorter than a row.
        copy: int. Each copy has different pairs.
    """
    room = max_sequence_length - SPECIALS_PER_PAIR
    documents = np.arange(first, last)
    keys = fold((PAIRS, PAIRS), copy, documents)
    targets = _document_targets(keys, room, short_rate)
    bounds = np.asarray(units.documents[first : last + 1])
    base = int(bounds[0])
    own_starts = np.asarray(units.starts[base : int(bounds[-1]) + 1])  # of these documents' units, in memory
    unit, ends = bounds[:-1] - base, bounds[1:] - base  # next unit of each document, and its end
    found: list[SegmentPairs] = []
    active = np.flatnonzero(unit < ends)
    chunk = 0
    while active.size:
        walkers = _Walkers(documents[active], keys[active], targets[active])
        pairs, next_unit = _cut_chunks(units, own_starts, unit[active], ends[active], walkers, chunk, room)
        found.append(pairs)
        unit[active] = next_unit
        active = active[next_unit < ends[active]]
        chunk += 1
    return SegmentPairs(*map(np.concatenate, zip(*(pairs.columns for pairs in found), strict=True)))


def _document_targets(keys: np.ndarray, room: int, short_rate: float) -> np.ndarray:
    """Returns the target length of the pairs of each document, in pieces: int64 `(D,)`."""
    words = philox_words(keys, (0, 0, PAIR_STREAM, DOCUMENT_START))
    is_short = words[0] < np.uint64(int(short_rate * 2**32))
    return np.where(is_short, 2 + scale(words[1], room - 1), room)


@dataclasses.dataclass(frozen=True)
class _Walkers:
    """The unfinished documents: number, Philox key and target length of each. Arrays of shape `(K,)` and `(K, 2)`."""

    documents: np.ndarray
    keys: np.ndarray
    targets: np.ndarray


def _cut_chunks(
    units: Units,
    own_starts: np.ndarray,
    begin: np.ndarray,
    ends: np.ndarray,
    walkers: _Walkers,
    chunk: int,
    room: int,
) -> tuple[SegmentPairs, np.ndarray]:
    """Cuts the next pair of every document.

    Args:
        units: `Units` of the whole split.
        own_starts: int64. First piece of each unit of these documents.
        begin: int64 `(K,)`. Next unit of each document, an index into `own_starts`.
        ends: int64 `(K,)`. End of each document, likewise.
        walkers: `_Walkers`.
        chunk: int. Number of pairs that were already cut from each document.
        room: int. Places for both segments.

    Returns:
        K pairs, and the unit at which the next pair of each document begins.
    """
    words = philox_words(walkers.keys, (chunk, 0, PAIR_STREAM, CHUNKS))
    a_starts = own_starts[begin]
    end = np.minimum(np.searchsorted(own_starts, a_starts + walkers.targets), ends)  # of the chunk
    count = end - begin
    is_single = count == 1
    a_end = begin + 1 + np.where(is_single, 0, scale(words[0], np.maximum(count - 1, 1)))
    a_stops = own_starts[a_end]
    b_starts, b_stops = a_stops.copy(), own_starts[end]
    is_random = is_single | (words[1] < COIN)
    drawn = np.flatnonzero(is_random)
    wanted = (walkers.targets - (a_stops - a_starts))[drawn]
    b_starts[drawn], b_stops[drawn] = _random_segments(
        units, walkers.documents[drawn], wanted, words[2][drawn], words[3][drawn]
    )
    a_lengths, b_lengths = a_stops - a_starts, b_stops - b_starts
    a_kept, b_kept = truncated_lengths(a_lengths, b_lengths, room)
    a_removed, b_removed = a_lengths - a_kept, b_lengths - b_kept
    a_fronts, b_fronts = _fronts(walkers.keys, chunk, a_removed, b_removed)
    pairs = SegmentPairs(a_starts + a_fronts, b_starts + b_fronts, a_kept, b_kept, is_random.astype(np.uint8))
    return pairs, np.where(is_random, a_end, end)


def _random_segments(
    units: Units, documents: np.ndarray, wanted: np.ndarray, document_words: np.ndarray, unit_words: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns where segments of other documents begin and end: of at least one unit, and `wanted` pieces if possible.

    Args:
        units: `Units` of the whole split, of at least two documents.
        documents: int64 `(K,)`. The documents of segment A.
        wanted: int64 `(K,)`. Pieces; may be 0 or below.
        document_words: uint64 `(K,)`, below 2**32. They choose the document.
        unit_words: uint64 `(K,)`, below 2**32. They choose the first unit.
    """
    other = scale(document_words, units.num_documents - 1)
    other += other >= documents  # never the same document
    begin, end = units.documents[other], units.documents[other + 1]
    first = begin + scale(unit_words, end - begin)
    starts = units.starts[first]
    reached = np.searchsorted(units.starts, starts + wanted)
    return starts, units.starts[np.minimum(np.maximum(reached, first + 1), end)]


def _fronts(
    keys: np.ndarray, chunk: int, a_removed: np.ndarray, b_removed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many of the removed pieces of each segment are taken from its front: a fair coin for each piece.

    The words of the counters (chunk, 1 + j), j = 0, 1, ... are one stream. Segment A counts the set bits among its
    first `a_removed` bits, lowest bit of a word first; segment B likewise, from the next whole word on.
    """
    fronts = np.zeros((2, len(keys)), np.int64)
    a_words = -(-a_removed // WORD_BITS)
    total_words = a_words - (-b_removed // WORD_BITS)
    counter = 0
    active = np.flatnonzero(total_words)
    while active.size:
        words = philox_words(keys[active], (chunk, 1 + counter, PAIR_STREAM, CHUNKS))
        for place, word in enumerate(words):
            number = 4 * counter + place  # of the word in the stream
            in_a = np.clip(a_removed[active] - WORD_BITS * number, 0, WORD_BITS)
            after_a = number - a_words[active]
            in_b = np.where(after_a < 0, 0, np.clip(b_removed[active] - WORD_BITS * after_a, 0, WORD_BITS))
            fronts[0, active] += _set_bits(word, in_a)
            fronts[1, active] += _set_bits(word, in_b)
        counter += 1
        active = active[total_words[active] > 4 * counter]
    return fronts[0], fronts[1]


def _set_bits(words: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Returns how many of the lowest `bits` bits (0 to 32) of each uint64 are set: int64."""
    one, two, four, high = (np.uint64(n) for n in (1, 2, 4, 56))
    value = words & ((one << bits.astype(np.uint64)) - one)
    value = value - ((value >> one) & np.uint64(0x5555555555555555))
    value = (value & np.uint64(0x3333333333333333)) + ((value >> two) & np.uint64(0x3333333333333333))
    value = (value + (value >> four)) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((value * np.uint64(0x0101010101010101)) >> high).astype(np.int64)
