"""Probabilities of links: against a softmax span by span."""

import math

import numpy as np
import pytest

from spanbert_keras.decoding.link_probabilities import link_probabilities


def by_hand(scores, antecedents, clusters):
    found = []
    for span, (row, places) in enumerate(zip(scores, antecedents, strict=True)):
        own = next((cluster for cluster in clusters if span in cluster), [])
        total = 1.0 + sum(math.exp(score) for score, place in zip(row, places, strict=True) if place >= 0)
        found.append(sum(math.exp(s) for s, p in zip(row, places, strict=True) if p >= 0 and p in own) / total)
    return found


def test_antecedents_in_the_cluster_count_together():
    random = np.random.default_rng(1)
    antecedents = np.array([[-1, -1, -1], [0, -1, -1], [1, 0, -1], [2, 1, 0], [3, 2, 0]])
    scores = np.where(antecedents < 0, -np.inf, random.normal(0, 2, antecedents.shape))
    clusters = [[0, 2, 4], [1, 3]]
    found = link_probabilities(scores, antecedents, clusters)
    np.testing.assert_allclose(found, by_hand(scores, antecedents, clusters), rtol=1e-12)
    assert found[0] == found[1] == 0 and (found[2:] > 0).all()
    assert link_probabilities(scores, antecedents, []).tolist() == [0.0] * 5


@pytest.mark.parametrize("score, expected", [(0.0, 0.5), (800.0, 1.0), (-800.0, 0.0), (math.log(3), 0.75)])
def test_large_scores_do_not_overflow(score, expected):
    found = link_probabilities(np.array([[-np.inf], [score]]), np.array([[-1], [0]]), [[0, 1]])
    np.testing.assert_allclose(found, [0.0, expected])


def test_a_document_without_spans():
    assert link_probabilities(np.zeros((0, 0)), np.zeros((0, 0), int), []).shape == (0,)
    assert link_probabilities(np.zeros((2, 0)), np.zeros((2, 0), int), []).tolist() == [0.0, 0.0]
