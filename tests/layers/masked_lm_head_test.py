"""The masked-LM head against a slow float64 version. B 2, T 9, M 3, D 8, V 13."""

import keras
import numpy as np

from spanbert_keras.layers.masked_lm_head import MaskedLMHead

B, T, M, D, V = 2, 9, 3, 8, 13


def built(embedding, dtype="float32"):
    layer, values = embedding(V, D, dtype)
    head = MaskedLMHead(layer, dtype=dtype)
    head.build((None, None, D))
    return head, values


def slow(oracle, weights, values, sequence, positions):
    x = oracle.pick(sequence, positions)
    x = oracle.gelu(x @ weights["dense/kernel"] + weights["dense/bias"])
    return oracle.layer_norm(x, weights["norm/gamma"], weights["norm/beta"]) @ values.T + weights["vocabulary_bias"]


def test_it_equals_float64_under_every_policy(oracle, embedding, randomize, to_numpy, rng, policy):
    name, tolerance = policy
    head, values = built(embedding, name)
    weights = randomize(head)
    head.embedding.embeddings.assign(values)
    sequence, positions = rng.normal(size=(B, T, D)), rng.integers(0, T, (B, M)).astype("int32")
    logits = head(sequence.astype("float32"), positions)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    expected = slow(oracle, weights, values, sequence, positions)
    np.testing.assert_allclose(to_numpy(logits), expected, atol=2 * tolerance)


def test_large_scores_stay_finite_under_every_policy(embedding, to_numpy, rng, policy):
    head, values = built(embedding, policy[0])
    head.embedding.embeddings.assign(100.0 * values)
    head.vocabulary_bias.assign(np.full(V, 70_000.0, "float32"))  # past float16's range: added in float32
    logits = to_numpy(head(1000.0 * rng.normal(size=(B, T, D)).astype("float32"), np.zeros((B, M), "int32")))
    assert np.isfinite(logits).all() and logits.max() > 70_000.0


def test_the_heads_own_parameters_at_base_size():
    embedding = keras.layers.ReversibleEmbedding(28_996, 768)
    head = MaskedLMHead(embedding)
    head.build((None, None, 768))
    assert head.count_params() - embedding.count_params() == 621_124


def test_symbolic_shapes_are_those_of_a_call(embedding):
    head, _ = built(embedding, "mixed_bfloat16")
    for length, predictions in ((None, None), (T, M)):
        logits = head(keras.KerasTensor((None, length, D)), keras.KerasTensor((None, predictions), dtype="int32"))
        assert (logits.shape, logits.dtype) == ((None, predictions, V), "float32")


def test_it_is_made_again_from_its_configuration(embedding, rebuild):
    head = rebuild(MaskedLMHead(embedding(V, D)[0], dtype="mixed_float16", name="mine"))
    assert isinstance(head, MaskedLMHead) and (head.name, head.compute_dtype) == ("mine", "float16")
    assert (head.embedding.input_dim, head.embedding.output_dim) == (V, D)
