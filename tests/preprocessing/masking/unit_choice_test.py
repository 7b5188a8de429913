"""Choosing units: budgets, specials, independence of rows. The exact choice is checked against a loop in
masking_law_test."""

import numpy as np
import pytest
from scipy import stats

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking import unit_choice
from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, find_pieces, find_words
from spanbert_keras.preprocessing.masking.span_lengths import length_thresholds

THRESHOLDS = length_thresholds(0.2, 10)
HALF = np.array([2**31], np.uint64)
LAWS = {
    "spans": (find_words, unit_choice.choose_spans, THRESHOLDS),
    "pieces": (find_pieces, unit_choice.choose_pieces, THRESHOLDS),
    "mentions": (find_words, unit_choice.choose_mentions, HALF),
}


def make_rows(count=30, seed=0):
    """Rows of 1 to 90 pieces between two specials, with mentions."""
    rng = np.random.default_rng(seed)
    rows = [[SPECIAL, *rng.choice([WORD_START, CONTINUATION], rng.integers(1, 90)), SPECIAL] for _ in range(count)]
    kinds, starts = np.concatenate(rows).astype(np.uint8), np.cumsum([0, *map(len, rows)])
    annotation = rng.choice(np.array([0, 0, 1, 3], np.uint8), len(kinds))
    return RaggedRows(np.zeros(len(kinds), np.int32), starts, philox.fold((1, 2), np.arange(count)), kinds, annotation)


def chosen_pieces(law, rows, budgets):
    """The chosen units, and how many pieces of each row they hold."""
    find_units, choose, thresholds = LAWS[law]
    units = find_units(rows)
    chosen = choose(units, rows, budgets, thresholds)
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


@pytest.mark.parametrize("law", ["spans", "mentions"])
@pytest.mark.parametrize("draws", [(1, 0.0), (64, 1.0)])
def test_the_size_of_rounds_does_not_change_the_choice(law, draws, monkeypatch):
    rows = make_rows()
    budgets = (np.diff(rows.starts) - 2) // 3
    expected = chosen_pieces(law, rows, budgets)[1]
    monkeypatch.setattr(unit_choice, "MIN_DRAWS", draws[0])
    for name in ("SPANS_PER_PIECE", "MENTIONS_PER_PIECE"):
        monkeypatch.setattr(unit_choice, name, draws[1])
    monkeypatch.setattr(unit_choice, "DRAWS_BEFORE_FIT_CHECK", draws[0])
    np.testing.assert_array_equal(chosen_pieces(law, rows, budgets)[1], expected)


def test_a_row_without_a_word_that_fits_gives_up():
    kinds = np.array([SPECIAL, WORD_START, *[CONTINUATION] * 40, SPECIAL], np.uint8)
    rows = RaggedRows(np.zeros(43, np.int32), np.array([0, 43]), np.zeros((1, 2), np.uint32), kinds)
    assert chosen_pieces("spans", rows, np.array([7]))[2].tolist() == [0]


def masked_words(annotation, rate, seeds, budget=3):
    """The words masked in each row of one-piece words with this annotation between two specials."""
    kinds = np.array([SPECIAL, *[WORD_START] * len(annotation), SPECIAL], np.uint8)
    values = np.array([0, *annotation, 0], np.uint8)
    count = len(seeds)
    starts = np.arange(count + 1) * len(kinds)
    pieces = np.zeros(count * len(kinds), np.int32)
    rows = RaggedRows(pieces, starts, seeds, np.tile(kinds, count), np.tile(values, count))
    thresholds = np.array([int(rate * 2**32)], np.uint64)
    units = find_words(rows)
    chosen = unit_choice.choose_mentions(units, rows, np.full(count, budget), thresholds)
    masked = np.zeros((count, len(kinds)), bool)
    masked.reshape(-1)[chosen] = True
    return masked[:, 1:-1]


def bytes_of(length, *mentions):
    """An annotation with these mentions, each (first piece, pieces)."""
    values = np.zeros(length, np.uint8)
    for first, pieces in mentions:
        values[first : first + pieces] = [3, *[1] * (pieces - 1)]
    return values


@pytest.mark.parametrize("mention", [(5, 3), (5, 5)])  # A longer one is cut where the budget ends.
def test_at_a_rate_of_one_the_only_mention_is_masked_under_every_seed(mention):
    masked = masked_words(bytes_of(20, mention), 1, philox.fold((3, 4), np.arange(200)))
    assert [np.flatnonzero(row).tolist() for row in masked] == [[5, 6, 7]] * 200


@pytest.mark.parametrize(("rate", "mentions"), [(0, [(5, 3), (12, 1)]), (0.5, []), (1, [])])
def test_without_mentions_the_choice_is_that_of_whole_words(rate, mentions):
    seeds = philox.fold((3, 5), np.arange(300))
    masked = masked_words(bytes_of(20, *mentions), rate, seeds)
    kinds = np.tile(np.array([SPECIAL, *[WORD_START] * 20, SPECIAL], np.uint8), 300)
    rows = RaggedRows(np.zeros(len(kinds), np.int32), np.arange(301) * 22, seeds, kinds)
    expected = unit_choice.choose_spans(find_words(rows), rows, np.full(300, 3), length_thresholds(0.2, 1))
    np.testing.assert_array_equal(np.flatnonzero(np.pad(masked, ((0, 0), (1, 1)))), expected)


@pytest.mark.parametrize(("count", "length", "share"), [(10, 2, 0.669), (10, 1, 0.442), (1, 3, 0.199)])
def test_the_share_of_masked_words_inside_mentions(count, length, share):
    annotation = bytes_of(100, *((10 * i + 4, length) for i in range(count)))
    masked = masked_words(annotation, 0.5, philox.fold((6, 7), np.arange(60_000)), budget=15)
    assert masked.sum(axis=1).tolist() == [15] * 60_000
    assert abs(masked[:, annotation > 0].sum() / masked.sum() - share) < 0.005


def test_mentions_and_words_are_drawn_uniformly():
    # The first draw alone: a budget of one piece, mentions of one word.
    annotation = bytes_of(20, (0, 1), (7, 1), (8, 1), (19, 1))
    counts = masked_words(annotation, 0.5, philox.fold((8, 9), np.arange(40_000)), budget=1).sum(axis=0)
    expected = 40_000 * (0.5 / 20 + np.where(annotation > 0, 0.5 / 4, 0))
    assert stats.chisquare(counts, expected).pvalue > 1e-3
