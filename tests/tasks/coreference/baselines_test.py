"""Tests of the rules that are given the gold mentions: what they link, counted by hand."""

import pytest

from spanbert_keras import Document
from tasks.coreference import baselines, predictions

WORDS = "The cat saw the dog , and The Dog saw it .".split()
# The cat = it; the dog = The Dog.
GOLD = (((0, 2), (10, 11)), ((3, 5), (7, 9)))
DOCUMENT = Document(tuple(WORDS), clusters=GOLD)


def test_each_gold_mention_is_a_chain_of_its_own():
    assert sorted(baselines.alone(DOCUMENT)) == [((0, 2),), ((3, 5),), ((7, 9),), ((10, 11),)]


def test_gold_mentions_of_equal_words_are_one_chain_in_any_case():
    assert sorted(baselines.equal_words(DOCUMENT)) == [((0, 2),), ((3, 5), (7, 9)), ((10, 11),)]


def test_words_that_are_equal_only_when_joined_are_others():
    document = Document(("ab", "c", "a", "bc"), clusters=(((0, 2), (2, 4)),))
    assert sorted(baselines.equal_words(document)) == [((0, 2),), ((2, 4),)]


def test_a_mention_of_two_clusters_counts_once():
    document = Document(("he", "and", "she"), clusters=(((0, 1), (2, 3)), ((0, 1), (0, 3))))
    assert sorted(baselines.alone(document)) == [((0, 1),), ((0, 3),), ((2, 3),)]


@pytest.mark.parametrize(
    "rule, muc, b_cubed",
    [
        # Alone: no link of the two. B-cubed: precision 1, recall 1/2.
        ("every gold mention alone", 0.0, 2 / 3),
        # Equal words: one link of two, none wrong. B-cubed: precision 1, recall (1/2 + 1/2 + 1 + 1) / 4.
        ("equal gold mentions linked", 2 / 3, 2 * 0.75 / 1.75),
    ],
)
def test_scores_are_those_counted_by_hand(rule, muc, b_cubed):
    scores = predictions.score_all([DOCUMENT], [baselines.RULES[rule](DOCUMENT)])["all documents"]
    assert [scores[name] for name in ("muc_f1", "b_cubed_f1", "mentions_f1")] == pytest.approx(
        [100 * muc, 100 * b_cubed, 100.0]
    )
