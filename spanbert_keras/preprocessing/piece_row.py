"""A row of pieces, and rows as a batch. Shape letters: B batch, T tokens."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class PieceRow:
    """A row that an encoder reads, without padding.

    Attributes:
        token_ids, segment_ids: int32 `(T,)`, with [CLS] and [SEP].
        cut: bool. Whether pieces of the text were left out to keep the row within its limit.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    cut: bool = False

    def __len__(self) -> int:
        return len(self.token_ids)


def pad_rows(rows: Sequence, length: int) -> dict[str, np.ndarray]:
    """Pads rows of different lengths into one batch, the inputs of an encoder.

    Args:
        rows: sequence of B `PieceRow`, or of other objects with a length, `token_ids` and `segment_ids` (`Window`).
        length: int. T, at least the length of the longest row.

    Returns:
        dict of int32 `(B, T)`: `token_ids` and `segment_ids`, 0 at padding, and `padding_mask`, 1 at pieces.
    """
    names = ("token_ids", "segment_ids", "padding_mask")
    batch = {name: np.zeros((len(rows), length), np.int32) for name in names}
    for i, row in enumerate(rows):
        size = len(row)
        batch["token_ids"][i, :size] = row.token_ids
        batch["segment_ids"][i, :size] = row.segment_ids
        batch["padding_mask"][i, :size] = 1
    return batch
