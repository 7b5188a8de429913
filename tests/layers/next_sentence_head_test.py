"""The next-sentence head against a slow float64 version. B 2, T 9, P 3, D 8."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.next_sentence_head import NextSentenceHead

B, T, P, D = 2, 9, 3, 8


def built(dtype="float32"):
    head = NextSentenceHead(dtype=dtype)
    head.build((None, None, D))
    return head


def slow(oracle, weights, sequence, positions):
    x = oracle.pick(sequence, positions)
    x = np.tanh(x @ weights["pooler_dense/kernel"] + weights["pooler_dense/bias"])
    return x @ weights["classifier/kernel"] + weights["classifier/bias"]


def test_it_equals_float64_under_every_policy(oracle, randomize, to_numpy, rng, policy):
    name, tolerance = policy
    head = built(name)
    weights = randomize(head)
    assert len(weights) == 4
    sequence, positions = rng.normal(size=(B, T, D)), rng.integers(0, T, (B, P)).astype("int32")
    logits = head(sequence.astype("float32"), positions)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(logits), slow(oracle, weights, sequence, positions), atol=tolerance)


@pytest.mark.parametrize("width, count", [(768, 592_130), (1024, 1_051_650)], ids=["base", "large"])
def test_the_heads_parameters_at_the_published_sizes(width, count):
    head = NextSentenceHead()
    head.build((None, None, width))
    assert head.count_params() == count


def test_kernels_begin_as_berts_and_biases_at_zero(to_numpy):
    keras.utils.set_random_seed(3)
    head = NextSentenceHead()
    head.build((None, None, 200))
    for dense in (head.pooler_dense, head.classifier):
        kernel = to_numpy(dense.kernel.value)
        assert kernel.std() == pytest.approx(0.02, rel=0.1) and not to_numpy(dense.bias.value).any()
    assert head.classifier.dtype_policy.name == "float32" and head.pooler_dense.activation is keras.activations.tanh


def test_symbolic_shapes_are_those_of_a_call():
    head = built("mixed_bfloat16")
    for length, pairs in ((None, None), (T, P)):
        logits = head(keras.KerasTensor((None, length, D)), keras.KerasTensor((None, pairs), dtype="int32"))
        assert (logits.shape, logits.dtype) == ((None, pairs, 2), "float32")


def test_it_is_made_again_from_its_configuration(rebuild):
    head = rebuild(NextSentenceHead(dtype="mixed_float16", name="mine"))
    assert isinstance(head, NextSentenceHead) and (head.name, head.compute_dtype) == ("mine", "float16")
