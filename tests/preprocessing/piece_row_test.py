"""Rows and their padding."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.preprocessing.piece_row import PieceRow, pad_rows


def make_row(size, seed=0):
    rng = np.random.default_rng(seed)
    return PieceRow(rng.integers(1, 99, size).astype("int32"), rng.integers(0, 2, size).astype("int32"))


def test_a_row_is_as_long_as_its_pieces_and_cannot_be_changed():
    row = make_row(7)
    assert len(row) == 7 and row.cut is False
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.cut = True


@pytest.mark.parametrize("length", [9, 12])
def test_padded_rows_are_the_rows_and_zeros(length):
    rows = [make_row(size, size) for size in (4, 9, 1)]
    batch = pad_rows(rows, length)
    assert sorted(batch) == ["padding_mask", "segment_ids", "token_ids"]
    assert {(value.dtype.name, value.shape) for value in batch.values()} == {("int32", (3, length))}
    for i, row in enumerate(rows):
        rest = [0] * (length - len(row))
        assert batch["token_ids"][i].tolist() == [*row.token_ids.tolist(), *rest]
        assert batch["segment_ids"][i].tolist() == [*row.segment_ids.tolist(), *rest]
        assert batch["padding_mask"][i].tolist() == [1] * len(row) + rest


def test_no_rows_give_an_empty_batch_and_a_row_that_is_too_long_is_not_cut():
    assert pad_rows([], 5)["token_ids"].shape == (0, 5)
    with pytest.raises(ValueError):
        pad_rows([make_row(6)], 5)
