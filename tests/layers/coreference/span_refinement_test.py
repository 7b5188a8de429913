"""The refinement of spans against NumPy, span by span. B 2, Q 5, A 3, G 6."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.coreference.span_refinement import SpanRefinement

B, Q, A, G = 2, 5, 3, 6


@pytest.fixture
def layer(randomize):
    layer = SpanRefinement()
    layer.build((None, None, G))
    return layer, randomize(layer, scale=0.6)


@pytest.fixture
def given(rng):
    """Vectors, scores with the dummy's 0 first, and the antecedents' vectors; some spans have fewer antecedents."""
    scores = np.concatenate([np.zeros((B, Q, 1)), rng.normal(0.0, 2.0, (B, Q, A))], axis=-1)
    scores[0, 0, 1:] = scores[1, 2, 2:] = -1e9
    return rng.normal(size=(B, Q, G)), scores, rng.normal(size=(B, Q, A, G))


def slow(queries, scores, others, weights):
    """g' = f a + (1 - f) g with f = sigmoid(W [g; a] + b) and a the mean of [g; antecedents] by softmax."""
    found = np.zeros_like(queries)
    for b, i in np.ndindex(*queries.shape[:2]):
        shares = np.exp(scores[b, i] - scores[b, i].max())
        attended = shares / shares.sum() @ np.vstack([queries[b, i], others[b, i]])
        x = np.concatenate([queries[b, i], attended])
        gate = 1.0 / (1.0 + np.exp(-(x @ weights["gate/kernel"] + weights["gate/bias"])))
        found[b, i] = gate * attended + (1.0 - gate) * queries[b, i]
    return found


def call(layer, given):
    return layer(*(x.astype("float32") for x in given))


def test_a_span_moves_towards_its_expected_antecedent(layer, given, to_numpy):
    layer, weights = layer
    found = call(layer, given)
    assert tuple(found.shape) == (B, Q, G) and keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(found), slow(*given, weights), atol=2e-6)


def test_without_antecedents_a_span_stays(layer, given, to_numpy):
    found = to_numpy(call(layer[0], given))
    np.testing.assert_allclose(found[0, 0], given[0][0, 0], atol=1e-6)
    assert np.abs(found - given[0]).max(-1).reshape(-1)[1:].min() > 1e-3


@pytest.mark.parametrize("bias, towards", [(100.0, "attended"), (-100.0, "itself")])
def test_an_open_gate_takes_the_antecedent_and_a_shut_one_keeps_the_span(layer, given, to_numpy, bias, towards):
    queries, scores, others = given
    layer[0].gate.bias.assign(np.full(G, bias, "float32"))
    scores[:, :, 1:] = -1e9
    scores[:, :, 2] = 60.0  # the second antecedent and no other
    expected = others[:, :, 1] if towards == "attended" else queries
    np.testing.assert_allclose(to_numpy(call(layer[0], (queries, scores, others))), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1e3, 1e8])
def test_large_scores_stay_finite(layer, given, to_numpy, scale):
    queries, scores, others = given
    given = queries, np.where(scores > -1e8, scale * scores, scores), others
    np.testing.assert_allclose(to_numpy(call(layer[0], given)), slow(*given, layer[1]), atol=2e-6)


def test_the_gate_has_a_number_for_each_of_the_vector():
    layer = SpanRefinement()
    layer.build((None, None, 2324))
    assert tuple(layer.gate.kernel.shape) == (2 * 2324, 2324)
    assert layer.count_params() == 2 * 2324 * 2324 + 2324


def test_it_builds_itself_when_called(given):
    layer = SpanRefinement()
    assert tuple(call(layer, given).shape) == (B, Q, G) and tuple(layer.gate.kernel.shape) == (2 * G, G)


def test_symbolic_shapes_are_those_of_a_call(layer):
    shapes = [(None, Q, G), (None, Q, A + 1), (None, Q, A, G)]
    found = layer[0](*(keras.KerasTensor(shape) for shape in shapes))
    assert (found.shape, found.dtype) == ((None, Q, G), "float32")


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(SpanRefinement(name="mine"))
    assert (layer.name, layer.dtype_policy.name) == ("mine", "float32")
