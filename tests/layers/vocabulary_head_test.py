"""The last layer of both heads: the tied matrix and a bias. B 2, M 3, D 5, V 11."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.masked_lm_head import MaskedLMHead
from spanbert_keras.layers.vocabulary_head import VocabularyHead

B, M, D, V = 2, 3, 5, 11


def built(embedding, dtype="float32"):
    layer, values = embedding(V, D, dtype)
    head = VocabularyHead(layer, dtype=dtype)
    head.build_vocabulary_bias()
    head.built = True
    return head, values


def test_logits_are_the_product_with_the_embedding_and_a_bias(embedding, to_numpy, rng, policy):
    name, tolerance = policy
    head, values = built(embedding, name)
    bias = rng.normal(size=V).astype("float32")
    head.vocabulary_bias.assign(bias)
    x = rng.normal(size=(B, M, D)).astype("float32")
    logits = head.logits(keras.ops.cast(x, head.compute_dtype))
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(logits), x @ values.T + bias, atol=tolerance)


def test_the_bias_begins_at_zero_and_belongs_to_one_head(embedding):
    layer, _ = embedding(V, D)
    heads = [VocabularyHead(layer), VocabularyHead(layer)]
    for head in heads:
        head.build_vocabulary_bias()
        assert keras.ops.convert_to_numpy(head.vocabulary_bias).tolist() == [0.0] * V
    assert heads[0].vocabulary_bias is not heads[1].vocabulary_bias


def test_the_embedding_is_the_layer_itself_and_counts_once(embedding):
    layer, _ = embedding(V, D)
    head = VocabularyHead(layer)
    head.build_vocabulary_bias()
    assert head.embedding is layer
    assert [weight.path.split("/")[-1] for weight in head.weights] == ["vocabulary_bias", "embeddings"]


def test_an_embedding_that_is_not_built_yet_is_built():
    head = VocabularyHead(keras.layers.ReversibleEmbedding(V, D))
    head.build_vocabulary_bias()
    assert head.embedding.built and tuple(head.vocabulary_bias.shape) == (V,)


def test_the_symbolic_logits_have_one_row_per_position(embedding):
    head, _ = built(embedding)
    spec = head.logits_spec(keras.KerasTensor((None, M), dtype="int32"))
    assert (spec.shape, spec.dtype) == ((None, M, V), "float32")


def test_its_configuration_holds_the_embedding(embedding):
    head, _ = built(embedding)
    again = VocabularyHead.from_config(head.get_config())
    assert (again.embedding.input_dim, again.embedding.output_dim, again.embedding.name) == (V, D, "token_embedding")
    given = keras.layers.ReversibleEmbedding(V, D)
    assert VocabularyHead.from_config(head.get_config() | {"embedding": given}).embedding is given


def with_lora(layer):
    layer.enable_lora(2)
    layer.lora_embeddings_b.assign(np.ones(layer.lora_embeddings_b.shape))
    return layer


EMBEDDINGS = {
    "plain": lambda: keras.layers.ReversibleEmbedding(V, D),
    "untied": lambda: keras.layers.ReversibleEmbedding(V, D, tie_weights=False),
    "capped": lambda: keras.layers.ReversibleEmbedding(V, D, logit_soft_cap=0.1),
    "float64": lambda: keras.layers.ReversibleEmbedding(V, D, dtype="float64"),
    "LoRA": lambda: with_lora(EMBEDDINGS["built"]()),
    "int8": lambda: EMBEDDINGS["built"]("int8"),
}


def built_embedding(quantized=None):
    layer = keras.layers.ReversibleEmbedding(V, D)
    layer.build()
    if quantized:
        layer.quantize(quantized)
    return layer


EMBEDDINGS["built"] = built_embedding


@pytest.mark.parametrize("kind", [kind for kind in EMBEDDINGS if kind != "built"])
def test_training_computes_the_logits_of_predictions_for_every_kind_of_embedding(to_numpy, rng, kind):
    head = VocabularyHead(EMBEDDINGS[kind](), dtype="float64" if kind == "float64" else "float32")
    head.build_vocabulary_bias()
    head.built = True
    x = keras.ops.convert_to_tensor(rng.normal(size=(B, M, D)), head.compute_dtype)
    trained, predicted = (to_numpy(head.logits(x, training)) for training in (True, False))
    np.testing.assert_allclose(trained, predicted, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="on torch Keras' layer computes the logits")
def test_the_matrix_of_trained_logits_is_float32_under_a_mixed_policy(to_numpy, rng, embedding):
    """Also where no autocast scope is open, as in `stateless_call`."""
    layer, values = embedding(V, D, "mixed_bfloat16")
    head = MaskedLMHead(layer, dtype="mixed_bfloat16")
    x, places = np.ones((B, 4, D), "float32"), np.zeros((B, M), "int32")
    head.build((B, 4, D))
    head.norm.beta.assign(np.ones(D))
    head.norm.gamma.assign(np.zeros(D))
    state = [v.value for v in head.trainable_variables], [v.value for v in head.non_trainable_variables]
    logits, _ = head.stateless_call(*state, keras.ops.cast(x, "bfloat16"), places, training=True)
    np.testing.assert_allclose(to_numpy(logits), np.broadcast_to(values.sum(1), (B, M, V)), atol=1e-5)
