"""Cuts documents into pairs of segments for next-sentence prediction. Shape letters: D documents, N pairs, K chunks.

A chunk of consecutive units (lines or sentences) fills a row. Its first part is segment A. Segment B is the rest of the
chunk or, in half of the pairs, text from another document; the next pair then begins with the unused rest of the chunk.

Reference: Devlin et al., 2019, appendix A.2; Joshi et al., 2020, section 2. Differences from BERT's released
code: the other document is drawn directly, not by up to ten tries, and the pairs are a pure function of (copy,
document).
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from spanbert_keras.data.pairs.unit_index import Units
from spanbert_keras.preprocessing.philox import fold, philox_words, scale
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_PAIR
from spanbert_keras.preprocessing.seeds import PAIRS

PAIR_STREAM = 5  # third word of the counter; 1 to 4 are the masker's (`RandomStream`)
CHUNKS, DOCUMENT_START = 0, 1  # fourth word of the counter
WORD_BITS = 32
COIN = np.uint64(2**31)  # a word below it is heads
WORDS_AHEAD = 4096  # random words that are computed at once, where there are fewer documents
SLICE_PAIRS = 100_000  # pairs that are drawn and truncated at once, to bound the memory
MIN_ROW_LENGTH = SPECIALS_PER_PAIR + 2  # a piece for each segment


@dataclasses.dataclass(frozen=True)
class SegmentPairs:
    """Pairs of segments. Arrays of shape `(N,)`.

    Attributes:
        a_starts: int64. First piece of segment A, counted over all shards.
        b_starts: int64. First piece of segment B.
        a_lengths: uint16. Pieces of A, at least 1.
        b_lengths: uint16. Pieces of B, at least 1.
        labels: uint8. 0 where B follows A in the text, 1 where it is from another document.
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
    own_starts = np.asarray(units.starts[base : int(bounds[-1]) + 1])  # of the units of these documents, in memory
    chunks = _cut_chunks(own_starts, bounds - base, keys, targets)
    # Only the cuts depend on each other; segments are drawn and truncated for many chunks at once.
    parts = []
    for begin in range(0, len(chunks.numbers), SLICE_PAIRS):
        part = _Chunks(*(column[begin : begin + SLICE_PAIRS] for column in chunks))
        own = part.documents
        parts.append(_pairs_of_chunks(units, own_starts, part, documents[own], keys[own], targets[own], room))
    return SegmentPairs(*map(np.concatenate, zip(*(pairs.columns for pairs in parts), strict=True)))


def _document_targets(keys: np.ndarray, room: int, short_rate: float) -> np.ndarray:
    """Returns the target length of the pairs of each document, in pieces: int64 `(D,)`."""
    words = philox_words(keys, (0, 0, PAIR_STREAM, DOCUMENT_START))
    is_short = words[0] < np.uint64(int(short_rate * 2**32))
    return np.where(is_short, 2 + scale(words[1], room - 1), room)


class _Chunks(NamedTuple):
    """Where chunks begin and end. Arrays of shape `(K,)`; units and documents are counted within a group of documents.

    Attributes:
        is_random: bool. Whether segment B is from another document.
        documents: int32. The document of each chunk.
        numbers: int32. Number of the chunk in its document.
        begin, a_end, end: int32. First unit of the chunk, first unit after segment A, first unit after the chunk.
    """

    is_random: np.ndarray
    documents: np.ndarray
    numbers: np.ndarray
    begin: np.ndarray
    a_end: np.ndarray
    end: np.ndarray


def _cut_chunks(own_starts: np.ndarray, bounds: np.ndarray, keys: np.ndarray, targets: np.ndarray) -> _Chunks:
    """Cuts all documents into chunks; each step cuts the next chunk of every unfinished document.

    Args:
        own_starts: int64. First piece of each unit, then the end of the last.
        bounds: int64 `(D + 1,)`. First unit of each document, then the number of units.
        keys: uint32 `(D, 2)`. Philox key of each document.
        targets: int64 `(D,)`. Pieces that a chunk should have.
    """
    unit, ends = bounds[:-1].copy(), bounds[1:]  # next unit of each document, and its end
    active = np.flatnonzero(unit < ends)
    found: list[_Chunks] = []
    number = 0
    while active.size:
        # Random words are computed ahead where few documents are left: a call costs as much for few as for many.
        ahead = number + np.arange(max(1, WORDS_AHEAD // active.size))[:, np.newaxis]
        words = philox_words(keys[active], (ahead, 0, PAIR_STREAM, CHUNKS))
        column = np.arange(active.size)
        for a_words, label_words in zip(words[0], words[1], strict=True):
            begin = unit[active]
            end = np.minimum(np.searchsorted(own_starts, own_starts[begin] + targets[active]), ends[active])
            count = end - begin
            is_single = count == 1
            a_end = begin + 1 + np.where(is_single, 0, scale(a_words[column], np.maximum(count - 1, 1)))
            is_random = is_single | (label_words[column] < COIN)
            numbers = np.full(active.size, number, np.int32)
            found.append(_Chunks(is_random, *(part.astype(np.int32) for part in (active, numbers, begin, a_end, end))))
            # What a random segment displaces is put back.
            unit[active] = np.where(is_random, a_end, end)
            going = unit[active] < ends[active]
            active, column = active[going], column[going]
            number += 1
            if not active.size:
                break
    return _Chunks(*map(np.concatenate, zip(*found, strict=True)))


def _pairs_of_chunks(
    units: Units,
    own_starts: np.ndarray,
    chunks: _Chunks,
    documents: np.ndarray,
    keys: np.ndarray,
    targets: np.ndarray,
    room: int,
) -> SegmentPairs:
    """Returns the pair of each chunk.

    Args:
        units: `Units` of the whole split.
        own_starts: int64. First piece of each unit of the group.
        chunks: `_Chunks`.
        documents: int64 `(K,)`. The document of each chunk, counted over the whole split.
        keys: uint32 `(K, 2)`. Philox key of each chunk's document.
        targets: int64 `(K,)`. Pieces that a chunk should have.
        room: int. Places for both segments.
    """
    a_starts, a_stops, b_stops = own_starts[chunks.begin], own_starts[chunks.a_end], own_starts[chunks.end]
    b_starts = a_stops.copy()
    drawn = np.flatnonzero(chunks.is_random)
    words = philox_words(keys[drawn], (chunks.numbers[drawn], 0, PAIR_STREAM, CHUNKS))
    wanted = (targets - (a_stops - a_starts))[drawn]
    b_starts[drawn], b_stops[drawn] = _random_segments(units, documents[drawn], wanted, words[2], words[3])
    a_lengths, b_lengths = a_stops - a_starts, b_stops - b_starts
    a_kept, b_kept = truncated_lengths(a_lengths, b_lengths, room)
    a_fronts, b_fronts = _fronts(keys, chunks.numbers, a_lengths - a_kept, b_lengths - b_kept)
    return SegmentPairs(
        a_starts + a_fronts,
        b_starts + b_fronts,
        a_kept.astype(np.uint16),
        b_kept.astype(np.uint16),
        chunks.is_random.astype(np.uint8),
    )


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
    keys: np.ndarray, numbers: np.ndarray, a_removed: np.ndarray, b_removed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how many of the removed pieces of each segment are taken from its front: a fair coin for each piece.

    The words of the counters (number of the chunk, 1 + j), j = 0, 1, ... are one stream. Segment A counts the set bits
    among its first `a_removed` bits, lowest bit of a word first; segment B likewise, from the next whole word on.
    """
    fronts = np.zeros((2, len(keys)), np.int64)
    a_words = -(-a_removed // WORD_BITS)
    total_words = a_words - (-b_removed // WORD_BITS)
    counter = 0
    active = np.flatnonzero(total_words)
    while active.size:
        words = philox_words(keys[active], (numbers[active], 1 + counter, PAIR_STREAM, CHUNKS))
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
