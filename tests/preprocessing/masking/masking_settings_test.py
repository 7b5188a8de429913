"""Settings: defaults of the paper, exact budgets and thresholds, values out of range."""

import math
from fractions import Fraction

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking import masking_settings


def test_defaults_are_the_papers():
    settings = masking_settings.MaskingSettings()
    assert (settings.scheme, settings.masking_rate, settings.geometric_rate) == ("span", 0.15, 0.2)
    assert (settings.max_span_length, settings.max_span_positions) == (10, 15)
    assert (settings.mask_token_rate, settings.random_token_rate) == (0.8, 0.1)


@pytest.mark.parametrize(("rate", "exact"), [(0.15, Fraction(3, 20)), (0.3, Fraction(3, 10)), (1 / 3, Fraction(1, 3))])
def test_a_budget_is_the_exact_ceiling(rate, exact):
    sizes = np.arange(3000)
    budgets = masking_settings.MaskingSettings(masking_rate=rate).budget(sizes)
    assert budgets.dtype == np.int64
    assert budgets.tolist() == [math.ceil(exact * size) for size in sizes.tolist()]


def test_a_budget_of_510_pieces_is_77():
    assert masking_settings.MaskingSettings().budget(510) == 77


def test_whole_words_have_length_one():
    assert masking_settings.MaskingSettings(scheme="whole_word").length_thresholds.size == 0
    assert masking_settings.MaskingSettings().length_thresholds.size == 9


def test_replacement_thresholds_are_shares_of_a_32_bit_word():
    thresholds = masking_settings.MaskingSettings().replacement_thresholds
    assert thresholds.dtype == np.uint64
    assert thresholds.tolist() == [2**32 * 8 // 10, 2**32 * 9 // 10]
    always = masking_settings.MaskingSettings(mask_token_rate=1, random_token_rate=0)
    assert always.replacement_thresholds.tolist() == [2**32, 2**32]


def test_draws_below_the_mention_rate_are_mentions():
    thresholds = [
        masking_settings.MaskingSettings(scheme="named_entity", mention_rate=rate).draw_thresholds
        for rate in (0, 0.5, 0.7, 1)
    ]
    assert [one.tolist() for one in thresholds] == [[0], [2**31], [2**32 * 7 // 10], [2**32]]
    assert {one.dtype for one in thresholds} == {np.dtype(np.uint64)}
    spans = masking_settings.MaskingSettings()
    assert spans.draw_thresholds is spans.length_thresholds and spans.mention_rate == 0.5


def test_rates_that_add_up_to_one_in_decimals_are_accepted():
    for tenths in range(11):
        masking_settings.MaskingSettings(mask_token_rate=tenths / 10, random_token_rate=1 - tenths / 10)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"scheme": "verb_phrase"}, "`scheme` must be one of span, whole_word, subword"),
        ({"masking_rate": 0}, "`masking_rate` must be above 0"),
        ({"masking_rate": 1.5}, "Received: masking_rate=1.5"),
        ({"max_span_positions": 0}, "`max_span_positions` must be a whole number of at least 1"),
        ({"mask_token_rate": 0.95}, "add up to at most 1"),
        ({"random_token_rate": -0.1}, "must not be negative"),
        ({"geometric_rate": 0}, "`p` must be above 0"),
        ({"max_span_length": 0}, "max_span_length=0"),
        ({"mention_rate": 1.01}, "`mention_rate` must be from 0 to 1. Received: mention_rate=1.01"),
        ({"mention_rate": -0.5}, "`mention_rate` must be from 0 to 1"),
    ],
)
def test_a_setting_out_of_range_is_rejected(setting, message):
    with pytest.raises(ValueError, match=message):
        masking_settings.MaskingSettings(**setting)


@pytest.mark.parametrize(
    ("length", "limit", "expected"),
    [(3, 20, 1), (10, 20, 2), (30, 20, 4), (50, 20, 8), (70, 20, 10), (90, 20, 14), (128, 20, 19)]
    + [(512, 76, 76), (512, None, 77), (512, 20, 20)],
)
def test_berts_budget_counts_specials_and_rounds_half_to_even(length, limit, expected):
    settings = masking_settings.MaskingSettings(scheme="subword", rule="bert", max_predictions=limit)
    assert settings.budget(np.array(length - 2)) == expected
    assert settings.budget(length - 3, 3) == expected or length == 3
    assert settings.budget(length, 0) == expected


def test_berts_budget_is_pythons_rounding_at_every_length():
    settings = masking_settings.MaskingSettings(scheme="subword", rule="bert", max_predictions=76)
    lengths = range(3, 513)
    expected = [min(76, max(1, round(0.15 * length))) for length in lengths]
    assert settings.budget(np.array(lengths) - 2).tolist() == expected


def test_berts_budget_is_at_most_the_pieces_there_are():
    settings = masking_settings.MaskingSettings(scheme="whole_word", rule="bert", masking_rate=1.0)
    assert settings.budget(np.array([0, 1, 5])).tolist() == [0, 1, 5]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rule": "google"}, r"`rule` must be one of paper, bert. Received: rule='google'."),
        ({"rule": "bert"}, r"`rule='bert'` needs `scheme` 'whole_word' or 'subword'. Received: scheme='span'."),
    ],
)
def test_a_rule_that_is_unknown_or_does_not_fit_the_scheme_is_rejected(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        masking_settings.MaskingSettings(**changes)
