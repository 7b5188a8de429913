"""Spans of windows against all pairs, BERT's window rule against a loop, candidates against plain sums."""

import math

import numpy as np
import pytest

from spanbert_keras.decoding.answer_spans import Candidates, best_spans, max_context, merge


def slow_spans(start_logits, end_logits, may_start, max_length, count):
    """Every pair, sorted by logit, start and end."""
    pairs = [
        (-(float(start_logits[i]) + float(end_logits[j])), i, j)
        for i in range(len(start_logits))
        for j in range(i, len(end_logits))
        if may_start[i] and j - i + 1 <= max_length
    ]
    return [(i, j, -negative) for negative, i, j in sorted(pairs)[:count]]


def as_triples(found):
    assert [array.dtype for array in found] == [np.dtype(kind) for kind in ("int64", "int64", "float64")]
    return list(zip(*(array.tolist() for array in found), strict=True))


@pytest.mark.parametrize("pieces", [1, 2, 5, 23, 40])
@pytest.mark.parametrize("max_length", [1, 3, 30])
@pytest.mark.parametrize("count", [1, 20, 600])
def test_the_best_spans_are_those_of_all_pairs(pieces, max_length, count):
    rng = np.random.default_rng(pieces * 1000 + max_length)
    for _ in range(5):
        starts, ends = rng.normal(0.0, 3.0, (2, pieces)).astype("float32")
        may_start = rng.random(pieces) < 0.7
        expected = slow_spans(starts, ends, may_start, max_length, count)
        assert as_triples(best_spans(starts, ends, may_start, max_length, count)) == expected


def test_equal_spans_come_by_position():
    """Whole numbers make ties; where the last of equals are cut off any of them may stay, but the order is fixed."""
    rng = np.random.default_rng(1)
    for _ in range(50):
        starts, ends = rng.integers(0, 3, (2, 9)).astype("float32")
        every = slow_spans(starts, ends, [True] * 9, 4, 99)
        assert as_triples(best_spans(starts, ends, np.ones(9, bool), 4, 99)) == every
        found = as_triples(best_spans(starts, ends, np.ones(9, bool), 4, 7))
        assert [logit for *_, logit in found] == [logit for *_, logit in every[:7]]
        assert found == sorted(found, key=lambda span: (-span[2], span[0], span[1])) and set(found) <= set(every)


def test_fewer_spans_than_asked_for_are_all_returned():
    found = best_spans(np.zeros(3), np.zeros(3), np.array([True, False, True]), 2, 20)
    assert as_triples(found) == [(0, 0, 0.0), (0, 1, 0.0), (2, 2, 0.0)]


def test_no_span_starts_where_none_may():
    assert [len(array) for array in best_spans(np.zeros(4), np.zeros(4), np.zeros(4, bool), 3)] == [0, 0, 0]


def test_twenty_spans_are_the_default():
    assert len(best_spans(np.arange(9.0), np.zeros(9), np.ones(9, bool), 5)[0]) == 20


def test_the_longest_span_has_max_length_pieces():
    ends = np.zeros(12)
    ends[11] = 5.0
    starts = np.zeros(12)
    starts[4] = 9.0
    for max_length, best in ((7, (4, 4)), (8, (4, 11)), (9, (4, 11))):
        found = best_spans(starts, ends, np.ones(12, bool), max_length)
        assert (found[0][0], found[1][0]) == best


def test_a_good_span_of_middling_ends_is_found_after_twenty_better_starts():
    """The released code pairs the 20 best starts and ends alone; here the only pair that fits is the 21st of both."""
    pieces = 60
    starts, ends = np.full(pieces, -50.0), np.full(pieces, -50.0)
    starts[40:], ends[:20] = 10.0, 10.0  # ends before starts: no pair of these
    starts[25] = ends[27] = 9.0
    found = best_spans(starts, ends, np.ones(pieces, bool), 5)
    assert (found[0][0], found[1][0], found[2][0]) == (25, 27, 18.0)


def test_logits_add_up_in_float64():
    starts, ends = np.array([16777216.0], "float32"), np.array([1.0], "float32")
    assert best_spans(starts, ends, np.ones(1, bool), 1)[2].tolist() == [16777217.0]


def slow_max_context(begins, ends):
    """BERT's `_check_is_max_context`, for each window and piece."""
    spans = [(begin, end - begin) for begin, end in zip(begins, ends, strict=True)]
    result = []
    for number, (start, length) in enumerate(spans):
        row = []
        for position in range(start, start + length):
            best_score = best_index = None
            for index, (other, size) in enumerate(spans):
                end = other + size - 1
                if position < other or position > end:
                    continue
                score = min(position - other, end - position) + 0.01 * size
                if best_score is None or score > best_score:
                    best_score, best_index = score, index
            row.append(number == best_index)
        result.append(row)
    return result


@pytest.mark.parametrize(
    "total, room, stride", [(9, 9, 4), (10, 9, 4), (57, 13, 5), (57, 13, 13), (58, 12, 5), (31, 7, 1)]
)
def test_each_piece_may_start_an_answer_only_in_its_best_window(total, room, stride):
    begins = [0]
    while begins[-1] + room < total:
        begins.append(begins[-1] + stride)
    ends = [min(total, begin + room) for begin in begins]
    found = max_context(begins, ends)
    assert [part.tolist() for part in found] == slow_max_context(begins, ends)
    owners = np.zeros(total, int)
    for begin, end, part in zip(begins, ends, found, strict=True):
        assert part.dtype == bool
        owners[begin:end] += part
    assert (owners == 1).all()


def test_berts_own_example_of_max_context():
    """Of "the man went to the store and bought a gallon of milk", "bought" has most context in the middle window."""
    found = max_context([0, 3, 6], [5, 8, 11])  # the man went to the | to the store and bought | and bought a gallon of
    assert [part.tolist() for part in found] == slow_max_context([0, 3, 6], [5, 8, 11])
    assert (found[1][4], found[2][1]) == (False, True)


def candidates(logits, null):
    logits = np.array(logits, np.float64)
    return Candidates(np.arange(len(logits)), np.arange(len(logits)), logits, null)


def test_probabilities_are_a_softmax_over_the_candidates_and_no_answer():
    found, none = candidates([3.0, 1.0, -2.0], 0.5).probabilities()
    total = math.exp(3.0) + math.exp(1.0) + math.exp(-2.0) + math.exp(0.5)
    np.testing.assert_allclose(found, [math.exp(3.0) / total, math.exp(1.0) / total, math.exp(-2.0) / total])
    assert none == pytest.approx(math.exp(0.5) / total) and isinstance(none, float)


@pytest.mark.parametrize("null", [-700.0, -1.0, 3.0, 900.0])
def test_probabilities_sum_to_one_and_ignore_a_shift(null):
    logits = np.random.default_rng(2).normal(0.0, 300.0, 17)
    found, none = candidates(logits, null).probabilities()
    assert np.isfinite(found).all() and found.sum() + none == pytest.approx(1.0)
    shifted, none_shifted = candidates(logits + 5000.0, null + 5000.0).probabilities()
    np.testing.assert_allclose(shifted, found, atol=1e-12)
    assert none_shifted == pytest.approx(none, abs=1e-12)


def test_without_candidates_no_answer_is_certain():
    found, none = candidates([], -3.0).probabilities()
    assert (found.tolist(), none) == ([], 1.0)


def test_windows_are_merged_by_logit_then_position_and_the_least_no_answer_counts():
    windows = [
        (np.array([4, 0]), np.array([5, 2]), np.array([2.0, 1.0])),
        (np.array([], int), np.array([], int), np.array([])),
        (np.array([9, 7, 7]), np.array([9, 8, 7]), np.array([3.0, 2.0, 2.0])),
    ]
    merged = merge(windows, [0.5, -1.5, 4.0])
    spans = list(zip(merged.starts.tolist(), merged.ends.tolist(), merged.logits.tolist(), strict=True))
    assert spans == [(9, 9, 3.0), (4, 5, 2.0), (7, 7, 2.0), (7, 8, 2.0), (0, 2, 1.0)]
    assert merged.no_answer_logit == -1.5 and isinstance(merged.no_answer_logit, float)
    swapped = merge(windows[::-1], [4.0, -1.5, 0.5])
    assert swapped.starts.tolist() == merged.starts.tolist() and swapped.ends.tolist() == merged.ends.tolist()
