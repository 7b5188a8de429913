"""Ragged rows, and what can be masked in them: words or word pieces, and mentions made of words.

Shape letters: R rows, N pieces of all rows, U units (specials included), W units without specials.
"""

import dataclasses

import numpy as np

from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL

# Bits of an annotation of mentions; the others hold the number of a label, which masking ignores.
INSIDE, FIRST = 1, 2


@dataclasses.dataclass(frozen=True, eq=False)
class RaggedRows:
    """The rows as given to `mask_rows`; a scheme may read all of it.

    Attributes:
        pieces: int32 `(N,)`. The pieces of all rows, one row after the other.
        starts: int64 `(R + 1,)`. Where each row begins, and N.
        seeds: uint32 `(R, 2)`. Each row's own seed.
        kinds: uint8 `(N,)`. `SPECIAL`, `WORD_START` or `CONTINUATION` for each piece.
        annotation: int `(N,)` or `None`. A value for each piece, for a scheme that needs more than pieces.
    """

    pieces: np.ndarray
    starts: np.ndarray
    seeds: np.ndarray
    kinds: np.ndarray
    annotation: np.ndarray | None = None

    def locate(self, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the row and the index in the row of ascending flat indices."""
        counts = np.diff(np.searchsorted(flat, self.starts))  # Rows are fewer than indices: look for the rows.
        return np.repeat(np.arange(len(counts)), counts), flat - np.repeat(self.starts[:-1], counts)


@dataclasses.dataclass(frozen=True, eq=False)
class RowUnits:
    """The units that are masked as a whole, and the specials between them.

    Attributes:
        first: int64 `(U,)`. Flat index of each unit's first piece.
        length: int64 `(U,)`. Pieces of each unit.
        special: bool `(U,)`. Whether it is a special, which is one piece and never masked.
        choosable: int64 `(W,)`. Indices of the units that are not special.
        row_starts: int64 `(R + 1,)`. First unit of each row, and U.
        row_choosable: int64 `(R + 1,)`. First entry of `choosable` of each row, and W.
        num_pieces: int64 `(R,)`. Pieces of each row without specials.
    """

    first: np.ndarray
    length: np.ndarray
    special: np.ndarray
    choosable: np.ndarray
    row_starts: np.ndarray
    row_choosable: np.ndarray
    num_pieces: np.ndarray

    @classmethod
    def begin_at(cls, rows: RaggedRows, first: np.ndarray) -> "RowUnits":
        """Returns the units that begin at these flat indices, ascending. A special must be a unit of its own."""
        special = rows.kinds[first] == SPECIAL  # (U,)
        choosable = np.flatnonzero(~special)
        row_starts = np.searchsorted(first, rows.starts)
        row_choosable = np.searchsorted(choosable, row_starts)
        num_specials = row_starts - row_choosable  # of all rows before; each is one piece     (R + 1,)
        return cls(
            first=first,
            length=np.diff(first, append=len(rows.kinds)),
            special=special,
            choosable=choosable,
            row_starts=row_starts,
            row_choosable=row_choosable,
            num_pieces=np.diff(rows.starts - num_specials),
        )


def find_words(rows: RaggedRows) -> RowUnits:
    """Splits rows into words and specials."""
    # A continuation at a row's beginning or after a special begins a word all the same: rows are cut anywhere.
    begins = rows.kinds != CONTINUATION
    begins[1:] |= rows.kinds[:-1] == SPECIAL
    begins[rows.starts[rows.starts < len(begins)]] = True
    return RowUnits.begin_at(rows, np.flatnonzero(begins))


def find_pieces(rows: RaggedRows) -> RowUnits:
    """Splits rows into single pieces; some are specials."""
    return RowUnits.begin_at(rows, np.arange(len(rows.kinds)))


@dataclasses.dataclass(frozen=True, eq=False)
class Mentions:
    """Mentions as spans of units.

    Attributes:
        first: int64. Index of each mention's first unit.
        length: int64. Units of each mention.
        row_starts: int64 `(R + 1,)`. First mention of each row, and their number.
    """

    first: np.ndarray
    length: np.ndarray
    row_starts: np.ndarray


def find_mentions(rows: RaggedRows, units: RowUnits) -> Mentions:
    """Finds the mentions that the annotation marks.

    A mention is a maximal run of pieces with the bit `INSIDE`. The bit `FIRST`, a row's beginning, and a special each
    end the run before. Mentions are extended to whole units; those longer than the row's budget are found too.
    """
    annotation = np.asarray(rows.annotation)  # `mask_rows` has checked that there is one.
    inside = np.flatnonzero(((annotation & INSIDE) > 0) & (rows.kinds != SPECIAL))
    begins = (annotation[inside] & FIRST) > 0
    begins[1:] |= np.diff(inside) > 1
    row_begins = np.searchsorted(inside, rows.starts)  # the first piece inside a mention of each row
    begins[row_begins[row_begins < len(inside)]] = True
    leaders = np.flatnonzero(begins)  # indices into `inside`
    ends = np.append(leaders[1:], len(inside))[: len(leaders)] - 1
    is_first = np.zeros(len(annotation), bool)
    is_first[units.first] = True
    unit = np.cumsum(is_first, dtype=np.int32) - 1  # of each piece
    first, last = (unit[inside[at]].astype(np.int64) for at in (leaders, ends))
    return Mentions(first, last - first + 1, np.searchsorted(leaders, row_begins))


def consecutive(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns starts[0], starts[0] + 1, ... (counts[0] of them), then the same for the next: int64."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())
