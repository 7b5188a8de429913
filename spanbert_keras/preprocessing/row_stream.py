"""Row p of the endless training stream, as a pure function of (seed, p)."""

import dataclasses

import numpy as np

from spanbert_keras.preprocessing.packed_rows import PackedRows
from spanbert_keras.preprocessing.packing import PackingPlan
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.row_blocks import Blocks
from spanbert_keras.preprocessing.seeds import MASKS


@dataclasses.dataclass(frozen=True)
class SecondSegments:
    """The second segments of pairs. Arrays of shape `(K,)`.

    Attributes:
        starts: int64. First piece of segment B, counted over all shards.
        lengths: int64. Pieces of segment B.
        labels: int64. 0 where B follows A in the text, 1 where it is from another document.
    """

    starts: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True)
class PlacedBlocks:
    """Blocks in the rows of a batch, sorted by row and then by place. Arrays of shape `(K,)`.

    Attributes:
        rows: int64. Row of the batch.
        offsets: int64. Place of [CLS] in the row.
        starts: int64. First piece, counted over all shards; of a pair, that of segment A.
        lengths: int64. Pieces without specials; of a pair, those of both segments.
        seeds: uint32 `(K, 2)`. Seed of the block's masks: new in every epoch.
        second: `SecondSegments` where blocks are pairs of segments, else `None`.
    """

    rows: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    seeds: np.ndarray
    second: SecondSegments | None = None

    @classmethod
    def joined(cls, parts: "list[PlacedBlocks]") -> tuple["PlacedBlocks", np.ndarray]:
        """Returns the blocks of several parts, sorted by row and place, and where each was: int64 `(K,)`."""
        order = np.lexsort((np.concatenate([p.offsets for p in parts]), np.concatenate([p.rows for p in parts])))

        def joined(values: list, names: list[str]) -> dict[str, np.ndarray]:
            return {name: np.concatenate([getattr(value, name) for value in values])[order] for name in names}

        columns = joined(parts, ["rows", "offsets", "starts", "lengths", "seeds"])
        seconds = [part.second for part in parts if part.second is not None]
        second = SecondSegments(**joined(seconds, ["starts", "lengths", "labels"])) if seconds else None
        return cls(**columns, second=second), order


class RowStream:
    """Endless rows of packed blocks; each epoch has every block once, in its own order (`PackedRows`).

    Any row costs the same to find, at the first step or the millionth, and nothing is replayed or skipped on resuming.

    Args:
        blocks: `Blocks` of one split.
        plan: `PackingPlan` of their histogram.
        seed: two integers of 32 bits.
        shuffle: bool. `False` keeps the plan's order and gives every epoch the same masks (held-out text).
        mask_copies: int. Number of different masks per block: epoch e uses the masks of epoch e modulo this number. 0:
            new masks in every epoch.
    """

    def __init__(self, blocks: Blocks, plan: PackingPlan, seed, shuffle: bool = True, mask_copies: int = 0):
        self.blocks = blocks
        self.plan = plan
        self.seed = np.asarray(seed, np.uint32)
        self.shuffle = shuffle
        self.mask_copies = mask_copies
        self._packed = PackedRows(blocks.histogram, plan, seed, shuffle)

    def rows(self, positions: np.ndarray) -> PlacedBlocks:
        """Returns the blocks of the rows at these positions of the endless stream.

        Args:
            positions: int64 `(B,)`, from 0. Row r of the result is position `positions[r]`.
        """
        epochs, index = np.divmod(np.asarray(positions, np.int64), self.plan.rows)
        found = self._packed.find(index, epochs)
        starts = np.asarray(self.blocks.starts[found.indices])
        seeds = fold(self.seed, MASKS, mask_epochs(epochs, self.shuffle, self.mask_copies)[found.rows], starts)
        return PlacedBlocks(found.rows, found.offsets, starts, found.lengths, seeds)


def mask_epochs(epochs: np.ndarray, shuffle: bool, mask_copies: int) -> np.ndarray:
    """Returns the epoch whose masks each epoch uses: int64, in the shape of `epochs`."""
    if not shuffle:
        return np.zeros_like(epochs)
    return epochs % mask_copies if mask_copies else epochs
