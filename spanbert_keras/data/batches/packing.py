"""Which blocks share a row: packing planned on the histogram of lengths alone."""

import dataclasses
from collections.abc import Callable

import numpy as np

SPECIALS = 2  # [CLS] and [SEP]


@dataclasses.dataclass(frozen=True)
class PackingPlan:
    """Rows of one epoch, as templates: each says which lengths share a row and how many rows are made so.

    Attributes:
        row_length: int. T, pieces in a row.
        max_predictions: int. M, the most masked pieces that any row can have.
        templates: list of tuples of block lengths in pieces, longest first.
        counts: int64 `(K,)`. Rows of each template.
    """

    row_length: int
    max_predictions: int
    templates: list[tuple[int, ...]]
    counts: np.ndarray

    @property
    def rows(self) -> int:
        """Rows in an epoch."""
        return int(self.counts.sum())

    @property
    def padding_share(self) -> float:
        """Share of all places in an epoch's rows that hold padding."""
        used = sum(int(c) * (sum(t) + SPECIALS * len(t)) for t, c in zip(self.templates, self.counts, strict=True))
        return 1.0 - used / max(1, self.rows * self.row_length)


def _place(open_packs: dict, length: int, needed: int) -> tuple[int, int] | None:
    """Returns the fullest kind of open row that still takes a block of this length, or `None`."""
    fitting = [key for key in open_packs if key[0] >= length + SPECIALS and key[1] >= needed]
    return min(fitting) if fitting else None


def plan_packing(
    histogram: np.ndarray, row_length: int, budget: Callable[[np.ndarray], np.ndarray], slack: float = 0.06
) -> PackingPlan:
    """Packs the blocks of an epoch into rows of one static length: best fit, longest first, on the histogram.

    Several short blocks share a row (`AttentionMask` keeps them apart), so that a corpus of paragraphs pads as little
    as one of books, with a single compiled shape. Cost depends on the number of different lengths, not of blocks.

    Args:
        histogram: int `(T - 1,)`. Entry n counts blocks of n pieces.
        row_length: int. T, with [CLS] and [SEP] of every block.
        budget: maps piece counts to the most pieces masked of each (`MaskingSettings.budget`).
        slack: float. A row may have this share of masked pieces above that of one full block, since
            every block rounds up.

    Reference: after Krell et al., 2021 (packing on histograms), which packs shortest-pack-first.
    """
    predictions = budget(np.arange(row_length - SPECIALS + 1))  # by pieces
    full_block = int(predictions[-1])
    limit = full_block + max(1, int(slack * full_block))
    open_packs: dict[tuple[int, int], dict[tuple[int, ...], int]] = {}
    template: tuple[int, ...]
    for length in np.flatnonzero(histogram)[::-1].tolist():
        remaining, needed = int(histogram[length]), int(predictions[length])
        while remaining:
            key = _place(open_packs, length, needed)
            if key is None:
                template, available, space = (), remaining, (row_length, limit)
            else:
                template, available = open_packs[key].popitem()
                space = key
            # As many copies as fit go into each row at once.
            copies = min((space[0]) // (length + SPECIALS), space[1] // needed, remaining)
            taken = min(available, remaining // copies)
            if key is not None:
                if taken < available:
                    open_packs[key][template] = available - taken
                if not open_packs[key]:
                    del open_packs[key]
            left = (space[0] - copies * (length + SPECIALS), space[1] - copies * needed)
            packs = open_packs.setdefault(left, {})
            full = template + (length,) * copies
            packs[full] = packs.get(full, 0) + taken
            remaining -= copies * taken
    rows = sorted((t, c) for packs in open_packs.values() for t, c in packs.items())
    templates = [template for template, _ in rows]
    most = max((int(predictions[list(t)].sum()) for t in templates), default=full_block)
    return PackingPlan(row_length, max(most, 1), templates, np.array([c for _, c in rows], np.int64))
