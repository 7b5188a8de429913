"""Blocks: where rows begin and end in a text of pieces, for any row length."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np

from spanbert_keras.errors import shown

CUTS = ("word", "line")
SPECIALS_PER_BLOCK = 2  # [CLS] and [SEP]
SPECIALS_PER_PAIR = 3  # [CLS] A [SEP] B [SEP]


@dataclasses.dataclass(frozen=True)
class Blocks:
    """All blocks of one split of a corpus, sorted by length and then by place.

    Attributes:
        starts: int64 `(N,)`. First piece of each block, counted over all shards in order. May be memory-mapped.
        histogram: int64 `(T - 1,)`. Entry n counts the blocks of n pieces (without [CLS] and [SEP]), so blocks of n
            pieces are `starts[first[n] : first[n + 1]]`, `first` the running sum.
        left_out_pieces: int. Pieces in no block: words longer than a whole block.
    """

    starts: np.ndarray
    histogram: np.ndarray
    left_out_pieces: int

    @property
    def first(self) -> np.ndarray:
        """int64 `(T,)`: the running sum of `histogram`, starting with 0."""
        return np.concatenate([[0], np.cumsum(self.histogram)])

    def __len__(self) -> int:
        return len(self.starts)


def _word_boundary(is_start: np.ndarray, ends: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Moves each end back to the nearest word start above `lowest`; an end that finds none becomes `lowest`."""
    ends = ends.copy()
    moving = np.flatnonzero((ends < len(is_start)) & (ends > lowest))
    moving = moving[~is_start[ends[moving]]]
    while moving.size:
        ends[moving] -= 1
        moving = moving[ends[moving] > lowest[moving]]
        moving = moving[~is_start[ends[moving]]]
    return ends


def _cut(limits: np.ndarray, is_start: np.ndarray, longest: int, units: np.ndarray | None = None):
    """Cuts [limits[i], limits[i + 1]) greedily into blocks of at most `longest` pieces, all documents at once.

    Args:
        limits: int64 `(D + 1,)`. Where documents (or, for `units`, whole groups) begin and end.
        is_start: bool `(N,)`. True where a word begins.
        longest: int. Most pieces in a block.
        units: int64 sorted, or `None`. Places to cut at (lines); a unit longer than a block is cut between words.

    Returns:
        starts int64, lengths int64, and the number of pieces left out.
    """
    # Greedy cutting is sequential within a document only: each step cuts the next block of every unfinished document.
    position, end = limits[:-1].copy(), limits[1:]
    found_starts, found_lengths, left_out = [], [], 0
    active = np.flatnonzero(position < end)
    while active.size:
        begin, limit = position[active], end[active]
        reach = np.minimum(begin + longest, limit)
        if units is None:
            stop = np.where(reach < limit, _word_boundary(is_start, reach, begin), reach)
        else:
            whole = units[np.searchsorted(units, reach, side="right") - 1]  # last line start not after `reach`
            stop = np.where(reach == limit, reach, whole)
            too_long = stop <= begin  # a line longer than a block: cut it at words
            stop[too_long] = _word_boundary(is_start, reach[too_long], begin[too_long])
        stuck = stop <= begin  # a word longer than a block: skip it, and count it
        for i in np.flatnonzero(stuck):
            stop[i] = begin[i] + 1
            while stop[i] < limit[i] and not is_start[stop[i]]:
                stop[i] += 1
        left_out += int((stop - begin)[stuck].sum())
        found_starts.append(begin[~stuck])
        found_lengths.append((stop - begin)[~stuck])
        position[active] = stop
        active = active[stop < limit]
    if not found_starts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), 0
    return np.concatenate(found_starts), np.concatenate(found_lengths), left_out


def cut_shards(
    shards: Iterable, word_starts: np.ndarray, max_sequence_length: int, cut: str = "word"
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Cuts every document into blocks of at most `max_sequence_length` pieces with [CLS] and [SEP].

    Blocks are contiguous, never cross documents and never cut a word. A document is cut greedily from its beginning, so
    only its last block is short (paper, section 4.2: sequences run up to the limit or the document's end).

    Args:
        shards: iterable of (pieces `(N,)`, document_starts `(D + 1,)`, line_starts `(L + 1,)`).
        word_starts: bool `(V,)`. True where a piece begins a word.
        max_sequence_length: int, at least 3. Pieces in a row, with specials.
        cut: `"word"`: a block is as long as possible; `"line"`: it ends with a line where a line fits.

    Yields:
        for each shard the starts of its blocks, int64 `(N,)`, counted over all shards in order, and their lengths,
        int64 `(N,)`, both sorted by length and then by place; and the number of its pieces in no block.

    Raises:
        ValueError: an unknown `cut`, or a row too short for any piece.
    """
    if cut not in CUTS or max_sequence_length <= SPECIALS_PER_BLOCK:
        raise ValueError(
            f"`cut` must be one of {CUTS} and `max_sequence_length` at least {SPECIALS_PER_BLOCK + 1}. "
            f"Received: cut={shown(cut)}, max_sequence_length={max_sequence_length}."
        )
    longest = max_sequence_length - SPECIALS_PER_BLOCK
    base = 0
    for pieces, document_starts, line_starts in shards:
        is_start = word_starts[np.asarray(pieces)]
        units = np.asarray(line_starts) if cut == "line" else None
        starts, lengths, left_out = _cut(np.asarray(document_starts, np.int64), is_start, longest, units)
        order = np.lexsort((starts, lengths))
        yield starts[order] + base, lengths[order], left_out
        base += len(pieces)


def cut_blocks(shards: Iterable, word_starts: np.ndarray, max_sequence_length: int, cut: str = "word") -> Blocks:
    """Returns all blocks of some shards, in memory; arguments as of `cut_shards`."""
    parts = list(cut_shards(shards, word_starts, max_sequence_length, cut))
    starts, lengths = (np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)]) for i in range(2))
    histogram = np.bincount(lengths, minlength=max_sequence_length - SPECIALS_PER_BLOCK + 1)
    order = np.argsort(lengths, kind="stable")
    return Blocks(starts[order], histogram.astype(np.int64), sum(part[2] for part in parts))
