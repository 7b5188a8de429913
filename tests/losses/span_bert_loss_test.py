"""The pre-training loss against sums written out in NumPy. B 3, M 4, V 7."""

import math

import keras
import numpy as np
import pytest

from spanbert_keras.losses.span_bert_loss import span_bert_loss, target_losses

B, M, V = 3, 4, 7


@pytest.fixture
def batch():
    rng = np.random.default_rng(3)
    mask = (rng.random((B, M)) < 0.7).astype("float32")
    return {
        "mlm_losses": rng.exponential(2.0, (B, M)).astype("float32"),
        "sbo_losses": rng.exponential(3.0, (B, M)).astype("float32"),
        "mask_weights": mask,
        "span_weights": mask * (rng.random((B, M)) < 0.6).astype("float32"),
    }


def slow(batch, sbo_weight, normalization):
    """Section 3.2 target by target; `separate` as the released code divides."""
    mlm = sbo = mlm_targets = sbo_targets = 0.0
    for b in range(B):
        for m in range(M):
            mlm += float(batch["mlm_losses"][b, m]) * float(batch["mask_weights"][b, m])
            sbo += float(batch["sbo_losses"][b, m]) * float(batch["span_weights"][b, m])
            mlm_targets += float(batch["mask_weights"][b, m])
            sbo_targets += float(batch["span_weights"][b, m])
    if normalization == "targets":
        return (mlm + sbo_weight * sbo) / mlm_targets
    return mlm / mlm_targets + sbo_weight * sbo / (sbo_targets + 1)


@pytest.mark.parametrize("normalization", ["targets", "separate"])
@pytest.mark.parametrize("sbo_weight", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tensors", [False, True], ids=["numpy", "tensors"])
def test_it_equals_the_sums(batch, normalization, sbo_weight, tensors):
    given = {key: keras.ops.convert_to_tensor(value) for key, value in batch.items()} if tensors else batch
    loss = span_bert_loss(**given, sbo_weight=sbo_weight, normalization=normalization)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32" and tuple(loss.shape) == ()
    assert float(loss) == pytest.approx(slow(batch, sbo_weight, normalization), rel=1e-6)


def test_defaults_are_the_papers(batch):
    assert float(span_bert_loss(**batch)) == pytest.approx(slow(batch, 1.0, "targets"), rel=1e-6)


@pytest.mark.parametrize("normalization", ["targets", "separate"])
def test_parts_divided_by_the_whole_batchs_counts_add_up(batch, normalization):
    counts = (batch["mask_weights"].sum(), batch["span_weights"].sum())
    parts = [{key: value[rows] for key, value in batch.items()} for rows in (slice(0, 1), slice(1, 3))]
    total = sum(float(span_bert_loss(**part, counts=counts, normalization=normalization)) for part in parts)
    assert total == pytest.approx(slow(batch, 1.0, normalization), rel=1e-6)
    alone = sum(float(span_bert_loss(**part, normalization=normalization)) for part in parts)
    assert abs(alone - total) > 0.1  # so the counts do matter


@pytest.mark.parametrize("normalization", ["targets", "separate"])
def test_a_batch_without_targets_has_loss_zero(batch, normalization):
    nothing = np.zeros((B, M), "float32")
    empty = batch | {"mask_weights": nothing, "span_weights": nothing}
    assert float(span_bert_loss(**empty, normalization=normalization)) == 0.0


def test_an_unknown_normalization_is_rejected(batch):
    with pytest.raises(ValueError, match="Received: normalization='mean'"):
        span_bert_loss(**batch, normalization="mean")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_target_losses_are_negative_log_probabilities(dtype):
    rng = np.random.default_rng(5)
    logits, ids = rng.normal(0.0, 3.0, (B, M, V)), rng.integers(0, V, (B, M))
    given = keras.ops.convert_to_tensor(logits.astype("float32"), dtype)
    logits = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(given, "float32")), np.float64)
    expected = [
        [math.log(sum(math.exp(v) for v in logits[b, m])) - logits[b, m, ids[b, m]] for m in range(M)] for b in range(B)
    ]
    for id_dtype in ("int32", "int64"):
        losses = target_losses(given, ids.astype(id_dtype))
        assert keras.backend.standardize_dtype(losses.dtype) == "float32"
        np.testing.assert_allclose(keras.ops.convert_to_numpy(losses), expected, atol=2e-5)


def test_target_losses_stay_finite_with_huge_logits():
    logits = np.zeros((1, 2, V), "float32")
    logits[0, :, 2] = 1e6
    losses = keras.ops.convert_to_numpy(target_losses(logits, np.array([[2, 3]])))
    np.testing.assert_allclose(losses, [[0.0, 1e6]], atol=1e-3)


def test_uniform_logits_cost_the_vocabularys_logarithm():
    losses = keras.ops.convert_to_numpy(target_losses(np.zeros((B, M, V), "float32"), np.full((B, M), V - 1)))
    np.testing.assert_allclose(losses, math.log(V), rtol=1e-6)
