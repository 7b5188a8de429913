"""Probabilities of links: against a softmax span by span."""

import math

import numpy as np
import pytest

from spanbert_keras.decoding.link_probabilities import sure_links


def by_hand(scores, antecedents, best, min_score):
    """Decides span by span with sets, as the definition says."""
    chains, links, probabilities = [], [], []
    for span, (row, places) in enumerate(zip(scores, antecedents, strict=True)):
        total = 1.0 + sum(math.exp(score) for score, place in zip(row, places, strict=True) if place >= 0)
        chain = next((one for one in chains if best[span] in one), None) if best[span] >= 0 else None
        mass = 0.0
        if chain is not None:
            mass = sum(math.exp(s) for s, p in zip(row, places, strict=True) if p >= 0 and p in chain) / total
        linked = chain is not None and mass >= min_score
        links.append(best[span] if linked else -1)
        probabilities.append(mass if linked else 0.0)
        chain.add(span) if linked else chains.append({span})
    return links, probabilities


@pytest.mark.parametrize("min_score", [0.0, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("seed", range(6))
def test_antecedents_in_the_chain_as_it_is_so_far_count_together(min_score, seed):
    random = np.random.default_rng(seed)
    antecedents = np.array([[span - back if span >= back else -1 for back in (1, 2, 4)] for span in range(40)])
    scores = np.where(antecedents < 0, -np.inf, random.normal(0.5, 2, antecedents.shape))
    top = scores.argmax(1)
    best = np.where(scores.max(1) > 0, antecedents[range(40), top], -1)
    links, probabilities = sure_links(best, scores, antecedents, min_score)
    expected = by_hand(scores, antecedents, best.tolist(), min_score)
    assert links.tolist() == expected[0] and (links >= 0).any()
    np.testing.assert_allclose(probabilities, expected[1], rtol=1e-12)
    assert (probabilities[links >= 0] >= min_score).all() and not probabilities[links < 0].any()


def test_a_link_to_a_mention_that_was_cut_off_is_not_helped_by_the_chain_before_it():
    antecedents = np.array([[-1, -1], [0, -1], [1, 0]])
    scores = np.array([[-np.inf, -np.inf], [math.log(1.5), -np.inf], [5.0, 4.9]])  # 0.6; 0.52 and 0.47
    best = np.array([-1, 0, 1])
    assert sure_links(best, scores, antecedents)[1][2] > 0.99
    links, probabilities = sure_links(best, scores, antecedents, 0.9)
    assert links.tolist() == [-1, -1, -1] and probabilities.tolist() == [0, 0, 0]
    links, probabilities = sure_links(best, scores, antecedents, 0.51)
    assert links.tolist() == [-1, 0, 1] and probabilities[2] > 0.99


@pytest.mark.parametrize("score, expected", [(1e-9, 0.5), (800.0, 1.0), (math.log(3), 0.75)])
def test_large_scores_do_not_overflow(score, expected):
    _, found = sure_links(np.array([-1, 0]), np.array([[-np.inf], [score]]), np.array([[-1], [0]]))
    np.testing.assert_allclose(found, [0.0, expected])


def test_a_document_without_spans():
    links, probabilities = sure_links(np.zeros(0, int), np.zeros((0, 0)), np.zeros((0, 0), int))
    assert links.shape == probabilities.shape == (0,)
    links, probabilities = sure_links(np.array([-1, -1]), np.zeros((2, 0)), np.zeros((2, 0), int))
    assert links.tolist() == [-1, -1] and probabilities.tolist() == [0.0, 0.0]
