"""Tests of the packing plan: every block placed once, no row too long, little padding."""

import time

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.packing import most_predictions, plan_packing, plan_single_blocks
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK

budget = MaskingSettings().budget


def placed(plan):
    """Returns how many blocks of each length an epoch's rows hold."""
    found = np.zeros(plan.row_length - SPECIALS_PER_BLOCK + 1, np.int64)
    for template, count in zip(plan.templates, plan.counts.tolist(), strict=True):
        for length in template:
            found[length] += count
    return found


def paragraphs(row_length, count=50_000, mean=68.0, sigma=0.8):
    """Returns the histogram of blocks of documents with lognormal lengths, cut at `row_length`."""
    lengths = np.random.default_rng(1).lognormal(np.log(mean) - sigma**2 / 2, sigma, count).astype(int) + 1
    return histogram_of(lengths, row_length)


def histogram_of(lengths, row_length):
    longest = row_length - SPECIALS_PER_BLOCK
    full, rest = np.divmod(lengths, longest)
    histogram = np.bincount(rest, minlength=longest + 1)
    histogram[0] = 0
    histogram[longest] += full.sum()
    return histogram


def check(plan, histogram):
    assert placed(plan).tolist() == histogram.tolist()
    for template in plan.templates:
        assert sum(template) + SPECIALS_PER_BLOCK * len(template) <= plan.row_length
        assert int(budget(np.array(template)).sum()) <= plan.max_predictions
        assert list(template) == sorted(template, reverse=True)
    assert (plan.counts > 0).all()


@pytest.mark.parametrize("row_length", [128, 512])
def test_padding_of_paragraphs_is_below_5_percent(row_length):
    histogram = paragraphs(row_length)
    began = time.process_time()
    plan = plan_packing(histogram, row_length, budget)
    assert time.process_time() - began < 20
    check(plan, histogram)
    assert plan.padding_share < 0.05
    assert plan.max_predictions <= int(budget(row_length - SPECIALS_PER_BLOCK)) * 1.06 + 1


@pytest.mark.parametrize("row_length", [128, 512])
@pytest.mark.parametrize("documents", [40, 3000])
def test_padding_of_long_documents_is_below_5_percent(row_length, documents):
    histogram = histogram_of(np.random.default_rng(2).integers(3000, 9000, documents), row_length)
    plan = plan_packing(histogram, row_length, budget)
    check(plan, histogram)
    assert plan.padding_share < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_every_block_is_placed_exactly_once(seed):
    random = np.random.default_rng(seed)
    row_length = int(random.integers(5, 40))
    histogram = random.integers(0, 9, row_length - SPECIALS_PER_BLOCK + 1) * random.integers(
        0, 2, row_length - SPECIALS_PER_BLOCK + 1
    )
    histogram[0] = 0
    histogram[-1] += 1
    plan = plan_packing(histogram, row_length, budget)
    check(plan, histogram)
    assert plan.rows == plan.counts.sum() <= histogram.sum()


def test_padding_share_counts_the_places_without_a_piece():
    histogram = np.zeros(9, np.int64)
    histogram[[5, 8]] = 1  # rows of 10: one of 8 + 2, one of 5 + 2
    plan = plan_packing(histogram, 10, budget)
    assert sorted(plan.templates) == [(5,), (8,)]
    assert plan.padding_share == pytest.approx(3 / 20)


def test_short_blocks_share_a_row():
    histogram = np.zeros(31, np.int64)
    histogram[[20, 8]] = [3, 3]
    plan = plan_packing(histogram, 32, budget)
    assert plan.templates == [(20, 8)]
    assert plan.counts.tolist() == [3]
    assert plan.padding_share == 0.0


def test_masked_pieces_limit_what_shares_a_row():
    histogram = np.zeros(127, np.int64)
    histogram[1] = 40  # each needs one masked piece: 20 % slack aside no more than in a full row
    plan = plan_packing(histogram, 128, budget)
    check(plan, histogram)
    assert plan.max_predictions == int(budget(126)) + 1 == 20


def test_no_blocks_make_no_rows():
    plan = plan_packing(np.zeros(7, np.int64), 8, budget)
    assert plan.rows == 0
    assert plan.padding_share == 1.0
    assert plan.max_predictions >= 1


@pytest.mark.parametrize("row_length", [3, 8, 128])
@pytest.mark.parametrize("slack", [0.06, 0.25, 1.0])
def test_no_blocks_need_more_masked_pieces_than_the_bound(row_length, slack):
    bound = most_predictions(row_length, budget, slack)
    full_block = int(budget(row_length - SPECIALS_PER_BLOCK))
    assert full_block < bound <= max(full_block * (1 + slack), full_block + 1)
    for length in range(1, row_length - SPECIALS_PER_BLOCK + 1):
        histogram = np.zeros(row_length - SPECIALS_PER_BLOCK + 1, np.int64)
        histogram[length] = 500
        plan = plan_packing(histogram, row_length, budget, slack)
        check(plan, histogram)
        assert plan.max_predictions <= bound
    ones = np.eye(row_length - SPECIALS_PER_BLOCK + 1, dtype=np.int64)[1] * 500  # one masked piece of three places
    assert plan_packing(ones, row_length, budget, slack).max_predictions == min(bound, row_length // 3)


def test_single_blocks_have_a_row_each():
    histogram = np.array([0, 3, 0, 0, 2, 0, 1])
    plan = plan_single_blocks(histogram, 8, budget)
    check(plan, histogram)
    assert plan.templates == [(1,), (4,), (6,)] and plan.counts.tolist() == [3, 2, 1]
    assert plan.max_predictions == int(budget(6))
    assert plan_single_blocks(np.zeros(7, np.int64), 8, budget).rows == 0


def test_specials_of_a_block_are_an_argument():
    histogram = np.zeros(30, np.int64)
    histogram[[18, 8]] = [3, 3]  # 18 + 3 and 8 + 3 make 32
    plan = plan_packing(histogram, 32, budget, specials=3)
    assert plan.templates == [(18, 8)] and plan.padding_share == 0.0 and plan.specials == 3
    histogram[9], histogram[8] = 3, 0
    assert plan_packing(histogram, 32, budget, specials=3).templates == [(9,), (9, 9), (18,)]
    assert most_predictions(128, budget, 0.06, 3) == int(budget(125)) + 1
    single = plan_single_blocks(histogram, 32, budget, 3)
    assert single.templates == [(9,), (18,)] and single.max_predictions == int(budget(29)) and single.specials == 3


def test_rows_can_be_split_to_hold_fewer_blocks():
    histogram = np.zeros(31, np.int64)
    histogram[[3, 20]] = [40, 5]
    plan = plan_packing(histogram, 32, budget, 1.0)
    assert plan.max_blocks > 2
    split = plan.with_limits(9, 2)
    check(split, histogram)
    assert split.max_blocks == 2 and split.max_predictions == 9 and split.specials == plan.specials
    assert plan.with_limits(9, 99).templates == plan.templates
