"""Self-attention against a slow float64 version, under masks, dtype policies, LoRA and large scores. B 2, T 7, D 12."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.self_attention import SelfAttention

B, T, D, H = 2, 7, 12, 3


def built(dtype="float32", dropout=0.1, **kwargs):
    layer = SelfAttention(H, dropout, dtype=dtype, **kwargs)
    layer.build((None, None, D))
    return layer


def random_mask(rng):
    mask = rng.random((B, T, T)) < 0.6
    mask[:, np.arange(T), np.arange(T)] = True
    return mask


def test_it_equals_float64_under_every_policy(oracle, randomize, to_numpy, rng, policy):
    name, tolerance = policy
    layer, x, mask = built(name), rng.normal(size=(B, T, D)), random_mask(rng)
    weights = randomize(layer)
    y = layer(x.astype("float32"), mask)
    assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
    np.testing.assert_allclose(to_numpy(y), oracle.attention(x, mask, weights, H), atol=tolerance)


def test_a_query_that_sees_nothing_takes_the_mean_as_in_bert(oracle, randomize, to_numpy, rng):
    layer, x, mask = built(), rng.normal(size=(B, T, D)), random_mask(rng)
    weights = randomize(layer, scale=0.1)
    mask[1, 4] = False
    y = to_numpy(layer(x.astype("float32"), mask))
    values = x[1] @ weights["value/kernel"] + weights["value/bias"]
    scores_matter_little = values.mean(0) @ weights["output/kernel"] + weights["output/bias"]
    np.testing.assert_allclose(y[1, 4], scores_matter_little, atol=0.1)
    np.testing.assert_allclose(y[0], oracle.attention(x, mask, weights, H)[0], atol=2e-5)


def test_what_is_masked_has_no_influence_at_all(randomize, to_numpy, rng):
    layer, x = built(), rng.normal(size=(B, T, D)).astype("float32")
    randomize(layer)
    mask = np.ones((B, T, T), bool)
    mask[:, :4, 4:] = False
    changed = x.copy()
    changed[:, 4:] = 50.0 * rng.normal(size=(B, T - 4, D))
    np.testing.assert_allclose(to_numpy(layer(x, mask))[:, :4], to_numpy(layer(changed, mask))[:, :4], atol=1e-6)


def test_huge_scores_stay_finite_and_what_is_masked_stays_masked(to_numpy, policy):
    """Every piece scores hugely low but for one, which scores hugely high."""
    layer = built(policy[0])
    for weight in layer.weights:
        weight.assign(np.zeros(weight.shape, "float32"))
    # Scores of +-80,000 in float16, past its 65,504, where they are limited; of +-10,000 elsewhere.
    layer.query_dense.bias.assign(np.full(D, 200.0 if layer.compute_dtype == "float16" else 25.0, "float32"))
    layer.key_dense.kernel.assign(200.0 * np.eye(D, dtype="float32"))
    layer.value_dense.kernel.assign(np.eye(D, dtype="float32"))
    layer.output_dense.kernel.assign(np.eye(D, dtype="float32"))
    x, mask = -np.ones((B, T, D), "float32"), np.ones((B, T, T), bool)
    x[:, 5] = 1.0
    np.testing.assert_allclose(to_numpy(layer(x, mask)), 1.0, atol=1e-6)  # all attention on piece 5
    mask[:, :, 5] = False
    np.testing.assert_allclose(to_numpy(layer(x, mask)), -1.0, atol=1e-6)  # none


def test_lora_adds_its_product_to_the_fused_projection(oracle, randomize, to_numpy, rng):
    layer, x, mask = built(), rng.normal(size=(B, T, D)), random_mask(rng)
    layer.query_dense.enable_lora(2)
    layer.value_dense.enable_lora(3)
    weights = randomize(layer)
    for name in ("query", "value"):
        weights[f"{name}/kernel"] = weights[f"{name}/kernel"] + (
            weights[f"{name}/lora_kernel_a"] @ weights[f"{name}/lora_kernel_b"]
        )
    np.testing.assert_allclose(
        to_numpy(layer(x.astype("float32"), mask)), oracle.attention(x, mask, weights, H), atol=2e-5
    )


def test_int8_weights_compute_nearly_the_same(randomize, to_numpy, rng):
    layer, x, mask = built(), rng.normal(size=(B, T, D)).astype("float32"), random_mask(rng)
    randomize(layer)
    before = to_numpy(layer(x, mask))
    for dense in (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense):
        dense.quantize("int8")
    np.testing.assert_allclose(to_numpy(layer(x, mask)), before, atol=0.1 * np.abs(before).max())


def test_dropout_acts_in_training_alone_and_keeps_the_mean(to_numpy, rng):
    layer = built(dropout=0.25)
    layer.value_dense.kernel.assign(np.zeros((D, D), "float32"))
    layer.value_dense.bias.assign(np.ones(D, "float32"))
    layer.output_dense.kernel.assign(np.eye(D, dtype="float32"))
    x, mask = rng.normal(size=(400, T, D)).astype("float32"), np.ones((400, T, T), bool)
    np.testing.assert_allclose(to_numpy(layer(x, mask, training=False)), 1.0, atol=1e-5)
    dropped = to_numpy(layer(x, mask, training=True))  # each entry: a sum of weights, a quarter of them dropped
    assert 0.1 < dropped.std() < 0.4 and abs(dropped.mean() - 1.0) < 0.02


def test_the_rate_is_that_of_the_dropout_layer(to_numpy, rng):
    layer, x = built(dropout=0.5), rng.normal(size=(B, T, D)).astype("float32")
    layer.dropout_layer.rate = 0.0
    mask = np.ones((B, T, T), bool)
    trained, predicted = (to_numpy(layer(x, mask, training=training)) for training in (True, False))
    np.testing.assert_allclose(trained, predicted, atol=1e-5)


@pytest.mark.parametrize("attention", ["reference", "fused"])
def test_both_kinds_of_attention_compute_the_same(oracle, randomize, to_numpy, rng, attention):
    layer, x, mask = built(dropout=0.0, attention=attention), rng.normal(size=(B, T, D)), random_mask(rng)
    weights = randomize(layer)
    for training in (True, False):
        y = to_numpy(layer(x.astype("float32"), mask, training=training))
        np.testing.assert_allclose(y, oracle.attention(x, mask, weights, H), atol=2e-5)


def test_symbolic_shapes_are_those_of_a_call():
    for length in (None, T):
        y = built("mixed_bfloat16")(keras.KerasTensor((None, length, D)), keras.KerasTensor((None, length, length)))
        assert (y.shape, y.dtype) == ((None, length, D), "bfloat16")


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="Received: hidden_dim=13, num_heads=3"):
        SelfAttention(H).build((None, None, 13))


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(SelfAttention(H, 0.2, dtype="mixed_float16", name="mine"))
    assert (layer.num_heads, layer.dropout, layer.name, layer.compute_dtype) == (H, 0.2, "mine", "float16")
    assert layer.dropout_layer.rate == 0.2
