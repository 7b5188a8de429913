"""Tests of packed rows alone; the tests of `RowStream` have whole epochs."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.packed_rows import PackedRows
from spanbert_keras.preprocessing.packing import plan_packing

ROW_LENGTH = 20


@pytest.fixture(params=[2, 3])
def packed(request):
    specials = request.param
    histogram = np.random.default_rng(0).integers(0, 9, ROW_LENGTH - specials + 1)
    histogram[0] = 0
    plan = plan_packing(histogram, ROW_LENGTH, MaskingSettings().budget, specials=specials)
    return PackedRows(histogram, plan, (1, 2))


@pytest.mark.parametrize("epoch", [0, 5])
def test_all_rows_of_an_epoch_have_every_block_once(packed, epoch):
    found = packed.find(np.arange(packed.plan.rows), np.full(packed.plan.rows, epoch))
    assert sorted(found.indices.tolist()) == list(range(packed.histogram.sum()))
    lengths = np.repeat(np.arange(len(packed.histogram)), packed.histogram)
    assert lengths[found.indices].tolist() == found.lengths.tolist()
    ends = found.offsets + found.lengths + packed.plan.specials
    assert ends.max() <= ROW_LENGTH
    follows = np.flatnonzero(np.diff(found.rows) == 0)
    assert (found.offsets[follows + 1] == ends[follows]).all() and follows.size


def test_rows_of_different_epochs_are_found_together(packed):
    index, epochs = np.array([3, 3, 0]), np.array([1, 0, 1])
    together = packed.find(index, epochs)
    for row in range(3):
        alone = packed.find(index[row : row + 1], epochs[row : row + 1])
        assert together.indices[together.rows == row].tolist() == alone.indices.tolist()
    assert together.indices[together.rows == 0].tolist() != together.indices[together.rows == 1].tolist()
