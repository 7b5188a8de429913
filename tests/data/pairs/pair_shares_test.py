"""Tests of the statistics of pairs, on text whose shares are known, and of the rejection of skewed corpora."""

import numpy as np
import pytest

from spanbert_keras.data.pairs.pair_index import cached_pairs
from spanbert_keras.data.pairs.pair_shares import PairShares
from spanbert_keras.errors import InputError


@pytest.fixture
def shares_of(units_of, tmp_path):
    """Function of (mean pieces of a unit, T): `PairShares` of 500 documents of about 2,000 pieces each."""

    def make(mean, row_length):
        lengths = np.random.default_rng(0).normal(mean, mean / 4, (500, 2000 // mean)).clip(1).astype(int)
        index = cached_pairs(tmp_path, f"{mean}-{row_length}", units_of(lengths), row_length, 0.0, 0)
        return PairShares.of_index(index, "line")

    return make


@pytest.mark.parametrize(
    "mean, row_length, random, used",
    [
        (25, 128, 0.50, 1.24),
        (25, 512, 0.52, 1.42),
        (120, 128, 0.74, 0.82),
        (120, 512, 0.55, 1.30),
        (300, 128, 1.00, 0.42),
        (300, 512, 0.58, 1.12),
        (600, 512, 0.91, 0.77),
    ],
)
def test_shares_depend_on_the_length_of_units(shares_of, mean, row_length, random, used):
    shares = shares_of(mean, row_length)
    assert shares.random == pytest.approx(random, abs=0.03)
    assert shares.used == pytest.approx(used, abs=0.04)
    assert shares.unit_pieces == pytest.approx(mean, rel=0.02)


def test_shares_are_printed_as_one_sentence():
    sentence = "next-sentence labels: 50.3 % random, 1.31 pieces used per piece of the corpus"
    assert str(PairShares(0.503, 1.306, 25.0, "line")) == sentence


def test_paragraphs_as_units_are_rejected():
    message = (
        r"corpus x .* lines have 300 pieces.*row holds 128.*99\.6 %.*0\.42 pieces.*--pair_units=sentence"
        ".*--allow_skewed_pairs"
    )
    with pytest.raises(InputError, match=message):
        PairShares(0.996, 0.42, 299.7, "line").check("x", 128)


def test_the_message_for_sentences_does_not_recommend_sentences():
    with pytest.raises(InputError, match="sentences have 300 .*longer rows.*--allow_skewed_pairs") as error:
        PairShares(0.996, 0.42, 299.7, "sentence").check("x", 128)
    assert "--pair_units" not in str(error.value)


def test_up_to_65_percent_are_accepted():
    PairShares(0.65, 1.0, 60.0, "line").check("x", 128)
    with pytest.raises(InputError, match="65.1 %"):
        PairShares(0.651, 1.0, 60.0, "line").check("x", 128)
