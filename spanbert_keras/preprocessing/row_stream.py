"""Row p of the endless training stream, as a pure function of (seed, p)."""

import dataclasses

import numpy as np

from spanbert_keras.preprocessing.packing import PackingPlan
from spanbert_keras.preprocessing.philox import fold, permute
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK, Blocks
from spanbert_keras.preprocessing.seeds import BLOCK_ORDER, MASKS, ROW_ORDER


@dataclasses.dataclass(frozen=True)
class PlacedBlocks:
    """Blocks in the rows of a batch, sorted by row and then by place. Arrays of shape `(K,)`.

    Attributes:
        rows: int64. Row of the batch.
        offsets: int64. Place of [CLS] in the row.
        starts: int64. First piece, counted over all shards.
        lengths: int64. Pieces without specials.
        seeds: uint32 `(K, 2)`. Seed of the block's masks: new in every epoch.
    """

    rows: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    seeds: np.ndarray


class RowStream:
    """Endless rows of packed blocks; each epoch has every block once, in its own order.

    The order is computed, never stored: row p of epoch e is row permute(p) of the packing plan, and block i of a length
    is block permute(i) among those of its length. So any row costs the same to find, at the first step or the
    millionth, and nothing is replayed or skipped on resuming.

    Args:
        blocks: `Blocks` of one split.
        plan: `PackingPlan` of their histogram.
        seed: two integers of 32 bits.
        shuffle: bool. `False` keeps the plan's order and gives every epoch the same masks (held-out text).
    """

    def __init__(self, blocks: Blocks, plan: PackingPlan, seed, shuffle: bool = True):
        self.blocks = blocks
        self.plan = plan
        self.seed = np.asarray(seed, np.uint32)
        self.shuffle = shuffle
        self._first = blocks.first
        self._row_ends = np.cumsum(plan.counts)  # (K,)
        self._slot_starts = np.concatenate([[0], np.cumsum([len(t) for t in plan.templates])]).astype(np.int64)
        self._slots = self._describe_slots()

    def _describe_slots(self) -> dict[str, np.ndarray]:
        """Returns, for every slot of every template, its length, place and which blocks of that length fill it."""
        used = np.zeros(len(self.blocks.histogram), np.int64)
        columns: dict[str, list[int]] = {name: [] for name in ("length", "offset", "base", "stride")}
        for template, count in zip(self.plan.templates, self.plan.counts.tolist(), strict=True):
            offset = 0
            for copy, length in enumerate(template):
                rank = copy - template.index(length)  # which copy of this length in the template
                columns["length"].append(length)
                columns["offset"].append(offset)
                columns["base"].append(int(used[length]) + rank)
                columns["stride"].append(template.count(length))
                offset += length + SPECIALS_PER_BLOCK
            for length in set(template):
                used[length] += count * template.count(length)
        return {name: np.array(column, np.int64) for name, column in columns.items()}

    def rows(self, positions: np.ndarray) -> PlacedBlocks:
        """Returns the blocks of the rows at these positions of the endless stream.

        Args:
            positions: int64 `(B,)`, from 0. Row r of the result is position `positions[r]`.
        """
        epochs, index = np.divmod(np.asarray(positions, np.int64), self.plan.rows)
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
        block_epochs = epochs[rows]
        starts = np.asarray(self.blocks.starts[self._first[lengths] + self._shuffled(member, lengths, block_epochs)])
        seeds = fold(self.seed, MASKS, block_epochs if self.shuffle else 0, starts)
        return PlacedBlocks(rows, self._slots["offset"][slot], starts, lengths, seeds)

    def _shuffled(self, member: np.ndarray, lengths: np.ndarray, epochs: np.ndarray) -> np.ndarray:
        """Returns each member's place after the epoch's shuffle among the blocks of its length."""
        if not self.shuffle:
            return member
        kinds, kind = np.unique(np.stack([epochs, lengths]), axis=1, return_inverse=True)
        seeds = fold(self.seed, BLOCK_ORDER, kinds[0], kinds[1])  # one for each epoch and length
        return permute(member, np.asarray(self.blocks.histogram)[lengths], seeds[kind.reshape(-1)])
