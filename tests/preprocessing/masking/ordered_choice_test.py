"""Choice in random order, against a loop over rows in plain Python."""

import numpy as np
import pytest

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START
from spanbert_keras.preprocessing.masking.ordered_choice import choose_in_random_order
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, find_pieces, find_words
from spanbert_keras.preprocessing.masking.unit_choice import choose_pieces


def make_rows(seed: int, num_rows: int = 40) -> RaggedRows:
    """Returns rows of words of one to five pieces, between specials; some are empty."""
    random = np.random.default_rng(seed)
    kinds: list[int] = []
    starts = [0]
    for _ in range(num_rows):
        kinds.append(SPECIAL)
        for length in random.integers(1, 6, random.integers(0, 30)):
            kinds += [WORD_START, *[CONTINUATION] * (length - 1)]
        kinds.append(SPECIAL)
        starts.append(len(kinds))
    seeds = random.integers(0, 2**32, (num_rows, 2)).astype(np.uint32)
    return RaggedRows(np.zeros(len(kinds), np.int32), np.array(starts), seeds, np.array(kinds, np.uint8))


def chosen_by_a_loop(units, rows, budgets) -> list[int]:
    """Goes through the words of one row after the other, in the order of their numbers."""
    found = []
    for row in range(len(budgets)):
        words = [u for u in range(units.row_starts[row], units.row_starts[row + 1]) if not units.special[u]]
        numbers = {
            u: int(philox.philox_words(rows.seeds[row], (int(units.first[u] - rows.starts[row]), 0, 4, 0))[0])
            for u in words
        }
        left = int(budgets[row])
        for unit in sorted(words, key=lambda u: (numbers[u], u)):
            if units.length[unit] <= left:
                found.append(unit)
                left -= int(units.length[unit])
    return sorted(found)


@pytest.mark.parametrize("share", [0.0, 0.15, 0.6, 1.0])
def test_every_word_that_fits_is_taken_in_random_order(share):
    rows = make_rows(seed=3)
    units = find_words(rows)
    budgets = np.round(share * units.num_pieces).astype(np.int64)
    found = choose_in_random_order(units, rows, budgets, np.zeros(0))
    assert found.tolist() == chosen_by_a_loop(units, rows, budgets)


def test_units_of_one_piece_are_chosen_as_single_pieces_are():
    rows = make_rows(seed=4)
    units = find_pieces(rows)
    budgets = -(-units.num_pieces // 7)
    found = choose_in_random_order(units, rows, budgets, np.zeros(0))
    np.testing.assert_array_equal(found, choose_pieces(units, rows, budgets, np.zeros(0)))


def test_a_word_that_does_not_fit_is_skipped_and_the_next_is_tried():
    kinds = [SPECIAL, WORD_START, CONTINUATION, CONTINUATION, WORD_START, SPECIAL]
    rows = RaggedRows(np.zeros(6, np.int32), np.array([0, 6]), np.zeros((1, 2), np.uint32), np.array(kinds, np.uint8))
    units = find_words(rows)
    for seed in range(20):
        rows.seeds[0, 0] = seed
        assert choose_in_random_order(units, rows, np.array([2]), np.zeros(0)).tolist() == [2]
