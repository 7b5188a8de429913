"""Row p of the endless stream of packed pairs, as a pure function of (seed, p)."""

import threading

import numpy as np

from spanbert_keras.data.pairs.pair_copies import PairCopies
from spanbert_keras.data.pairs.pair_index import PairIndex
from spanbert_keras.preprocessing.packed_rows import PackedRows
from spanbert_keras.preprocessing.packing import PackingPlan
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.row_planner import RowPlanner
from spanbert_keras.preprocessing.row_stream import PlacedBlocks, SecondSegments, mask_epochs
from spanbert_keras.preprocessing.seeds import MASKS


class PairStream:
    """Endless rows of packed pairs of segments, with the interface of `RowStream`.

    Epoch e has every pair of copy e modulo `copies.num_copies` once, in its own order. Copies have different numbers of
    rows. A copy is built when one of its rows, or a row of a later copy, is first requested.

    Args:
        copies: `PairCopies` of one split.
        planner: `RowPlanner`.
        seed: two integers of 32 bits.
        shuffle: bool. `False` keeps the plan's order and gives every epoch the same masks (held-out text).
        mask_copies: int. Number of different masks per pair: epoch e uses the masks of epoch e modulo this number. 0:
            new masks in every epoch.

    Attributes:
        plan: `PackingPlan` of the first copy, whose limits hold for the rows of all copies.
    """

    def __init__(self, copies: PairCopies, planner: RowPlanner, seed, shuffle: bool = True, mask_copies: int = 0):
        self.copies = copies
        self.seed = np.asarray(seed, np.uint32)
        self.shuffle = shuffle
        self.mask_copies = mask_copies
        first = copies.index(0)
        if copies.num_copies == 1:
            self.plan = planner.plan(first.histogram)
        else:
            self.plan, self._plan_copy = planner.plan_of_first_copy(first.histogram)
        self._lock = threading.Lock()
        self._indices: list[PairIndex] = []
        self._packed: list[PackedRows] = []
        self._ends: list[int] = []  # rows of all copies so far
        self._add(first, self.plan)

    def _add(self, index: PairIndex, plan: PackingPlan) -> None:
        self._indices.append(index)
        self._packed.append(PackedRows(index.histogram, plan, self.seed, self.shuffle))
        self._ends.append(plan.rows + (self._ends[-1] if self._ends else 0))

    def _origins(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the copy, the row of it and the epoch of each position."""
        last = int(positions.max(initial=0))
        with self._lock:
            while len(self._ends) < self.copies.num_copies and last >= self._ends[-1]:
                index = self.copies.index(len(self._ends))
                self._add(index, self._plan_copy(index.histogram))
            ends = np.array(self._ends)
        cycles, rows = np.divmod(positions, ends[-1])  # one cycle where not every copy is needed yet
        copy = np.searchsorted(ends, rows, side="right")
        return copy, rows - np.append(0, ends)[copy], cycles * self.copies.num_copies + copy

    def rows(self, positions: np.ndarray) -> PlacedBlocks:
        """Returns the pairs of the rows at these positions of the endless stream.

        Args:
            positions: int64 `(B,)`, from 0. Row r of the result is position `positions[r]`.
        """
        positions = np.asarray(positions, np.int64)
        copies, rows, epochs = self._origins(positions)
        parts = []
        for copy in np.unique(copies).tolist():
            chosen = np.flatnonzero(copies == copy)
            found = self._packed[copy].find(rows[chosen], epochs[chosen])
            a_starts, b_starts, a_lengths, b_lengths, labels = (
                column[found.indices].astype(np.int64) for column in self._indices[copy].pairs.columns
            )
            own_epochs = mask_epochs(epochs[chosen], self.shuffle, self.mask_copies)[found.rows]
            seeds = fold(self.seed, MASKS, own_epochs, a_starts, b_starts)
            second = SecondSegments(b_starts, b_lengths, labels)
            parts.append(
                PlacedBlocks(chosen[found.rows], found.offsets, a_starts, a_lengths + b_lengths, seeds, second)
            )
        return PlacedBlocks.joined(parts)[0]
