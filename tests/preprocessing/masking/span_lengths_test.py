"""The length law against the paper's numbers and exact fractions."""

import time
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking import span_lengths


def test_probabilities_are_the_renormalised_geometric_law():
    weights = [0.2 * 0.8 ** (length - 1) for length in range(1, 11)]
    expected = np.array(weights) / sum(weights)
    np.testing.assert_allclose(span_lengths.span_length_probabilities(), expected, rtol=1e-12)


def test_probabilities_are_those_of_figure_2():
    rounded = span_lengths.span_length_probabilities().round(4)
    assert rounded.tolist() == [0.2241, 0.1792, 0.1434, 0.1147, 0.0918, 0.0734, 0.0587, 0.0470, 0.0376, 0.0301]


def test_mean_length_is_the_papers_3_8_words():
    mean = (span_lengths.span_length_probabilities() * np.arange(1, 11)).sum()
    assert round(mean, 3) == 3.797


def test_other_settings_follow_the_same_law():
    probabilities = span_lengths.span_length_probabilities(p=0.5, max_span_length=3)
    np.testing.assert_allclose(probabilities, [4 / 7, 2 / 7, 1 / 7])
    assert span_lengths.span_length_probabilities(p=1).tolist() == [1] + [0] * 9
    assert span_lengths.span_length_probabilities(max_span_length=1).tolist() == [1]


def test_thresholds_are_the_exact_shares_of_a_32_bit_word():
    total = sum(Fraction(4, 5) ** i for i in range(10))
    expected = [int(sum(Fraction(4, 5) ** i for i in range(length)) / total * 2**32) for length in range(1, 10)]
    assert span_lengths.length_thresholds(0.2, 10).tolist() == expected


def test_words_at_the_edges_of_a_threshold_get_the_right_length():
    first = int(span_lengths.length_thresholds(0.2, 10)[0])
    words = np.array([0, first - 1, first, 2**32 - 1], np.uint64)
    lengths = span_lengths.lengths_of_words(words, span_lengths.length_thresholds(0.2, 10))
    assert lengths.tolist() == [1, 1, 2, 10]


def test_drawn_lengths_have_the_papers_mean_and_follow_the_law():
    lengths = span_lengths.draw_span_lengths((1, 2), 200_000)
    assert lengths.dtype == np.int64
    assert abs(lengths.mean() - 3.797) < 0.03
    counts = np.bincount(lengths, minlength=11)[1:]
    expected = span_lengths.span_length_probabilities() * len(lengths)
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_each_seed_of_a_batch_draws_its_own_lengths():
    seeds = philox.fold((1, 2), np.arange(3))
    lengths = span_lengths.draw_span_lengths(seeds, 50)
    assert lengths.shape == (3, 50)
    for row in range(3):
        np.testing.assert_array_equal(lengths[row], span_lengths.draw_span_lengths(seeds[row], 50))
    assert not np.array_equal(lengths[0], lengths[1])


def test_more_draws_begin_with_the_same_ones():
    short, long = (span_lengths.draw_span_lengths((1, 2), count) for count in (5, 9))
    np.testing.assert_array_equal(short, long[:5])


def test_golden_values_stay():
    assert span_lengths.draw_span_lengths((1, 2), 12).tolist() == [9, 2, 5, 1, 3, 3, 2, 4, 2, 8, 3, 3]


@pytest.mark.parametrize(("p", "max_span_length"), [(0, 10), (-1, 10), (1.1, 10), (0.2, 0), (0.2, 10**9), (None, 10)])
def test_arguments_out_of_range_are_rejected(p, max_span_length):
    with pytest.raises(ValueError, match="`p` must be|`max_span_length` must be a whole number from 1 to 1,000"):
        span_lengths.span_length_probabilities(p, max_span_length)


def test_the_longest_span_allowed_takes_no_time():
    began = time.monotonic()
    found = span_lengths.length_thresholds(0.123457, span_lengths.MAX_SPAN_LENGTH)
    assert len(found) == span_lengths.MAX_SPAN_LENGTH - 1 and time.monotonic() - began < 20
