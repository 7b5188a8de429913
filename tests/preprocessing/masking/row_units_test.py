"""Rows cut into words or single pieces; specials are units of their own."""

import numpy as np

from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, consecutive, find_pieces, find_words

KINDS = {"w": WORD_START, "c": CONTINUATION, "s": SPECIAL}


def make_rows(*rows):
    """Rows spelled as letters: "swcs" is [CLS], a word of two pieces, [SEP]."""
    kinds = np.array([KINDS[letter] for row in rows for letter in row], np.uint8)
    starts = np.cumsum([0, *map(len, rows)])
    return RaggedRows(np.arange(len(kinds), dtype=np.int32), starts, np.zeros((len(rows), 2), np.uint32), kinds)


def test_words_hold_their_continuations_and_specials_are_single():
    units = find_words(make_rows("swccws", "sws"))
    assert units.first.tolist() == [0, 1, 4, 5, 6, 7, 8]
    assert units.length.tolist() == [1, 3, 1, 1, 1, 1, 1]
    assert units.special.tolist() == [True, False, False, True, True, False, True]
    assert units.choosable.tolist() == [1, 2, 5]
    assert units.row_starts.tolist() == [0, 4, 7]
    assert units.row_choosable.tolist() == [0, 2, 3]
    assert units.num_pieces.tolist() == [4, 1]


def test_a_continuation_begins_a_word_at_a_rows_start_and_after_a_special():
    assert find_words(make_rows("cw", "scc")).first.tolist() == [0, 1, 2, 3]
    assert find_words(make_rows("cw", "scc")).length.tolist() == [1, 1, 1, 2]


def test_pieces_are_units_of_length_one():
    units = find_pieces(make_rows("swccs", "", "c"))
    assert units.length.tolist() == [1] * 6
    assert units.choosable.tolist() == [1, 2, 3, 5]
    assert units.row_choosable.tolist() == [0, 3, 3, 4]
    assert units.num_pieces.tolist() == [3, 0, 1]


def test_flat_indices_are_located_in_their_rows():
    row, position = make_rows("sws", "", "ws").locate(np.array([1, 2, 3, 4]))
    assert row.tolist() == [0, 0, 2, 2]
    assert position.tolist() == [1, 2, 0, 1]


def test_consecutive_numbers_run_from_each_start():
    assert consecutive(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
