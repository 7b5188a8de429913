"""Rows cut into words or single pieces; specials are units of their own."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START
from spanbert_keras.preprocessing.masking.row_units import (
    RaggedRows,
    consecutive,
    find_mentions,
    find_pieces,
    find_words,
)

KINDS = {"w": WORD_START, "c": CONTINUATION, "s": SPECIAL}


def make_rows(*rows, annotation=None):
    """Rows spelled as letters: "swcs" is [CLS], a word of two pieces, [SEP]; the annotation as digits."""
    kinds = np.array([KINDS[letter] for row in rows for letter in row], np.uint8)
    starts = np.cumsum([0, *map(len, rows)])
    seeds, values = np.zeros((len(rows), 2), np.uint32), annotation and np.array([*map(int, annotation)], np.uint8)
    return RaggedRows(np.arange(len(kinds), dtype=np.int32), starts, seeds, kinds, values)


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


def mentions_of(*rows, annotation):
    """Each mention as (first unit, units), and the mentions of each row."""
    made = make_rows(*rows, annotation=annotation)
    mentions = find_mentions(made, find_words(made))
    return list(zip(mentions.first.tolist(), mentions.length.tolist(), strict=True)), np.diff(mentions.row_starts)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("3131", [(0, 2), (2, 2)]),
        ("3111", [(0, 4)]),
        ("1101", [(0, 2), (3, 1)]),
        ("0000", []),
        ("0330", [(1, 1), (2, 1)]),
        ("0220", []),  # The first piece of a mention lies in it.
    ],
)
def test_mentions_are_runs_that_a_first_piece_splits(annotation, expected):
    assert mentions_of("wwww", annotation=annotation)[0] == expected


def test_labels_do_not_split_mentions():
    made = make_rows("wwww", annotation="0000")
    rows = dataclasses.replace(made, annotation=np.array([3 + 4 * 63, 1 + 4, 0, 1 + 8], np.uint8))
    assert find_mentions(rows, find_words(rows)).length.tolist() == [2, 1]


def test_mentions_are_extended_to_whole_words():
    assert mentions_of("wccwcw", annotation="011110")[0] == [(0, 2)]
    assert mentions_of("wccwcw", annotation="313300")[0] == [(0, 1), (0, 1), (1, 1)]


def test_a_row_and_a_special_begin_a_mention():
    found, counts = mentions_of("www", "", "www", annotation="011111")
    assert found == [(1, 2), (3, 3)] and counts.tolist() == [1, 0, 1]
    assert mentions_of("swwsws", annotation="111111")[0] == [(1, 2), (4, 1)]


def test_consecutive_numbers_run_from_each_start():
    assert consecutive(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
