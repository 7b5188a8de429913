"""Attention by tiles of queries, and cuDNN's, as a training step would be lowered for a CUDA device."""

import re

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.kernels import jax_attention
from spanbert_keras.kernels.attention import attention_facts, fused_attention

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="attention on JAX")

B, H, T, E = 2, 3, 21, 8
SEED = np.array([3, 8], "int64")
CUDNN = ("__cudnn$fmhaScaleBiasSoftmax", "__cudnn$fmhaScaleBiasSoftmaxBackward")


@pytest.mark.parametrize("queries", [1, 4, 7, 20])  # of a tile; the last one may be filled up
@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_tiles_change_nothing(value_and_gradients, monkeypatch, rng, queries, rate):
    mask = rng.random((B, T, T)) < 0.5
    mask[:, 3] = False  # a query that sees nothing
    arrays, upstream = [rng.normal(size=(B, H, T, E)) for _ in range(3)], rng.normal(size=(B, H, T, E))

    def compute(*tensors):
        return fused_attention(*tensors, mask, SEED, rate=rate)

    expected = value_and_gradients(compute, arrays, upstream)
    monkeypatch.setattr(jax_attention, "QUERIES", queries)
    for a, b in zip(value_and_gradients(compute, arrays, upstream), expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.fixture
def on_cuda(monkeypatch):
    """Pretends that JAX has an NVIDIA GPU with cuDNN, for lowering alone."""
    from jax._src.cudnn import fused_attention_stablehlo as cudnn

    monkeypatch.setattr(jax_attention, "has_cudnn_attention", lambda: True)
    monkeypatch.setattr(cudnn, "check_cudnn_version", lambda: 91000)
    monkeypatch.setattr(cudnn, "check_compute_capability", lambda _: True)


def lowered_step(dtype, attention_dropout, length=256):
    """Returns the text of an encoder's loss and gradients, lowered for CUDA."""
    import jax

    from spanbert_keras import SpanBertEncoder

    encoder = SpanBertEncoder(
        *(40, 2, 2, 16, 32), attention_dropout=attention_dropout, max_sequence_length=length, dtype=dtype
    )
    encoder.set_attention("fused")
    trainable, others = ([v.value for v in vs] for vs in (encoder.trainable_variables, encoder.non_trainable_variables))
    inputs = {name: np.ones((4, length), "int32") for name in encoder.input_keys}

    def loss(trainable, others, inputs):
        outputs, _ = encoder.stateless_call(trainable, others, inputs, training=True)
        return ops.sum(ops.square(ops.cast(outputs["sequence_output"], "float32")))

    step = jax.jit(jax.value_and_grad(loss))
    unchecked = [jax.export.DisabledSafetyCheck.custom_call(name) for name in CUDNN]
    export = jax.export.export(step, platforms=["cuda"], disabled_checks=unchecked)
    return str(export(trainable, others, inputs).mlir_module())


@pytest.mark.parametrize(
    ("dtype", "attention_dropout", "length", "cudnn"),
    [
        ("mixed_bfloat16", 0.0, 256, True),
        ("mixed_bfloat16", 0.0, 255, False),  # cuDNN's gradient needs an even length
        ("mixed_bfloat16", 0.1, 256, False),
        ("float32", 0.0, 256, False),
    ],
)
def test_a_step_lowered_for_cuda_has_no_weights_in_float32(on_cuda, dtype, attention_dropout, length, cudnn):
    text = lowered_step(dtype, attention_dropout, length)
    calls = set(re.findall(r"__cudnn\$\w+", text))
    assert calls == (set(CUDNN) if cudnn else set())
    assert f"tensor<4x{length}x16x" in text and f"tensor<4x2x{length}x{length}xf32>" not in text


def test_weights_that_are_stored_would_be_found(on_cuda, monkeypatch):
    monkeypatch.setattr(jax_attention, "QUERIES", 256)
    assert "tensor<4x2x256x256xf32>" in lowered_step("float32", 0.0)


def test_the_record_names_the_kernel(on_cuda):
    assert attention_facts("auto", "bfloat16", 0.0, 512, 128)["kernel"] == "cudnn"
    for settings in (
        ("float32", 0.0, 512, 64),
        ("bfloat16", 0.1, 512, 64),
        ("bfloat16", 0.0, 511, 64),
        ("bfloat16", 0.0, 512, 12),
        ("bfloat16", 0.0, 512, 136),
    ):
        assert attention_facts("auto", *settings)["kernel"] == "recomputed"
    assert attention_facts("reference", "bfloat16", 0.0, 512, 64)["kernel"] == "reference"


def test_a_processor_has_no_cudnn():
    assert jax_attention.has_cudnn_attention() is False


@pytest.mark.parametrize(("length", "size"), [(136, 68), (129, 65), (256, 128), (384, 128), (264, 88)])
def test_tiles_are_equal_and_as_few_as_can_be(length, size):
    x = np.arange(2 * length).reshape(2, length)
    tiles = np.asarray(jax_attention._tiles(x, 1))
    assert tiles.shape == (-(-length // 128), 2, size)
    np.testing.assert_array_equal(np.moveaxis(tiles, 0, 1).reshape(2, -1)[:, :length], x)


def test_many_queries_of_no_rows_give_none(value_and_gradients):
    arrays = [np.zeros((0, H, 200, E))] * 3
    found = value_and_gradients(
        lambda *x: fused_attention(*x, np.zeros((0, 200, 200), bool), SEED, rate=0.1), arrays, arrays[0]
    )
    assert [x.shape for x in found] == [(0, H, 200, E)] * 4
