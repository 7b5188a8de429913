"""Tests of blocks in a batch: each is what the masker makes of it alone; `BatchStream`'s tests have longer batches."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.masked_batch import masked_batch
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.row_stream import PlacedBlocks

ROWS, LENGTH, PREDICTIONS = 3, 20, 7
PLACED = PlacedBlocks(
    rows=np.array([0, 2, 2]),
    offsets=np.array([0, 0, 9]),
    starts=np.array([4, 0, 11]),
    lengths=np.array([7, 7, 5]),
    seeds=np.array([[1, 2], [3, 4], [5, 6]], np.uint32),
)
PLACES = ("mask_positions", "left_positions", "right_positions")


@pytest.mark.parametrize("rate, words", [(0.15, 45), (0.3, 45), (0.3, 1)])
def test_every_block_is_masked_alone_and_moved_to_its_place(toy_tokenizer, rate, words):
    masker = SpanMasker(tokenizer=toy_tokenizer, masking_rate=rate, max_predictions=PREDICTIONS)
    pieces = [np.random.default_rng(i).integers(5, 5 + words, length) for i, length in enumerate(PLACED.lengths)]
    batch = masked_batch(PLACED, pieces, masker, (2, 3), (ROWS, LENGTH), PREDICTIONS)
    expected = {name: np.zeros_like(values) for name, values in batch.items()}
    filled = [0] * ROWS
    for i, (row, offset, length) in enumerate(zip(PLACED.rows, PLACED.offsets, PLACED.lengths, strict=True)):
        block = np.concatenate([[2], pieces[i], [3]]).astype(np.int32)
        alone = masker({"token_ids": block, "padding_mask": np.ones_like(block)}, seed=PLACED.seeds[i])
        expected["token_ids"][row, offset : offset + length + 2] = alone["token_ids"]
        expected["padding_mask"][row, offset : offset + length + 2] = 1 + (offset > 0)
        count = int(alone["mask_weights"].sum())
        for name in set(batch) - {"token_ids", "segment_ids", "padding_mask"}:
            moved = alone[name][:count] + (offset if name in PLACES else 0)
            expected[name][row, filled[row] : filled[row] + count] = moved
        filled[row] += count
    assert max(filled) > 1 and not any(values[1].any() for values in batch.values())
    for name, values in batch.items():
        assert values.tolist() == expected[name].tolist(), name
        assert values.dtype == (np.float32 if name.endswith("weights") else np.int32)
