"""Cross-entropy and squared error against sums written out in float64. B 5, C 4."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.losses.classification_loss import classification_losses, multi_label_losses, regression_losses

B, C = 5, 4


@pytest.fixture
def logits():
    return np.random.default_rng(1).normal(0.0, 3.0, (B, C)).astype("float32")


@pytest.fixture
def targets():
    return np.random.default_rng(2).random((B, C)).astype("float32")


def slow(logits, targets):
    losses = []
    for row, target in zip(logits.astype("float64"), targets.astype("float64"), strict=True):
        total = sum(math.exp(x - max(row)) for x in row)
        losses.append(-sum(t * math.log(math.exp(x - max(row)) / total) for x, t in zip(row, target, strict=True)))
    return losses


def numbers(losses):
    assert keras.backend.standardize_dtype(losses.dtype) == "float32" and tuple(losses.shape) == (B,)
    return ops.convert_to_numpy(losses)


@pytest.mark.parametrize("kind", ["labels", "smoothed", "weighted"])
def test_it_is_the_cross_entropy_with_any_target(logits, targets, kind):
    given = {
        "labels": np.eye(C, dtype="float32")[[0, 3, 1, 1, 2]],
        "smoothed": targets / targets.sum(-1, keepdims=True),
        "weighted": targets * 7,
    }[kind]
    np.testing.assert_allclose(numbers(classification_losses(logits, given)), slow(logits, given), rtol=1e-5)
    tensors = ops.convert_to_tensor(logits), ops.convert_to_tensor(given)
    np.testing.assert_allclose(numbers(classification_losses(*tensors)), slow(logits, given), rtol=1e-5)


def test_uniform_logits_cost_ln_c_and_a_shift_nothing(logits, targets):
    one = np.eye(C, dtype="float32")[[0, 3, 1, 1, 2]]
    np.testing.assert_allclose(numbers(classification_losses(np.zeros((B, C), "float32"), one)), math.log(C), rtol=1e-6)
    shifted = numbers(classification_losses(logits + 50, targets))
    np.testing.assert_allclose(shifted, slow(logits, targets), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_extreme_and_half_precision_logits_stay_finite_and_right(logits, dtype):
    half = ops.cast(ops.convert_to_tensor(logits * 4e3), dtype)
    exact = ops.convert_to_numpy(ops.cast(half, "float32"))
    target = np.eye(C, dtype="float32")[exact.argmin(-1)]
    expected = exact.max(-1) - exact.min(-1)  # so far apart that the largest alone counts
    np.testing.assert_allclose(numbers(classification_losses(half, target)), expected, rtol=1e-4)


def test_regression_is_the_squared_error():
    given, wanted = np.array([[1.0], [2.5], [-3.0], [0.0], [4.0]]), np.array([[1.0], [0.5], [3.0], [0.25], [5.0]])
    found = numbers(regression_losses(given.astype("float32"), wanted))
    np.testing.assert_allclose(found, [0.0, 4.0, 36.0, 0.0625, 1.0], rtol=1e-6)
    half = ops.cast(ops.convert_to_tensor(given.astype("float32") * 300), "float16")
    assert np.isfinite(numbers(regression_losses(half, -wanted))).all()  # 300^2 overflows half precision


def test_regression_of_several_numbers_is_the_mean_squared_error(logits, targets):
    expected = ((logits.astype("float64") - targets) ** 2).mean(axis=1)
    np.testing.assert_allclose(numbers(regression_losses(logits, targets)), expected, rtol=1e-5)


def test_several_labels_have_the_mean_binary_cross_entropy(logits, targets):
    for given in (np.eye(C, dtype="float32")[[0, 3, 1, 1, 2]], (targets > 0.5).astype("float32"), targets):
        expected = []
        for row, target in zip(logits.tolist(), given.tolist(), strict=True):
            chances = [1 / (1 + math.exp(-x)) for x in row]
            terms = [t * math.log(p) + (1 - t) * math.log(1 - p) for p, t in zip(chances, target, strict=True)]
            expected.append(-sum(terms) / C)
        np.testing.assert_allclose(numbers(multi_label_losses(logits, given)), expected, rtol=1e-5)


def test_the_loss_of_several_labels_is_that_of_torch(logits, targets):
    torch = pytest.importorskip("torch", reason="the oracle is torch's loss")
    expected = torch.nn.BCEWithLogitsLoss()(torch.tensor(logits), torch.tensor(targets)).item()
    assert numbers(multi_label_losses(logits, targets)).mean() == pytest.approx(expected, rel=1e-5)
    expected = torch.nn.MSELoss()(torch.tensor(logits), torch.tensor(targets)).item()
    assert numbers(regression_losses(logits, targets)).mean() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_extreme_logits_of_several_labels_stay_finite_and_right(logits, dtype):
    half = ops.cast(ops.convert_to_tensor(logits * 4e3), dtype)
    exact = ops.convert_to_numpy(ops.cast(half, "float32")).astype("float64")
    wrong = (exact < 0).astype("float32")  # every label is wrong by its whole logit
    np.testing.assert_allclose(numbers(multi_label_losses(half, wrong)), np.abs(exact).mean(1), rtol=1e-4)
    np.testing.assert_allclose(numbers(multi_label_losses(half, 1 - wrong)), 0.0, atol=1e-4)
