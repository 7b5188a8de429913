"""Entities among scored spans: a greedy choice against one written span by span, nested and flat."""

import numpy as np
import pytest

from spanbert_keras.decoding.entity_spans import entity_spans

N, W, C = 9, 4, 2


def greedy(shares, valid, nested, least):
    """The choice, one candidate at a time."""
    candidates = []
    for first in range(N):
        for width in range(W):
            best = shares[first, width, 1:].max()
            if valid[first, width] and best > shares[first, width, 0] and best >= least:
                candidates.append((-best, first * W + width, first, first + width))
    kept = []
    for score, _, first, last in sorted(candidates):
        others = [(last < a or b < first, a <= first and last <= b or first <= a and b <= last) for a, b, *_ in kept]
        if all(apart or nested and inside for apart, inside in others):
            label = int(shares[first, last - first, 1:].argmax())
            kept.append((first, last, label, -score))
    return sorted(kept, key=lambda one: (one[0], -one[1]))


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("least", [0.0, 0.6])
def test_the_likeliest_spans_that_do_not_cross_are_entities(nested, least):
    seen = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shares = rng.dirichlet(np.ones(C + 1), (N, W))
        valid = (np.arange(N)[:, None] + np.arange(W) < N) & (rng.random((N, W)) < 0.8)
        found = entity_spans(shares, valid, nested, least)
        assert found == greedy(shares, valid, nested, least)
        seen += len(found)
    assert seen > 20


def test_a_text_may_have_no_entities():
    shares = np.zeros((N, W, C + 1))
    shares[..., 0] = 1
    assert entity_spans(shares, np.ones((N, W), bool), nested=True) == []
    assert entity_spans(shares, np.zeros((N, W), bool), nested=False) == []
