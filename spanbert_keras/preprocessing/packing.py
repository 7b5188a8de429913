"""Which blocks share a row: packing planned on the histogram of lengths alone."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK

Template = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class PackingPlan:
    """Rows of one epoch, as templates: block lengths that share a row, and the number of rows made from each.

    Attributes:
        row_length: int. T, pieces in a row.
        max_predictions: int. M, the most masked pieces that any row can have.
        templates: list of tuples of block lengths in pieces, longest first.
        counts: int64 `(K,)`. Rows of each template.
        specials: int. [CLS] and [SEP] of a block: 2, or 3 for a pair of segments.
    """

    row_length: int
    max_predictions: int
    templates: list[Template]
    counts: np.ndarray
    specials: int = SPECIALS_PER_BLOCK

    @property
    def rows(self) -> int:
        """Rows in an epoch."""
        return int(self.counts.sum())

    @property
    def max_blocks(self) -> int:
        """The most blocks that share a row."""
        return max(map(len, self.templates), default=1)

    @property
    def padding_share(self) -> float:
        """Share of all places in an epoch's rows that hold padding."""
        used = sum(int(c) * (sum(t) + self.specials * len(t)) for t, c in zip(self.templates, self.counts, strict=True))
        return 1.0 - used / max(1, self.rows * self.row_length)

    def with_limits(self, max_predictions: int, max_blocks: int) -> "PackingPlan":
        """Returns a plan of the same blocks with the given M, in rows of at most `max_blocks` blocks.

        Plans of different blocks can then share one static shape. M must not be below the plan's own.
        """
        templates, counts = [], []
        for template, count in zip(self.templates, self.counts.tolist(), strict=True):
            for first in range(0, len(template), max_blocks):
                templates.append(template[first : first + max_blocks])
                counts.append(count)
        return PackingPlan(self.row_length, max_predictions, templates, np.array(counts, np.int64), self.specials)


class Room(NamedTuple):
    """Room in a row: what is still free, or what a block takes. Ordered by pieces, then by predictions.

    Attributes:
        pieces: int. Places for pieces, with [CLS] and [SEP] of every block.
        predictions: int. Entries for masked pieces.
    """

    pieces: int
    predictions: int

    def copies(self, block: "Room") -> int:
        """Returns how many blocks of this size fit."""
        return min(self.pieces // block.pieces, self.predictions // block.predictions)

    def without(self, block: "Room", copies: int) -> "Room":
        """Returns what is left after that many blocks."""
        return Room(self.pieces - copies * block.pieces, self.predictions - copies * block.predictions)


def plan_packing(
    histogram: np.ndarray,
    row_length: int,
    budget: Callable[[np.ndarray], np.ndarray],
    slack: float = 0.06,
    specials: int = SPECIALS_PER_BLOCK,
) -> PackingPlan:
    """Packs the blocks of an epoch into rows of one static length: best fit, longest first, on the histogram.

    Several short blocks share a row (`AttentionMask` keeps them apart), so that a corpus of paragraphs pads as little
    as one of books, with a single compiled shape. Cost depends on the number of different lengths, not of blocks.

    Args:
        histogram: int `(T - specials + 1,)`. Entry n counts blocks of n pieces.
        row_length: int. T, with [CLS] and [SEP] of every block.
        budget: function. Maps piece counts to the most pieces masked of each (`MaskingSettings.budget`).
        slack: float. A row may have this share of masked pieces above that of one full block, since
            every block rounds up.
        specials: int. [CLS] and [SEP] of a block.

    Reference: after Krell et al., 2021 (packing on histograms), which packs shortest-pack-first.
    """
    predictions = budget(np.arange(row_length - specials + 1))  # by pieces
    # M is an array dimension that every row pays for, so rows are bounded in masked pieces as well as in pieces.
    empty_row = Room(row_length, most_predictions(row_length, budget, slack, specials))
    open_rows: dict[Room, dict[Template, int]] = {}
    # Longest first: short blocks come last and fill what the long ones leave.
    for length in np.flatnonzero(histogram)[::-1].tolist():
        block = Room(length + specials, int(predictions[length]))
        remaining = int(histogram[length])
        while remaining:
            remaining -= _fill_rows(open_rows, empty_row, block, length, remaining)
    rows = sorted((t, c) for templates in open_rows.values() for t, c in templates.items())
    templates = [template for template, _ in rows]
    most = max((int(predictions[list(t)].sum()) for t in templates), default=int(predictions[-1]))
    return PackingPlan(row_length, max(most, 1), templates, np.array([c for _, c in rows], np.int64), specials)


def most_predictions(
    row_length: int, budget: Callable[[np.ndarray], np.ndarray], slack: float, specials: int = SPECIALS_PER_BLOCK
) -> int:
    """Returns the most masked pieces that `plan_packing` lets a row have, whatever the blocks; see there."""
    full_block = int(budget(np.array(row_length - specials)))
    return full_block + max(1, int(slack * full_block))


def plan_single_blocks(
    histogram: np.ndarray,
    row_length: int,
    budget: Callable[[np.ndarray], np.ndarray],
    specials: int = SPECIALS_PER_BLOCK,
) -> PackingPlan:
    """Gives every block a row of its own; see `plan_packing` for the arguments."""
    lengths = np.flatnonzero(histogram)
    full_block = int(budget(np.array(row_length - specials)))
    templates: list[Template] = [(length,) for length in lengths.tolist()]
    return PackingPlan(row_length, max(full_block, 1), templates, np.asarray(histogram, np.int64)[lengths], specials)


def _fill_rows(
    open_rows: dict[Room, dict[Template, int]], empty_row: Room, block: Room, length: int, remaining: int
) -> int:
    """Adds blocks of one length to many equal rows at once; returns how many blocks were placed.

    Args:
        open_rows: the rows so far, changed here: by free room, the number of rows of each template.
        empty_row: `Room` of a new row.
        block: `Room` that one block takes.
        length: int. Its pieces, as templates count them.
        remaining: int. Blocks of this length that have no row yet.
    """
    # Best fit: of all open rows that take the block, those with the least room left.
    room = min((open_room for open_room in open_rows if open_room.copies(block)), default=None)
    template: Template = ()
    if room is None:
        room = empty_row
        copies = min(room.copies(block), remaining)
        filled = remaining // copies
    else:
        template, num_rows = open_rows[room].popitem()
        copies = min(room.copies(block), remaining)
        filled = min(num_rows, remaining // copies)
        if filled < num_rows:
            open_rows[room][template] = num_rows - filled
        elif not open_rows[room]:
            del open_rows[room]
    # As many copies as fit go into each row at once; blocks that are fewer than the rows take come in the next call.
    longer = template + (length,) * copies
    left = open_rows.setdefault(room.without(block, copies), {})
    left[longer] = left.get(longer, 0) + filled
    return copies * filled
