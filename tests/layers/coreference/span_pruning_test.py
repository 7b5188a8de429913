"""Pruning against the greedy choice that it stands for, one candidate after the other. B 2, T and W vary."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.layers.coreference.span_pruning import prune_spans

BACKEND = keras.backend.backend()
prune = prune_spans
if BACKEND == "jax":  # operation by operation it takes minutes there
    import jax

    prune = jax.jit(prune_spans, static_argnums=3)


def crosses(a, b):
    """(s, e) and (s', e') partly overlap: s < s' <= e < e', or the other way round."""
    return a[0] < b[0] <= a[1] < b[1] or b[0] < a[0] <= b[1] < a[1]


def greedy(scores, valid, limit):
    """The fact itself: by score, of equal ones the first of the text; crossing ones are left out; until `limit`."""
    spans = [(-scores[s, w], s, s + w) for s, w in zip(*np.nonzero(valid), strict=True)]
    kept = []
    for _, start, end in sorted(spans):
        if len(kept) < limit and not any(crosses((start, end), other) for other in kept):
            kept.append((start, end))
    return sorted(kept)


def inside(tokens, widths, lengths):
    """Bool (B, T, W): spans that end before their row does."""
    ends = np.arange(tokens)[:, None] + np.arange(widths)
    return np.stack([ends < length for length in lengths])


def pruned(scores, valid, limits, max_spans, prune=prune):
    """Returns the kept spans of every row as (first, last) pieces; padding must be 0 and come last."""
    found = prune(*(ops.convert_to_tensor(x) for x in (scores, valid, np.asarray(limits))), max_spans)
    starts, widths, kept = (ops.convert_to_numpy(x) for x in found)
    assert starts.shape == widths.shape == kept.shape == (len(limits), max_spans)
    assert (starts.dtype, widths.dtype, kept.dtype) == ("int32", "int32", "bool")
    rows = []
    for s, w, k in zip(starts, widths, kept, strict=True):
        count = int(k.sum())
        assert k[:count].all() and not s[count:].any() and not w[count:].any()
        rows.append([(int(a), int(a + b)) for a, b in zip(s[:count], w[:count], strict=True)])
    return rows


@pytest.mark.parametrize("kind", ["distinct", "ties", "equal", "steep"])
@pytest.mark.parametrize("tokens, widths", [(1, 1), (1, 4), (3, 5), (12, 4), (25, 7)])
def test_it_is_the_greedy_choice(rng, kind, tokens, widths):
    """Batches of padded rows with holes, and limits from nothing to more than there are."""
    max_spans = min(tokens * widths, tokens + 3)
    for share in (0.3, 0.9, 1.0):
        scores = rng.normal(size=(5, tokens, widths)).astype("float32")
        scores = {"distinct": scores, "ties": np.round(scores), "equal": 0 * scores, "steep": 1e30 * scores}[kind]
        lengths = [tokens, *rng.integers(0, tokens + 1, 4)]
        valid = inside(tokens, widths, lengths) & (rng.random(scores.shape) < share)
        limits = np.array([max_spans, max_spans, *rng.integers(0, max_spans + 1, 3)], "int32")
        expected = [greedy(*row) for row in zip(scores, valid, limits, strict=True)]
        assert pruned(scores, valid, limits, max_spans) == expected


def test_spans_inside_others_stay_and_crossing_ones_go():
    scores = np.full((1, 6, 4), -9.0, "float32")
    valid = np.zeros((1, 6, 4), bool)
    for rank, (start, end) in enumerate([(1, 4), (2, 3), (1, 2), (4, 4), (0, 1), (3, 5), (4, 5)]):
        scores[0, start, end - start], valid[0, start, end - start] = -rank, True
    assert pruned(scores, valid, [7], 7) == [[(1, 4), (2, 3), (4, 4)]]


@pytest.mark.parametrize("direction", [1, -1])
def test_a_chain_in_which_each_span_waits_for_the_next(direction):
    """Spans of two pieces, each crosses its neighbours, scores rise or fall all the way: every other one stays."""
    tokens = 41
    scores = np.tile(direction * np.arange(tokens, dtype="float32")[None, :, None], (2, 1, 2))
    valid = inside(tokens, 2, [tokens, 20])
    valid[:, :, 0] = False
    expected = [greedy(s, v, 30) for s, v in zip(scores, valid, strict=True)]
    assert [len(row) for row in expected] == [20, 10]
    assert pruned(scores, valid, [30, 30], 30) == expected


def test_wide_spans_in_monotone_order():
    """Long dependency chains with every width allowed, in both orders of start and both of width."""
    for sign_of_start in (1, -1):
        for sign_of_width in (1, -1):
            scores = sign_of_start * np.arange(24)[:, None] + sign_of_width * 0.1 * np.arange(6)
            scores = scores[None].astype("float32")
            valid = inside(24, 6, [24])
            assert pruned(scores, valid, [24], 24) == [greedy(scores[0], valid[0], 24)]


def test_a_limit_keeps_the_best_of_what_a_higher_one_keeps(rng):
    scores = rng.normal(size=(1, 14, 5)).astype("float32")
    valid = inside(14, 5, [14])
    every = pruned(scores, valid, [20], 20)[0]
    best_first = sorted(every, key=lambda span: -scores[0, span[0], span[1] - span[0]])
    for limit in range(21):
        assert pruned(scores, valid, [limit], 20)[0] == sorted(best_first[:limit])


def test_without_candidates_or_with_limits_of_0_nothing_is_kept(rng):
    scores = rng.normal(size=(3, 8, 3)).astype("float32")
    valid = inside(8, 3, [8, 8, 0])
    assert pruned(scores, valid, [0, 2, 4], 4) == [[], greedy(scores[1], valid[1], 2), []]
    assert pruned(scores, np.zeros_like(valid), [4, 4, 4], 4) == [[], [], []]
    assert pruned(scores, valid, [0, 0, 0], 1) == [[], [], []]


def test_fewer_candidates_than_asked_for_are_all_returned():
    valid = np.zeros((1, 9, 3), bool)
    valid[0, [2, 5], [1, 0]] = True
    assert pruned(np.ones((1, 9, 3), "float32"), valid, [9], 9) == [[(2, 3), (5, 5)]]


def test_a_row_does_not_depend_on_padding_or_on_the_others(rng):
    scores = rng.normal(size=(3, 20, 4)).astype("float32")
    lengths, limits = [20, 9, 13], [8, 4, 6]
    valid = inside(20, 4, lengths)
    together = pruned(scores, valid, limits, 8)
    for row, length in enumerate(lengths):
        alone = scores[row : row + 1, :length], valid[row : row + 1, :length]
        assert pruned(*alone, limits[row : row + 1], 8) == [together[row]]


def test_invalid_scores_may_be_anything(rng):
    scores = rng.normal(size=(1, 10, 3)).astype("float32")
    valid = inside(10, 3, [8])
    expected = pruned(scores, valid, [5], 5)
    for value in (np.nan, np.inf, 3e38):
        assert pruned(np.where(valid, scores, np.float32(value)), valid, [5], 5) == expected


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_dtypes_of_scores_and_limits(rng, dtype):
    scores = rng.permutation(60).reshape(1, 15, 4).astype(dtype)
    valid = inside(15, 4, [15])
    assert pruned(scores, valid, np.array([7], "int64"), 7) == [greedy(scores[0], valid[0], 7)]


@pytest.mark.skipif(BACKEND == "torch", reason="torch computes eagerly: there is nothing to compile")
def test_it_is_the_same_compiled_and_eager(rng):
    scores = np.round(rng.normal(size=(2, 9, 3)), 1).astype("float32")
    valid = inside(9, 3, [9, 6])
    functions = [prune_spans]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        functions += [tf.function(prune_spans, jit_compile=xla) for xla in (False, True)]
    expected = [greedy(*row) for row in zip(scores, valid, (4, 4), strict=True)]
    for function in functions:
        assert pruned(scores, valid, [4, 4], 4, function) == expected


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow's graphs have unknown sizes")
def test_in_a_graph_rows_and_tokens_may_be_unknown(rng):
    import tensorflow as tf

    shape = [None, None, 4]
    signature = [tf.TensorSpec(shape, tf.float32), tf.TensorSpec(shape, tf.bool), tf.TensorSpec([None], tf.int64)]
    graph = tf.function(lambda *given: prune_spans(*given, 3), input_signature=signature)
    for tokens in (2, 11, 16):
        scores = rng.normal(size=(2, tokens, 4)).astype("float32")
        valid = inside(tokens, 4, [tokens, tokens // 2])
        expected = [greedy(*row) for row in zip(scores, valid, (3, 3), strict=True)]
        assert pruned(scores, valid, [3, 3], 3, lambda *given: graph(*given[:3])) == expected
