"""Looks up which blocks each row of an epoch holds: the packing plan, combined with the shuffle of that epoch."""

import dataclasses

import numpy as np

from spanbert_keras.preprocessing.packing import PackingPlan
from spanbert_keras.preprocessing.philox import fold, permute
from spanbert_keras.preprocessing.seeds import BLOCK_ORDER, ROW_ORDER


@dataclasses.dataclass(frozen=True)
class FoundBlocks:
    """Blocks of the rows that were looked up, sorted by row and then by place. Arrays of shape `(K,)`, int64.

    Attributes:
        rows: index into the rows that were looked up.
        offsets: place of [CLS] in the row.
        lengths: pieces without specials.
        indices: index of the block among all blocks, which are sorted by length.
    """

    rows: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    indices: np.ndarray


class PackedRows:
    """The rows of a packing plan, in a different order in every epoch.

    The order is computed, never stored: row r of epoch e is row permute(r) of the packing plan, and block i of a length
    is block permute(i) among those of its length. So any row costs the same to find.

    Args:
        histogram: int64. Entry n counts the blocks of n pieces.
        plan: `PackingPlan` of the histogram.
        seed: two integers of 32 bits.
        shuffle: bool. `False` keeps the plan's order in every epoch.
    """

    def __init__(self, histogram: np.ndarray, plan: PackingPlan, seed, shuffle: bool = True):
        self.histogram = np.asarray(histogram)
        self.plan = plan
        self.seed = np.asarray(seed, np.uint32)
        self.shuffle = shuffle
        self._first = np.concatenate([[0], np.cumsum(self.histogram)])
        self._row_ends = np.cumsum(plan.counts)  # (templates,)
        self._slot_starts = np.concatenate([[0], np.cumsum([len(t) for t in plan.templates])]).astype(np.int64)
        self._slots = self._describe_slots()

    def _describe_slots(self) -> dict[str, np.ndarray]:
        """Returns, for every slot of every template, its length, place and which blocks of that length fill it."""
        used = np.zeros(len(self.histogram), np.int64)
        columns: dict[str, list[int]] = {name: [] for name in ("length", "offset", "base", "stride")}
        for template, count in zip(self.plan.templates, self.plan.counts.tolist(), strict=True):
            offset = 0
            for copy, length in enumerate(template):
                rank = copy - template.index(length)  # which copy of this length in the template
                columns["length"].append(length)
                columns["offset"].append(offset)
                columns["base"].append(int(used[length]) + rank)
                columns["stride"].append(template.count(length))
                offset += length + self.plan.specials
            for length in set(template):
                used[length] += count * template.count(length)
        return {name: np.array(column, np.int64) for name, column in columns.items()}

    def find(self, index: np.ndarray, epochs: np.ndarray) -> FoundBlocks:
        """Returns the blocks of rows.

        Args:
            index: int64 `(B,)`. Rows of their epoch, from 0 to `plan.rows` - 1.
            epochs: int64 `(B,)`.
        """
        if self.shuffle:
            index = permute(index, self.plan.rows, fold(self.seed, ROW_ORDER, epochs))
        template = np.searchsorted(self._row_ends, index, side="right")  # (B,)
        copy = index - (self._row_ends[template] - self.plan.counts[template])  # row's rank in its template
        slots = self._slot_starts[template + 1] - self._slot_starts[template]  # blocks in each row
        rows = np.repeat(np.arange(len(index)), slots)  # (K,)
        rank = np.arange(len(rows)) - np.repeat(np.cumsum(slots) - slots, slots)
        slot = self._slot_starts[template][rows] + rank
        lengths = self._slots["length"][slot]
        member = self._slots["base"][slot] + copy[rows] * self._slots["stride"][slot]  # among blocks of this length
        indices = self._first[lengths] + self._shuffled(member, lengths, epochs[rows])
        return FoundBlocks(rows, self._slots["offset"][slot], lengths, indices)

    def _shuffled(self, member: np.ndarray, lengths: np.ndarray, epochs: np.ndarray) -> np.ndarray:
        """Returns each member's place after the epoch's shuffle among the blocks of its length."""
        if not self.shuffle:
            return member
        kinds, kind = np.unique(np.stack([epochs, lengths]), axis=1, return_inverse=True)
        seeds = fold(self.seed, BLOCK_ORDER, kinds[0], kinds[1])  # one for each epoch and length
        return permute(member, self.histogram[lengths], seeds[kind.reshape(-1)])
