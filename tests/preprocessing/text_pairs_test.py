"""Texts and pairs to rows: by hand on a toy vocabulary, cut as a loop that pops piece by piece cuts."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.text_pairs import TextPairs

CLS, SEP = 2, 3


def text(ids):
    """Text of toy words with these ids, 5 to 49."""
    return " ".join(f"w{i - 5}" for i in ids)


def popped(first, second, room):
    """Pieces are popped from the longer text, one by one; of two equally long ones from the second."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        (first if len(first) > len(second) else second).pop()
    return first, second


def test_a_text_and_a_pair_by_hand(toy_tokenizer):
    pairs = TextPairs(toy_tokenizer, 9)
    single = pairs.rows(["w0 w1e0", ""])
    assert [row.token_ids.tolist() for row in single] == [[CLS, 5, 6, 50, SEP], [CLS, SEP]]
    assert [row.segment_ids.tolist() for row in single] == [[0] * 5, [0] * 2]
    row = pairs.rows(["w0"], ["w1e0"])[0]
    assert row.token_ids.tolist() == [CLS, 5, SEP, 6, 50, SEP] and row.segment_ids.tolist() == [0, 0, 0, 1, 1, 1]
    assert not row.cut and {row.token_ids.dtype.name, row.segment_ids.dtype.name} == {"int32"}
    assert pairs.rows([""], [""])[0].token_ids.tolist() == [CLS, SEP, SEP]
    assert pairs.rows([]) == pairs.rows([], []) == []


@pytest.mark.parametrize("row_length", [5, 6, 9, 10, 17])
def test_pairs_are_cut_as_the_loop_that_pops_cuts_them(toy_tokenizer, row_length):
    rng, pairs = np.random.default_rng(row_length), TextPairs(toy_tokenizer, row_length)
    sizes = [(a, b) for a in range(19) for b in range(19)]
    given = [tuple(rng.integers(5, 50, size).tolist() for size in both) for both in sizes]
    rows = pairs.rows([text(a) for a, _ in given], [text(b) for _, b in given])
    for (first, second), row in zip(given, rows, strict=True):
        a, b = popped(first, second, row_length - 3)
        assert row.token_ids.tolist() == [CLS, *a, SEP, *b, SEP]
        assert row.segment_ids.tolist() == [0] * (len(a) + 2) + [1] * (len(b) + 1)
        assert row.cut == (len(first) + len(second) > row_length - 3)


def test_a_long_text_loses_its_end_and_is_marked_as_cut(toy_tokenizer):
    ids = list(range(5, 25))
    for size in range(1, 21):
        row = TextPairs(toy_tokenizer, 12).rows([text(ids[:size])])[0]
        assert row.token_ids.tolist() == [CLS, *ids[: min(size, 10)], SEP] and row.cut == (size > 10)


def test_an_encoder_of_one_segment_gets_no_second(toy_tokenizer):
    assert not TextPairs(toy_tokenizer, 20, num_segments=1).rows(["w0 w1"], ["w2"])[0].segment_ids.any()
    assert TextPairs(toy_tokenizer, 20, num_segments=4).rows(["w0"], ["w2"])[0].segment_ids.tolist() == [0, 0, 0, 1, 1]


def test_as_many_seconds_as_firsts_and_room_for_both(toy_tokenizer):
    with pytest.raises(ValueError):
        TextPairs(toy_tokenizer, 9).rows(["w0", "w1"], ["w2"])
    with pytest.raises(ValueError, match="of at least 5. Received: row_length=4"):
        TextPairs(toy_tokenizer, 4)
