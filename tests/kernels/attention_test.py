"""Fused attention against the same steps one by one: values, gradients, packed rows, dropout's law."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.errors import InputError
from spanbert_keras.kernels import attention
from spanbert_keras.kernels.attention import fused_attention, is_fused
from spanbert_keras.kernels.keep_mask import keep_mask, row_keys

B, H, T, E = 6, 2, 10, 4
SEED = np.array([3, 8], "int64")
ON_TORCH = keras.backend.backend() == "torch"


def step_by_step(mask, rate):
    def compute(query, key, value):
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) + ops.where(mask[:, None], 0.0, -30000.0)
        weights = ops.softmax(scores, axis=-1)
        if rate:
            kept = ops.reshape(keep_mask(row_keys(SEED, B * H * T), T, rate), (B, H, T, T))
            weights = ops.where(kept, weights / (1.0 - rate), 0.0)
        return ops.matmul(weights, value)

    return compute


def block_mask(rng):
    """Returns the mask of rows that hold blocks of random lengths, and padding; the last row is padding alone."""
    mask = np.zeros((B, T, T), bool)
    for row in mask[:-1]:
        edges = [0, *sorted(rng.choice(np.arange(1, T), 2, replace=False))]
        for start, end in zip(edges, edges[1:], strict=False):
            row[start:end, start:end] = True
    return mask


@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize("tile", [1, 2 * H * T * T, 2**20])  # a row, two rows, all rows at a time
def test_value_and_gradients_equal_those_of_the_steps(value_and_gradients, fuse_all, monkeypatch, rng, tile, rate):
    if ON_TORCH and rate:
        pytest.skip("torch draws its dropout itself")
    monkeypatch.setattr(attention, "TILE", tile)
    mask, arrays = block_mask(rng), [rng.normal(size=(B, H, T, E)) for _ in range(3)]
    upstream = rng.normal(size=(B, H, T, E))
    if ON_TORCH:  # its kernel is less exact where everything is masked; no loss reads these
        upstream *= mask.any(-1)[:, np.newaxis, :, np.newaxis]
    found = value_and_gradients(lambda *x: fused_attention(*x, mask, SEED, rate=rate), arrays, upstream)
    expected = value_and_gradients(step_by_step(mask, rate), arrays, upstream)
    for name, a, b in zip(("value", "query", "key", "value's gradient"), found, expected, strict=True):
        assert np.isfinite(a).all(), name
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)


def test_dynamic_shapes_give_the_same(fuse_all, monkeypatch, rng):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow alone has shapes that are known later")
    mask, arrays = block_mask(rng), [rng.normal(size=(B, H, T, E)).astype("float32") for _ in range(3)]
    shapes = [tf.TensorSpec((None, H, None, E))] * 3 + [tf.TensorSpec((None, None, None), tf.bool)]

    @tf.function(input_signature=shapes, autograph=False)
    def compute(query, key, value, mask):
        with tf.GradientTape() as tape:
            tape.watch([query, key, value])
            y = fused_attention(query, key, value, mask, SEED, rate=0.25)
        return y, tape.gradient(y, [query, key, value])

    results = []
    for tile in (1, 4 * H * T * T):
        monkeypatch.setattr(attention, "TILE", tile)
        y, gradients = compute(*arrays, mask)
        results.append([x.numpy() for x in (y, *gradients)])
        compute = tf.function(compute.python_function, input_signature=shapes, autograph=False)
    np.testing.assert_allclose(results[0][0], ops.convert_to_numpy(step_by_step(mask, 0.25)(*arrays)), atol=1e-5)
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("static", [True, False])
def test_a_batch_may_have_no_rows(fuse_all, static):
    """As on a replica that gets none of the last batch's rows."""
    rows, mask = np.zeros((0, H, T, E), "float32"), np.zeros((0, T, T), bool)
    if keras.backend.backend() != "tensorflow":
        assert tuple(fused_attention(*map(ops.convert_to_tensor, [rows] * 3), mask, SEED, rate=0.0).shape) == rows.shape
        return
    import tensorflow as tf

    def compute(query, mask):
        with tf.GradientTape() as tape:
            tape.watch(query)
            y = fused_attention(query, query, query, mask, SEED, rate=0.25)
        return y, tape.gradient(y, query)

    batch = 0 if static else None
    shapes = [tf.TensorSpec((batch, H, T, E)), tf.TensorSpec((batch, T, T), tf.bool)]
    traced = tf.function(compute, input_signature=shapes, autograph=False)
    for results in (traced(rows, mask), compute(tf.constant(rows), mask)):
        assert [tuple(x.shape) for x in results] == [rows.shape, rows.shape]


def test_bfloat16_is_near_float32(value_and_gradients, fuse_all, rng):
    mask, arrays = block_mask(rng), [rng.normal(size=(B, H, T, E)) for _ in range(3)]
    upstream = rng.normal(size=(B, H, T, E))

    def half(*tensors):
        return ops.cast(fused_attention(*(ops.cast(x, "bfloat16") for x in tensors), mask, SEED, rate=0.0), "float32")

    found = value_and_gradients(half, arrays, upstream)
    expected = value_and_gradients(step_by_step(mask, 0.0), arrays, upstream)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-2 * np.abs(b).max())


def test_a_block_knows_nothing_of_the_others_bit_for_bit(value_and_gradients, fuse_all, rng):
    mask = np.zeros((B, T, T), bool)
    mask[:, :6, :6] = mask[:, 6:, 6:] = True
    arrays, upstream = [rng.normal(size=(B, H, T, E)) for _ in range(3)], rng.normal(size=(B, H, T, E))
    changed = [x.copy() for x in arrays]
    for x in changed:
        x[:, :, :6] = 3.0 * rng.normal(size=(B, H, 6, E))
    rate = 0.0 if ON_TORCH else 0.25
    results = [
        value_and_gradients(lambda *x: fused_attention(*x, mask, SEED, rate=rate), inputs, upstream)
        for inputs in (arrays, changed)
    ]
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a[:, :, 6:], b[:, :, 6:])


def test_dropout_has_the_mean_and_the_variance_of_independent_draws(rng):
    """The output is a weighted mean of values, of which each is kept or not: its moments are known."""
    query, key, value = (rng.normal(size=(1, 1, T, E)).astype("float32") for _ in range(3))
    keras.utils.set_random_seed(1)  # for torch
    mask, rate, draws = np.ones((1, T, T), bool), 0.1, 40_000
    many = [np.repeat(x, draws, 0) for x in (query, key, value)]
    tensors = [ops.convert_to_tensor(x) for x in many]
    y = ops.convert_to_numpy(fused_attention(*tensors, np.repeat(mask, draws, 0), SEED, rate=rate))
    scores = query[0, 0] @ key[0, 0].T
    weights = np.exp(scores - scores.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    mean, variance = weights @ value[0, 0], rate / (1 - rate) * np.square(weights) @ np.square(value[0, 0])
    np.testing.assert_allclose(y[:, 0].mean(0), mean, atol=4.5 * np.sqrt(variance.max() / draws))
    assert (y[:, 0].var(0) / variance).mean() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "dtype", "training", "expected"),
    [
        ("auto", "float32", True, True),
        ("auto", "bfloat16", True, True),
        ("auto", "float16", True, False),
        ("auto", "float32", False, False),
        ("reference", "float32", True, False),
        ("fused", "float32", True, True),
        ("fused", "float32", False, False),
        ("auto", "float64", True, False),
    ],
)
def test_what_is_fused(kind, dtype, training, expected):
    assert is_fused(kind, dtype, training) is expected


def test_float16_cannot_be_fused():
    with pytest.raises(InputError, match="overflow in float16"):
        is_fused("fused", "float16", False)


@pytest.mark.parametrize("tile", [1, 2 * H * T * T, 2**20])  # a row, two rows, all rows at a time
def test_torch_keeps_no_weights_and_drops_the_same_ones_again(monkeypatch, rng, tile):
    if not ON_TORCH:
        pytest.skip("torch's kernel")
    import torch

    monkeypatch.setattr(attention, "TORCH_TILE", tile)
    mask, upstream = torch.tensor(block_mask(rng)), torch.tensor(rng.normal(size=(B, H, T, E)), dtype=torch.float32)
    mask[-1] = True
    arrays = [torch.tensor(rng.normal(size=(B, H, T, E)), dtype=torch.float32, requires_grad=True) for _ in range(3)]
    shapes = []
    torch.manual_seed(3)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: shapes.append(tuple(x.shape)) or x, lambda x: x):
        y = fused_attention(*arrays, mask, SEED, rate=0.5)
    assert not [shape for shape in shapes if shape[-2:] == (T, T) and shape[-3:-2] == (H,)]
    found = [y, *torch.autograd.grad(y, arrays, upstream)]
    torch.manual_seed(3)
    rows = max(1, tile // (H * T * T))
    parts = []
    for start in range(0, B, rows):
        tile_arrays = [x[start : start + rows] for x in arrays]
        bias = torch.where(mask[start : start + rows, None], 0.0, -30000.0)
        parts.append(torch.nn.functional.scaled_dot_product_attention(*tile_arrays, bias, dropout_p=0.5, scale=1.0))
    expected = torch.cat(parts)
    for a, b in zip(found, [expected, *torch.autograd.grad(expected, arrays, upstream)], strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=1e-6)
