"""A row of pieces, and rows as a batch. Shape letters: B batch, T tokens."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class PieceRow:
    """A row that an encoder reads, without padding.

    Attributes:
        token_ids, segment_ids: int32 `(T,)`, with [CLS] and [SEP].
        cut: bool. Whether pieces of the text were left out, so that the row is no longer than it may be.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    cut: bool = False

    def __len__(self) -> int:
        return len(self.token_ids)


def pad_rows(rows: Sequence, length: int) -> dict[str, np.ndarray]:
    """Returns the inputs of an encoder, `token_ids`, `segment_ids`, `padding_mask`, int32 `(B, length)`.

    Args:
        rows: `PieceRow`s, or whatever else has a length, `token_ids` and `segment_ids`.
        length: int. At least that of the longest row.
    """
    names = ("token_ids", "segment_ids", "padding_mask")
    batch = {name: np.zeros((len(rows), length), np.int32) for name in names}
    for i, row in enumerate(rows):
        size = len(row)
        batch["token_ids"][i, :size] = row.token_ids
        batch["segment_ids"][i, :size] = row.segment_ids
        batch["padding_mask"][i, :size] = 1
    return batch
