"""Blocks masked and laid out in the rows of a batch. Shape letters: B rows, T tokens, M masked positions, P pairs, K
blocks."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK, SPECIALS_PER_PAIR
from spanbert_keras.preprocessing.row_stream import PlacedBlocks


def masked_batch(
    placed: PlacedBlocks,
    pieces: Sequence[np.ndarray],
    masker,
    special_ids: tuple[int, int],
    shape: tuple[int, int],
    max_predictions: int,
    max_pairs: int = 0,
    annotations: Sequence[np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Masks every block by its own seed and lays all of them out in rows.

    A pair of segments, [CLS] A [SEP] B [SEP], is masked as one block: one budget for both segments (the released code
    masks each segment by itself, with a budget of its own). No word or span crosses the [SEP] between them.

    Args:
        placed: `PlacedBlocks`, K blocks.
        pieces: sequence of K integer arrays. The pieces of each block, without specials.
        masker: `SpanMasker` (or anything with its `mask_ragged`).
        special_ids: pair of int. The ids of [CLS] and of [SEP].
        shape: pair of int. B and T.
        max_predictions: int. M, at least the masked pieces of every row.
        max_pairs: int. P, at least the blocks of every row, where blocks are pairs of segments.
        annotations: sequence of K uint8 arrays, one value for each of `pieces`, or `None`. The masker gets 0 at
            specials.

    Returns:
        dict that `SpanMasker` documents, `(B, T)` and `(B, M)`. `padding_mask` numbers the blocks of a row from 1 (see
        `AttentionMask`). Pairs of segments also have, of shape `(B, P)`, `pair_positions` int32, the column of each
        pair's [CLS], `next_sentence_labels` int32, 0 where B follows A and 1 where it is random, and `pair_weights`
        float32, 1 at real pairs.
    """
    specials = SPECIALS_PER_BLOCK if placed.second is None else SPECIALS_PER_PAIR
    full = placed.lengths + specials  # (K,)
    block_starts = np.concatenate([[0], np.cumsum(full)])
    flat = np.empty(int(block_starts[-1]), np.int32)
    is_piece = np.ones(len(flat), bool)
    separators = [block_starts[1:] - 1]
    if placed.second is not None:
        separators.append(block_starts[1:] - placed.second.lengths - 2)
    for places, special_id in ((block_starts[:-1], special_ids[0]), *((s, special_ids[1]) for s in separators)):
        flat[places] = special_id
        is_piece[places] = False
    flat[is_piece] = np.concatenate(pieces)
    masked = masker.mask_ragged(flat, block_starts, placed.seeds, annotation=_laid_out(annotations, is_piece))

    origin = placed.rows * shape[1] + placed.offsets  # of each block in the flattened batch
    place = np.arange(len(flat)) + np.repeat(origin - block_starts[:-1], full)
    token_ids, segment_ids, padding_mask = (np.zeros(shape, np.int32) for _ in range(3))
    token_ids.reshape(-1)[place] = masked.pieces
    rank = np.arange(len(placed.rows)) - np.searchsorted(placed.rows, placed.rows)  # of a block in its row
    padding_mask.reshape(-1)[place] = np.repeat(rank + 1, full)
    batch = {
        "token_ids": token_ids,
        "segment_ids": segment_ids,
        "padding_mask": padding_mask,
        **_targets(masked, placed, shape[0], max_predictions),
    }
    if placed.second is not None:
        of_second = np.arange(len(flat)) > np.repeat(separators[1], full)
        segment_ids.reshape(-1)[place] = of_second
        batch |= _pair_targets(placed, placed.second.labels, rank, (shape[0], max_pairs))
    return batch


def _laid_out(annotations: Sequence[np.ndarray] | None, is_piece: np.ndarray) -> np.ndarray | None:
    """Returns the annotations of all blocks with 0 at specials: uint8 `(N,)`."""
    if annotations is None:
        return None
    flat = np.zeros(len(is_piece), np.uint8)
    flat[is_piece] = np.concatenate(annotations)
    return flat


def _pair_targets(
    placed: PlacedBlocks, pair_labels: np.ndarray, rank: np.ndarray, shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Lays the pairs of every row out as `(B, P)`; `rank` is each pair's place in its row."""
    positions, labels, weights = np.zeros(shape, np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    positions[placed.rows, rank] = placed.offsets
    labels[placed.rows, rank] = pair_labels
    weights[placed.rows, rank] = 1
    return {"pair_positions": positions, "next_sentence_labels": labels, "pair_weights": weights}


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
