"""Tests of blocks in a batch: each is what the masker makes of it alone; `BatchStream`'s tests have longer batches."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.preprocessing.masked_batch import masked_batch
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.row_stream import PlacedBlocks, SecondSegments

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


class Recording:
    """A masker that masks nothing and keeps what it was given."""

    def __init__(self, masker):
        self.masker = masker

    def mask_ragged(self, pieces, row_starts, seeds, annotation=None):
        self.pieces, self.row_starts, self.annotation = pieces, row_starts, annotation
        return self.masker.mask_ragged(pieces, row_starts, seeds)


def test_pairs_have_two_segments_and_are_masked_as_one_block(toy_tokenizer):
    masker = Recording(SpanMasker(tokenizer=toy_tokenizer, masking_rate=0.3))
    second = SecondSegments(np.array([90, 80, 70]), np.array([3, 1, 4]), np.array([0, 1, 1]))
    placed = dataclasses.replace(PLACED, offsets=np.array([0, 0, 10]), second=second)
    pieces = [np.random.default_rng(i).integers(5, 50, length) for i, length in enumerate(placed.lengths)]
    batch = masked_batch(placed, pieces, masker, (2, 3), (ROWS, LENGTH), PREDICTIONS, 2)
    laid_out = np.zeros((ROWS, LENGTH), int)
    segments, numbers = np.zeros((ROWS, LENGTH), int), np.zeros((ROWS, LENGTH), int)
    blocks = []
    for i, (row, offset, b) in enumerate(zip(placed.rows, placed.offsets, second.lengths, strict=True)):
        block = [2, *pieces[i][:-b], 3, *pieces[i][-b:], 3]
        blocks.append(block)
        laid_out[row, offset : offset + len(block)] = block
        segments[row, offset + len(block) - 1 - b : offset + len(block)] = 1
        numbers[row, offset : offset + len(block)] = 1 + (offset > 0)
    assert masker.pieces.tolist() == sum(blocks, [])
    assert np.diff(masker.row_starts).tolist() == list(map(len, blocks))
    assert batch["segment_ids"].tolist() == segments.tolist()
    assert batch["padding_mask"].tolist() == numbers.tolist()
    restored = batch["token_ids"].copy()
    for row, column in zip(*np.nonzero(batch["mask_weights"]), strict=True):
        restored[row, batch["mask_positions"][row, column]] = batch["mask_ids"][row, column]
    assert restored.tolist() == laid_out.tolist()
    assert batch["mask_weights"].sum(1).tolist() == [3, 0, 5]  # ceil(0.3 x 7), and that of 7 and 5: both segments
    assert batch["pair_positions"].tolist() == [[0, 0], [0, 0], [0, 10]]
    assert batch["next_sentence_labels"].tolist() == [[0, 0], [0, 0], [1, 1]]
    assert batch["pair_weights"].tolist() == [[1, 0], [0, 0], [1, 1]]
    kinds = {"segment_ids": "int32", "pair_positions": "int32", "next_sentence_labels": "int32"}
    assert all(batch[name].dtype == kind for name, kind in {**kinds, "pair_weights": "float32"}.items())


def test_spans_that_touch_the_middle_separator_have_boundary_targets(toy_tokenizer):
    masker = SpanMasker(tokenizer=toy_tokenizer, masking_rate=1.0)
    second = SecondSegments(np.array([90]), np.array([3]), np.array([0]))
    one = np.zeros(1, np.int64)
    placed = PlacedBlocks(one, one + 4, one, one + 5, np.array([[1, 2]], np.uint32), second)
    batch = masked_batch(placed, [np.array([50, 9, 51, 9, 9])], masker, (2, 3), (1, 14), 6, 1)
    assert batch["mask_positions"].tolist() == [[5, 6, 8, 9, 10, 0]]  # [CLS] is 4, [SEP] 7 and 11
    assert batch["left_positions"].tolist() == [[4, 4, 7, 7, 7, 0]]
    assert batch["right_positions"].tolist() == [[7, 7, 11, 11, 11, 0]]
    assert batch["span_offsets"].tolist() == [[0, 1, 0, 1, 2, 0]]
    assert batch["span_weights"].tolist() == [[1, 1, 1, 1, 1, 0]]


@pytest.mark.parametrize("paired", [False, True])
def test_annotations_are_laid_out_as_pieces_are_with_0_at_specials(toy_tokenizer, paired):
    masker = Recording(SpanMasker(tokenizer=toy_tokenizer))
    second = SecondSegments(np.array([90, 80, 70]), np.array([3, 1, 4]), np.array([0, 1, 1]))
    placed = dataclasses.replace(PLACED, offsets=np.array([0, 0, 10]), second=second if paired else None)
    pieces = [np.full(length, 9) for length in placed.lengths]
    annotations = [np.arange(1, length + 1, dtype=np.uint8) for length in placed.lengths]
    masked_batch(placed, pieces, masker, (2, 3), (ROWS, LENGTH), PREDICTIONS, 2, annotations)
    assert masker.annotation.dtype == np.uint8
    expected = [[0, *range(1, length + 1), 0] for length in placed.lengths]
    if paired:
        parts = zip(placed.lengths.tolist(), second.lengths.tolist(), strict=True)
        expected = [[0, *range(1, n - b + 1), 0, *range(n - b + 1, n + 1), 0] for n, b in parts]
    assert masker.annotation.tolist() == sum(expected, [])
    masked_batch(placed, pieces, masker, (2, 3), (ROWS, LENGTH), PREDICTIONS, 2)
    assert masker.annotation is None
