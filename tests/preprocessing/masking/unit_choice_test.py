"""Choosing units: budgets, specials, independence of rows. The exact choice is checked against a loop in
masking_law_test."""

import numpy as np
import pytest

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking import unit_choice
from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, find_pieces, find_words
from spanbert_keras.preprocessing.masking.span_lengths import length_thresholds

THRESHOLDS = length_thresholds(0.2, 10)
LAWS = {"spans": (find_words, unit_choice.choose_spans), "pieces": (find_pieces, unit_choice.choose_pieces)}


def make_rows(count=30, seed=0):
    """Rows of 1 to 90 pieces between two specials."""
    rng = np.random.default_rng(seed)
    rows = [[SPECIAL, *rng.choice([WORD_START, CONTINUATION], rng.integers(1, 90)), SPECIAL] for _ in range(count)]
    kinds, starts = np.concatenate(rows).astype(np.uint8), np.cumsum([0, *map(len, rows)])
    return RaggedRows(np.zeros(len(kinds), np.int32), starts, philox.fold((1, 2), np.arange(count)), kinds)


def chosen_pieces(law, rows, budgets):
    """The chosen units, and how many pieces of each row they hold."""
    find_units, choose = LAWS[law]
    units = find_units(rows)
    chosen = choose(units, rows, budgets, THRESHOLDS)
    row = np.searchsorted(units.row_starts, chosen, side="right") - 1
    return units, chosen, np.bincount(row, weights=units.length[chosen], minlength=len(budgets)).astype(int)


@pytest.mark.parametrize("law", LAWS)
def test_budgets_are_kept_and_no_special_is_chosen(law):
    rows = make_rows()
    budgets = np.arange(30) % 4 * (np.diff(rows.starts) > 6)
    units, chosen, sizes = chosen_pieces(law, rows, budgets)
    assert (np.diff(chosen) > 0).all() and not units.special[chosen].any()
    assert (sizes <= budgets).all() and sizes.sum() > 0
    assert (sizes[budgets == 0] == 0).all()


def test_single_pieces_spend_the_whole_budget():
    rows = make_rows()
    budgets = (np.diff(rows.starts) - 2 + 1) // 2
    np.testing.assert_array_equal(chosen_pieces("pieces", rows, budgets)[2], budgets)


@pytest.mark.parametrize("draws", [(1, 1000), (64, 1)])
def test_the_size_of_rounds_does_not_change_the_choice(draws, monkeypatch):
    rows = make_rows()
    budgets = (np.diff(rows.starts) - 2) // 3
    expected = chosen_pieces("spans", rows, budgets)[1]
    monkeypatch.setattr(unit_choice, "MIN_DRAWS", draws[0])
    monkeypatch.setattr(unit_choice, "PIECES_PER_DRAW", draws[1])
    monkeypatch.setattr(unit_choice, "DRAWS_BEFORE_FIT_CHECK", draws[0])
    np.testing.assert_array_equal(chosen_pieces("spans", rows, budgets)[1], expected)


def test_a_row_without_a_word_that_fits_gives_up():
    kinds = np.array([SPECIAL, WORD_START, *[CONTINUATION] * 40, SPECIAL], np.uint8)
    rows = RaggedRows(np.zeros(43, np.int32), np.array([0, 43]), np.zeros((1, 2), np.uint32), kinds)
    assert chosen_pieces("spans", rows, np.array([7]))[2].tolist() == [0]
