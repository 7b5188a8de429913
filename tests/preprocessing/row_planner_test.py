"""Tests of the choice of a packing, and of one shape for several sets of blocks."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.packing import most_predictions, plan_packing, plan_single_blocks
from spanbert_keras.preprocessing.row_planner import MAX_PADDING_SHARE, RowPlanner

budget = MaskingSettings().budget


def histogram(seed, size=62, most=9):
    drawn = np.random.default_rng(seed).integers(0, most, size)
    drawn[0] = 0
    return drawn


def test_the_least_slack_that_pads_little_is_chosen():
    ones = np.zeros(127, np.int64)
    ones[3] = 4000  # each block needs one masked piece and five places
    plan = RowPlanner(128, budget).plan(ones)
    assert plan.padding_share < MAX_PADDING_SHARE
    assert plan_packing(ones, 128, budget, 0.25).padding_share >= MAX_PADDING_SHARE
    assert plan.templates == plan_packing(ones, 128, budget, 0.5).templates
    full = np.zeros(127, np.int64)
    full[126] = 5
    assert RowPlanner(128, budget).plan(full).templates == plan_packing(full, 128, budget).templates


@pytest.mark.parametrize("specials", [2, 3])
def test_without_packing_every_block_has_its_row(specials):
    blocks = histogram(0, 65 - specials)
    planner = RowPlanner(64, budget, packing=False, specials=specials)
    expected = plan_single_blocks(blocks, 64, budget, specials)
    for plan in (planner.plan(blocks), planner.plan_of_first_copy(blocks)[0]):
        assert plan.templates == expected.templates
        assert plan.max_predictions == expected.max_predictions == int(budget(64 - specials))
        assert plan.max_blocks == 1


def test_plans_of_all_copies_have_one_shape_and_every_block_once():
    first = np.zeros(62, np.int64)
    first[40] = first[18] = 30  # two blocks a row
    planner = RowPlanner(64, budget, specials=3)
    plan, plan_copy = planner.plan_of_first_copy(first)
    assert plan.max_blocks == 2 and plan.templates == planner.plan(first).templates
    for seed in range(5):
        later = histogram(seed) + 5 * (np.arange(62) < 6) * (np.arange(62) > 0)  # of many short blocks
        assert planner.plan(later).max_blocks > 2
        copy = plan_copy(later)
        assert copy.max_blocks <= 2
        assert copy.max_predictions == plan.max_predictions == most_predictions(64, budget, 0.06, 3)
        placed = np.zeros(62, np.int64)
        for template, count in zip(copy.templates, copy.counts.tolist(), strict=True):
            assert sum(template) + 3 * len(template) <= 64
            assert int(budget(np.array(template)).sum()) <= plan.max_predictions
            np.add.at(placed, list(template), count)
        assert placed.tolist() == later.tolist()
