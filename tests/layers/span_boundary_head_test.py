"""The span-boundary head against a slow float64 version. B 2, T 9, M 3, D 8, P 5, V 13, 4 positions."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.span_boundary_head import SpanBoundaryHead

B, T, M, D, P, V, ROWS = 2, 9, 3, 8, 5, 13, 4


def built(embedding, dtype="float32"):
    layer, values = embedding(V, D, dtype)
    head = SpanBoundaryHead(layer, ROWS, P, dtype=dtype)
    head.build((None, None, D))
    return head, values


@pytest.fixture
def inputs(rng):
    """Sequence (B, T, D), left and right positions and offsets (B, M); one offset lies past the table."""
    left = rng.integers(0, T - 2, (B, M)).astype("int32")
    right = (left + 2).astype("int32")
    return rng.normal(size=(B, T, D)), left, right, np.array([[0, 2, 3], [1, 9, 0]], "int32")


def slow(oracle, weights, values, sequence, left, right, offsets):
    """Section 3.2, equation by equation."""
    table = weights["span_position_embeddings"]
    position = np.array([[table[min(offset, len(table) - 1)] for offset in row] for row in offsets])
    x = np.concatenate([oracle.pick(sequence, left), oracle.pick(sequence, right), position], axis=-1)
    for i in (1, 2):
        x = oracle.gelu(x @ weights[f"dense_{i}/kernel"] + weights[f"dense_{i}/bias"])
        x = oracle.layer_norm(x, weights[f"norm_{i}/gamma"], weights[f"norm_{i}/beta"])
    return x @ values.T + weights["vocabulary_bias"]


def test_it_equals_float64_under_every_policy(oracle, embedding, randomize, to_numpy, inputs, policy):
    name, tolerance = policy
    head, values = built(embedding, name)
    weights = randomize(head)
    head.embedding.embeddings.assign(values)
    logits = head(inputs[0].astype("float32"), *inputs[1:])
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    expected = slow(oracle, weights, values, *inputs)
    np.testing.assert_allclose(to_numpy(logits), expected, atol=2 * tolerance)


def test_only_the_two_boundaries_and_the_offset_count(embedding, randomize, to_numpy, inputs, rng):
    head, _ = built(embedding)
    randomize(head)
    sequence, left, right, offsets = (np.array(x) for x in inputs)
    before = to_numpy(head(sequence.astype("float32"), left, right, offsets))
    for row in range(B):
        other = np.setdiff1d(np.arange(T), [*left[row], *right[row]])
        sequence[row, other] = rng.normal(size=(len(other), D))
    np.testing.assert_array_equal(to_numpy(head(sequence.astype("float32"), left, right, offsets)), before)
    for changed in ((right, left, offsets), (left, right, (offsets + 1) % ROWS)):
        assert np.abs(to_numpy(head(sequence.astype("float32"), *changed)) - before).max() > 0.01


def test_offsets_past_the_table_use_its_last_row(embedding, randomize, to_numpy, inputs):
    head, _ = built(embedding)
    randomize(head)
    sequence, left, right, _ = inputs
    logits = [
        to_numpy(head(sequence.astype("float32"), left, right, np.full((B, M), offset, "int32")))
        for offset in (ROWS - 1, ROWS, 500)
    ]
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(logits[0], logits[2])


def test_large_scores_stay_finite_under_every_policy(embedding, to_numpy, inputs, policy):
    head, values = built(embedding, policy[0])
    head.embedding.embeddings.assign(100.0 * values)
    head.vocabulary_bias.assign(np.full(V, 70_000.0, "float32"))
    logits = to_numpy(head(1000.0 * inputs[0].astype("float32"), *inputs[1:]))
    assert np.isfinite(logits).all() and logits.max() > 70_000.0


def test_the_heads_own_parameters_at_base_size():
    embedding = keras.layers.ReversibleEmbedding(28_996, 768)
    head = SpanBoundaryHead(embedding)
    head.build((None, None, 768))
    assert head.count_params() - embedding.count_params() == 1_959_676


def test_defaults_are_the_papers():
    head = SpanBoundaryHead(keras.layers.ReversibleEmbedding(V, D))
    head.build((None, None, D))
    assert tuple(head.span_position_embeddings.shape) == (15, 200)
    assert tuple(head.dense_1.kernel.shape) == (2 * D + 200, D)


@pytest.mark.parametrize("sizes", [(0, 5), (4, 0)])
def test_an_empty_table_is_rejected(embedding, sizes):
    with pytest.raises(ValueError, match="`(max_span_positions|position_dim)` must be a whole number .*=0"):
        SpanBoundaryHead(embedding(V, D)[0], *sizes)


def test_symbolic_shapes_are_those_of_a_call(embedding):
    head, _ = built(embedding, "mixed_bfloat16")
    for length, predictions in ((None, None), (T, M)):
        positions = [keras.KerasTensor((None, predictions), dtype="int32") for _ in range(3)]
        logits = head(keras.KerasTensor((None, length, D)), *positions)
        assert (logits.shape, logits.dtype) == ((None, predictions, V), "float32")


def test_it_is_made_again_from_its_configuration(embedding, rebuild):
    head = rebuild(SpanBoundaryHead(embedding(V, D)[0], ROWS, P, dtype="mixed_float16", name="mine"))
    assert (head.max_span_positions, head.position_dim, head.name) == (ROWS, P, "mine")
    assert (head.embedding.input_dim, head.compute_dtype) == (V, "float16")
