"""The transformer block against a slow float64 version. B 2, T 6, D 8, I 20."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers import encoder_block
from spanbert_keras.layers.encoder_block import EncoderBlock

B, T, D, INTERMEDIATE, H = 2, 6, 8, 20, 4


@pytest.fixture
def inputs(rng):
    mask = rng.random((B, T, T)) < 0.6
    mask[:, :, 0] = True
    return rng.normal(size=(B, T, D)), mask


def built(dtype="float32", **kwargs):
    block = EncoderBlock(H, INTERMEDIATE, dtype=dtype, **kwargs)
    block.build((None, None, D))
    return block


def test_it_equals_float64_under_every_policy(oracle, randomize, to_numpy, inputs, policy):
    (x, mask), (name, tolerance) = inputs, policy
    block = built(name)
    weights = randomize(block)
    y = block(x.astype("float32"), mask)
    assert keras.backend.standardize_dtype(y.dtype) == block.compute_dtype
    np.testing.assert_allclose(to_numpy(y), oracle.block(x, mask, weights, H), atol=3 * tolerance)


def test_it_has_berts_weights_and_no_others():
    block = built()
    shapes = {weight.path.removeprefix(f"{block.path}/"): tuple(weight.shape) for weight in block.weights}
    attention = {
        f"attention/{name}/{kind}": shape
        for name in ("query", "key", "value", "output")
        for kind, shape in (("kernel", (D, D)), ("bias", (D,)))
    }
    norms = {f"{name}_norm/{kind}": (D,) for name in ("attention", "output") for kind in ("gamma", "beta")}
    dense = {
        "intermediate/kernel": (D, INTERMEDIATE),
        "intermediate/bias": (INTERMEDIATE,),
        "output/kernel": (INTERMEDIATE, D),
        "output/bias": (D,),
    }
    assert shapes == attention | norms | dense


def test_the_output_is_normalised(to_numpy, inputs):
    x, mask = inputs
    y = to_numpy(built()(100.0 * x.astype("float32"), mask))  # post-layer-norm: gains 1 and biases 0 at first
    np.testing.assert_allclose(y.mean(-1), 0.0, atol=1e-6)
    np.testing.assert_allclose(y.std(-1), 1.0, atol=1e-5)


@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5)])
def test_each_dropout_acts_in_training_alone(randomize, to_numpy, inputs, rates):
    x, mask = inputs[0].astype("float32"), inputs[1]
    block = built(dropout=rates[0], attention_dropout=rates[1])
    randomize(block)
    still = to_numpy(block(x, mask, training=False))
    np.testing.assert_array_equal(still, to_numpy(block(x, mask)))
    assert np.abs(to_numpy(block(x, mask, training=True)) - still).max() > 0.01


def test_without_dropout_training_changes_nothing(randomize, to_numpy, inputs):
    x, mask = inputs[0].astype("float32"), inputs[1]
    block = built(dropout=0.0, attention_dropout=0.0)
    randomize(block)
    trained, predicted = (to_numpy(block(x, mask, training=training)) for training in (True, False))
    np.testing.assert_allclose(trained, predicted, rtol=1e-5, atol=1e-6)


def test_float64_trains(randomize, to_numpy, inputs):
    x, mask = inputs
    block = built("float64", dropout=0.0, attention_dropout=0.0)
    randomize(block)
    y = block(keras.ops.convert_to_tensor(x, "float64"), mask, training=True)
    np.testing.assert_allclose(to_numpy(y), to_numpy(block(x, mask)), atol=1e-6)


@pytest.mark.parametrize("name", ["attention", "intermediate", "output_dense", "attention_norm", "output_dropout"])
@pytest.mark.parametrize("training", [True, False])
def test_a_replaced_call_of_an_inner_layer_is_called(inputs, name, training):
    x, mask = inputs[0].astype("float32"), inputs[1]
    block, calls = built(), []
    layer = getattr(block, name)
    call = layer.call
    layer.call = lambda *arguments, **named: calls.append(name) or call(*arguments, **named)
    block(x, mask, training=training)
    assert calls == [name]


def trained(recompute, dtype, attention, inputs, change=None, **changes):
    """Returns the output and the weights after two updates under dropout."""
    keras.utils.set_random_seed(5)
    block = EncoderBlock(H, INTERMEDIATE, 0.5, 0.5, recompute, dtype=dtype)
    block.attention.attention = attention
    for name, value in changes.items():
        setattr(block.intermediate, name, value)
    x, mask = keras.Input((T, D)), keras.Input((T, T), dtype="bool")
    model = keras.Model([x, mask], block(x, mask))
    if change:
        change(block)
    model.compile(keras.optimizers.SGD(0.05), "mean_squared_error")
    values = [inputs[0].astype("float32"), inputs[1]]
    for _ in range(2):
        loss = model.train_on_batch(values, np.ones((B, T, D), "float32"))
    return [np.asarray(loss), *(keras.ops.convert_to_numpy(weight) for weight in block.weights)]


@pytest.fixture
def recomputed_parts(monkeypatch):
    """The parts of blocks that are recomputed, as they come."""
    calls, recomputed = [], encoder_block.recomputed
    monkeypatch.setattr(encoder_block, "recomputed", lambda *given: calls.append(given) or recomputed(*given))
    return calls


@pytest.mark.parametrize(
    "dtype, attention",
    [("float32", "auto"), ("float32", "reference"), ("mixed_bfloat16", "auto"), ("mixed_float16", "reference")],
)
def test_recomputation_changes_no_update(recomputed_parts, inputs, dtype, attention):
    """Dropout at 0.5 would show another mask, and a gradient outside of the layer's call another precision."""
    expected = trained("none", dtype, attention, inputs)
    assert not recomputed_parts
    for recompute in ("attention", "blocks"):
        found = trained(recompute, dtype, attention, inputs)
        assert recomputed_parts
        recomputed_parts.clear()
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6 if dtype == "float32" else 1e-3)


def adapt(block):
    block.attention.query_dense.enable_lora(2)
    block.output_dense.enable_lora(2)


def adapt_int8(block):
    for layer in (block.attention.query_dense, block.intermediate):
        layer.quantize("int8")
    adapt(block)


def freeze(block):
    block.intermediate.trainable = block.attention.trainable = False


@pytest.mark.parametrize("change", [adapt, adapt_int8, freeze])
def test_recomputation_changes_no_update_of_adapted_and_frozen_layers(recomputed_parts, inputs, change):
    expected, *found = (trained(kind, "float32", "auto", inputs, change) for kind in ("none", "attention", "blocks"))
    assert recomputed_parts
    for weights in found:
        for a, b in zip(weights, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("recompute", ["attention", "blocks"])
def test_losses_of_activations_are_not_recomputed(recomputed_parts, inputs, recompute):
    regularizer = keras.regularizers.L2(0.1)
    plain, expected, found = (
        trained(kind, "float32", "auto", inputs, **changes)
        for kind, changes in (
            ("none", {}),
            ("none", {"activity_regularizer": regularizer}),
            (recompute, {"activity_regularizer": regularizer}),
        )
    )
    assert not recomputed_parts and abs(plain[0] - expected[0]) > 1e-4
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def kept_numbers(recompute, inputs, attention="reference"):
    """Returns how many numbers torch keeps for a block's gradient, or how many products JAX and TensorFlow make."""
    block = built(dropout=0.1, attention_dropout=0.1, recompute=recompute)
    block.attention.attention = attention
    x, mask = keras.ops.convert_to_tensor(inputs[0].astype("float32")), keras.ops.convert_to_tensor(inputs[1])
    if keras.backend.backend() == "torch":
        import torch

        kept = {}
        weights = {weight.value.data_ptr() for weight in block.weights}

        def keep(tensor):
            if tensor.data_ptr() not in weights:
                kept[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            block(x.requires_grad_(), mask, training=True)
        return sum(kept.values())
    if keras.backend.backend() == "jax":
        import jax

        def loss(x):
            return keras.ops.sum(block(x, mask, training=True))

        with keras.StatelessScope():
            return str(jax.make_jaxpr(jax.grad(loss))(x)).count("dot_general")
    import tensorflow as tf

    @tf.function(autograph=False)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(block(x, mask, training=True))
        return tape.gradient(y, x)

    graph = gradient.get_concrete_function(x).graph
    return sum("MatMul" in operation.type for operation in graph.get_operations())


def test_more_or_less_is_kept_or_computed_again(inputs):
    none, attention, blocks = (kept_numbers(kind, inputs) for kind in ("none", "attention", "blocks"))
    if keras.backend.backend() == "torch":
        assert none > attention > blocks
    else:
        assert none < attention < blocks


@pytest.mark.parametrize("recompute", ["attention", "blocks"])
def test_float8_keeps_all(recomputed_parts, inputs, recompute):
    block = EncoderBlock(H, INTERMEDIATE, recompute=recompute)
    block.build((None, None, D))
    for layer in (block.intermediate, block.output_dense):
        layer.quantize("float8")
    block(inputs[0].astype("float32"), inputs[1], training=True)
    assert not recomputed_parts


@pytest.mark.parametrize("recompute", ["none", "attention", "blocks"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", [keras.layers.Dropout, keras.layers.SpatialDropout1D])
def test_another_class_may_stand_in_for_dropout(recomputed_parts, inputs, recompute, training, kind):
    block = EncoderBlock(H, INTERMEDIATE, recompute=recompute)
    block.output_dropout, block.attention_output_dropout = kind(0.5), kind(0.5)
    block.attention.dropout_layer = keras.layers.Dropout(0.5)
    block.attention.attention = "fused"
    block.build((None, None, D))
    assert block(inputs[0].astype("float32"), inputs[1], training=training).shape == (B, T, D)
    assert not recomputed_parts


@pytest.mark.parametrize("name", ["output_dropout", "attention_output_dropout"])
def test_a_replaced_call_of_dropout_may_know_nothing_of_seeds(inputs, name):
    block, calls = built(recompute="blocks"), []
    getattr(block, name).call = lambda inputs, training=False: calls.append(training) or inputs
    block(inputs[0].astype("float32"), inputs[1], training=True)
    assert calls == [True]


def test_predictions_are_not_recomputed(recomputed_parts, inputs):
    built(recompute="blocks")(inputs[0].astype("float32"), inputs[1])
    assert not recomputed_parts


def test_dropout_defaults_are_the_papers():
    block = EncoderBlock(H, INTERMEDIATE)
    assert (block.output_dropout.rate, block.attention_output_dropout.rate) == (0.1, 0.1)
    assert block.attention.dropout_layer.rate == 0.1


def test_symbolic_shapes_are_those_of_a_call():
    for length in (None, T):
        y = built("mixed_float16")(keras.KerasTensor((None, length, D)), keras.KerasTensor((None, length, length)))
        assert (y.shape, y.dtype) == ((None, length, D), "float16")


def test_it_is_made_again_from_its_configuration(rebuild):
    block = rebuild(EncoderBlock(H, INTERMEDIATE, 0.2, 0.3, dtype="mixed_bfloat16", name="mine"))
    assert (block.num_heads, block.intermediate_dim, block.name) == (H, INTERMEDIATE, "mine")
    assert (block.output_dropout.rate, block.attention.dropout_layer.rate) == (0.2, 0.3)
    assert block.attention.compute_dtype == "bfloat16"
