"""Greedy spans against a loop over all pairs and against the rounds of `prune_spans`. T and W vary."""

import time

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.decoding.greedy_spans import greedy_spans
from spanbert_keras.layers.coreference.span_pruning import prune_spans

prune = prune_spans
if keras.backend.backend() == "jax":  # operation by operation it takes minutes there
    import jax

    prune = jax.jit(prune_spans, static_argnums=3)

SHAPES = [(1, 1), (1, 4), (3, 5), (9, 3), (30, 6)]


def slow_greedy(scores, valid, limit):
    """Takes the best candidate that crosses no kept one, over and over; distinct scores only."""
    left = {(int(s), int(s + w)): scores[s, w] for s, w in zip(*np.nonzero(valid), strict=True)}
    kept = []
    while left and len(kept) < limit:
        start, end = max(left, key=left.get)
        del left[start, end]
        inside, others = set(range(start, end + 1)), [set(range(s, e + 1)) for s, e in kept]
        if all(inside <= other or other <= inside or not inside & other for other in others):
            kept.append((start, end))
    return sorted(kept)


def spans_of(found):
    starts, ends = found
    assert starts.dtype == ends.dtype == np.int64 and starts.shape == ends.shape
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def candidates(rng, tokens, widths, share):
    ends = np.arange(tokens)[:, None] + np.arange(widths)
    return (ends < tokens) & (rng.random((tokens, widths)) < share)


@pytest.mark.parametrize("tokens, widths", SHAPES)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_spans_are_those_of_a_loop_over_all_pairs(tokens, widths, share):
    rng = np.random.default_rng(tokens)
    for _ in range(15):
        scores, valid = rng.normal(size=(tokens, widths)).astype("float32"), candidates(rng, tokens, widths, share)
        for limit in (0, 1, int(0.4 * tokens), tokens, 10 * tokens):
            assert spans_of(greedy_spans(scores, valid, limit)) == slow_greedy(scores, valid, limit)


@pytest.mark.parametrize("kind", ["distinct", "ties", "equal"])
@pytest.mark.parametrize("tokens, widths", [(3, 5), (30, 6)])
def test_it_chooses_what_the_rounds_choose_in_training_ties_included(kind, tokens, widths):
    rng = np.random.default_rng(7)
    scores = rng.normal(size=(6, tokens, widths)).astype("float32")
    scores = {"distinct": scores, "ties": np.round(scores), "equal": 0 * scores}[kind]
    valid = np.stack([candidates(rng, tokens, widths, share) for share in (0.0, 0.2, 0.6, 0.9, 1.0, 1.0)])
    limits = np.array([3, 2, tokens, tokens // 2, tokens // 3, tokens])
    tensors = [ops.convert_to_tensor(x) for x in (scores, valid, limits)]
    starts, widths_less_one, kept = (ops.convert_to_numpy(x) for x in prune(*tensors, tokens))
    for b in range(6):
        count = kept[b].sum()
        first, last = starts[b, :count], (starts + widths_less_one)[b, :count]
        expected = list(zip(first.tolist(), last.tolist(), strict=True))
        assert spans_of(greedy_spans(scores[b], valid[b], int(limits[b]))) == expected


def test_spans_inside_one_another_stay_and_crossing_ones_go():
    scores, valid = np.zeros((8, 5), "float32"), np.zeros((8, 5), bool)
    for rank, (start, end) in enumerate([(2, 5), (3, 4), (5, 5), (5, 7), (1, 2), (4, 6), (1, 5), (6, 6), (0, 1)]):
        scores[start, end - start], valid[start, end - start] = -rank, True
    # (5, 7), (1, 2) and (4, 6) cross the first, (0, 1) crosses (1, 5); the others share an end, lie inside or outside.
    assert spans_of(greedy_spans(scores, valid, 9)) == [(1, 5), (2, 5), (3, 4), (5, 5), (6, 6)]
    assert spans_of(greedy_spans(scores, valid, 4)) == [(1, 5), (2, 5), (3, 4), (5, 5)]
    assert spans_of(greedy_spans(scores, valid, 2)) == [(2, 5), (3, 4)]


def test_without_candidates_there_is_nothing():
    for shape in ((4, 3), (0, 3)):
        assert spans_of(greedy_spans(np.zeros(shape, "float32"), np.zeros(shape, bool), 5)) == []


def test_spans_that_are_not_candidates_may_have_any_score():
    scores, valid = np.array([[np.nan, 9.0], [1.0, np.inf]]), np.array([[False, False], [True, False]])
    assert spans_of(greedy_spans(scores, valid, 2)) == [(1, 1)]


def test_the_arguments_stay_as_they_are():
    rng = np.random.default_rng(0)
    scores, valid = rng.normal(size=(9, 3)), candidates(rng, 9, 3, 1.0)
    before = scores.copy(), valid.copy()
    greedy_spans(scores, valid, 4)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(valid, before[1])


def test_a_book_takes_seconds():
    """30,000 pieces x 30 widths: 900,000 candidates."""
    rng = np.random.default_rng(1)
    scores, valid = rng.normal(size=(30_000, 30)).astype("float32"), candidates(rng, 30_000, 30, 1.0)
    begin = time.process_time()
    starts, ends = greedy_spans(scores, valid, 12_000)
    assert time.process_time() - begin < 20
    assert len(starts) == 12_000
    order = np.lexsort((ends, starts))
    assert (order == np.arange(12_000)).all()
