"""Blocks masked and laid out in the rows of a batch. Shape letters: B rows, T tokens, M masked positions, K blocks."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK
from spanbert_keras.preprocessing.row_stream import PlacedBlocks


def masked_batch(
    placed: PlacedBlocks,
    pieces: Sequence[np.ndarray],
    masker,
    special_ids: tuple[int, int],
    shape: tuple[int, int],
    max_predictions: int,
) -> dict[str, np.ndarray]:
    """Masks every block by its own seed and lays all of them out in rows.

    Args:
        placed: `PlacedBlocks`, K blocks.
        pieces: sequence of K integer arrays. The pieces of each block, without specials.
        masker: `SpanMasker` (or anything with its `mask_ragged`).
        special_ids: pair of int. The ids of [CLS] and of [SEP].
        shape: pair of int. B and T.
        max_predictions: int. M, at least the masked pieces of every row.

    Returns:
        dict that `SpanMasker` documents, `(B, T)` and `(B, M)`. `padding_mask` numbers the blocks of a row from 1 (see
        `AttentionMask`).
    """
    full = placed.lengths + SPECIALS_PER_BLOCK  # (K,)
    block_starts = np.concatenate([[0], np.cumsum(full)])
    flat = np.empty(int(block_starts[-1]), np.int32)
    flat[block_starts[:-1]] = special_ids[0]
    flat[block_starts[1:] - 1] = special_ids[1]
    inside = np.ones(len(flat), bool)
    inside[block_starts[:-1]] = inside[block_starts[1:] - 1] = False
    flat[inside] = np.concatenate(pieces)
    masked = masker.mask_ragged(flat, block_starts, placed.seeds)

    origin = placed.rows * shape[1] + placed.offsets  # of each block in the flattened batch
    place = np.arange(len(flat)) + np.repeat(origin - block_starts[:-1], full)
    token_ids, padding_mask = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    token_ids.reshape(-1)[place] = masked.pieces
    rank = np.arange(len(placed.rows)) - np.searchsorted(placed.rows, placed.rows)  # of a block in its row
    padding_mask.reshape(-1)[place] = np.repeat(rank + 1, full)
    return {
        "token_ids": token_ids,
        "segment_ids": np.zeros(shape, np.int32),
        "padding_mask": padding_mask,
        **_targets(masked, placed, shape[0], max_predictions),
    }


def _targets(masked, placed: PlacedBlocks, batch_rows: int, max_predictions: int) -> dict[str, np.ndarray]:
    """Lays the masked positions of all blocks out as `(B, M)`."""
    row = placed.rows[masked.rows]  # (masked pieces,)
    offset = placed.offsets[masked.rows]
    column = np.arange(len(row)) - np.searchsorted(row, row)
    place = row * max_predictions + column
    columns = {
        "mask_positions": masked.positions + offset,
        "mask_ids": masked.ids,
        "left_positions": masked.left_positions + offset,
        "right_positions": masked.right_positions + offset,
        "span_offsets": masked.span_offsets,
        "mask_weights": np.ones(len(row), np.float32),
        "span_weights": masked.span_weights,
    }
    targets = {}
    for name, values in columns.items():
        dtype = np.float32 if name.endswith("weights") else np.int32
        targets[name] = np.zeros((batch_rows, max_predictions), dtype)
        targets[name].reshape(-1)[place] = values
    return targets
