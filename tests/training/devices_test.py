"""Tests of the machine, and of what every backend's training step promises (`make_step`)."""

import sys

import keras
import numpy as np
import pytest

from spanbert_keras.training.devices import configure_devices, has_accelerator, make_step
from spanbert_keras.training.loss_scale import INITIAL_SCALE
from spanbert_keras.training.objective import SCORE_KEYS, StepSettings, target_counts


def number(value):
    return np.array(keras.ops.convert_to_numpy(value))


def train(step, batch, seeds, scale=1.0, scale_steps=0):
    results = step.train(batch, target_counts(batch), seeds, scale, scale_steps)
    return {key: number(value) for key, value in results.items()}


def test_a_step_returns_scores_loss_norm_and_scale(make_training_step, batch, seeds_of):
    step = make_training_step()
    results = train(step, batch, seeds_of(step))
    assert set(results) == {*SCORE_KEYS, "loss", "gradient_norm", "finite", "scale", "scale_steps"}
    assert all(results[key].shape == batch["mask_ids"].shape for key in SCORE_KEYS)
    mlm = (results["mlm_losses"] * batch["mask_weights"]).sum()
    sbo = (results["sbo_losses"] * batch["span_weights"]).sum()
    assert results["loss"] == pytest.approx((mlm + sbo) / batch["mask_weights"].sum(), rel=1e-5)
    assert abs(mlm / batch["mask_weights"].sum() - np.log(64)) < 0.3
    assert bool(results["finite"]) and results["scale"] == 1.0


def test_training_lowers_the_loss(make_training_step, batch, seeds_of):
    step = make_training_step()
    losses = [train(step, batch, seeds_of(step))["loss"] for _ in range(15)]
    assert losses[-1] < losses[0] - 0.5


def test_parts_of_a_batch_give_the_update_of_the_whole(make_training_step, batch, seeds_of, weights_of):
    found = []
    for parts in (1, 2):
        step = make_training_step("sgd", 1.0, accumulation_steps=parts, clip_norm=None)
        results = [train(step, batch, seeds_of(step)) for _ in range(2)][-1]
        found.append((results, weights_of(step.model)))
    for key in (*SCORE_KEYS, "loss", "gradient_norm"):
        np.testing.assert_allclose(found[0][0][key], found[1][0][key], rtol=1e-5, atol=1e-5, err_msg=key)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_clipped_by_its_global_norm(make_training_step, batch, seeds_of, weights_of):
    plain = make_training_step("sgd", 1.0, clip_norm=None)
    norm = train(plain, batch, seeds_of(plain))["gradient_norm"]
    assert norm > 0.6
    step = make_training_step("sgd", 1.0, clip_norm=0.5)
    before = weights_of(step.model)
    assert train(step, batch, seeds_of(step))["gradient_norm"] == pytest.approx(norm, rel=1e-5)  # before clipping
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(before, weights_of(step.model), strict=True)))
    assert moved == pytest.approx(0.5, rel=1e-3)


def test_the_gradient_is_the_slope_of_the_loss(make_training_step, batch, seeds_of):
    step = make_training_step("sgd", 1e-3, clip_norm=None)
    first, second = (train(step, batch, seeds_of(step)) for _ in range(2))
    slopes = (first["gradient_norm"] ** 2 + second["gradient_norm"] ** 2) / 2  # trapezium: the mean of both ends
    assert first["loss"] - second["loss"] == pytest.approx(1e-3 * slopes, rel=0.02)


def test_a_gradient_that_is_not_finite_changes_nothing(make_training_step, batch, seeds_of, weights_of):
    step = make_training_step()
    train(step, batch, seeds_of(step))
    before, state = weights_of(step.model), [number(v.value) for v in step.optimizer.variables]
    results = step.train(batch, np.float32([np.nan, np.nan]), seeds_of(step), 1.0, 0)
    assert not bool(number(results["finite"])) and not np.isfinite(number(results["loss"]))
    assert all((a == b).all() for a, b in zip(before, weights_of(step.model), strict=True))
    assert all((a == number(v.value)).all() for a, v in zip(state, step.optimizer.variables, strict=True))
    assert bool(train(step, batch, seeds_of(step))["finite"])
    assert any((a != b).any() for a, b in zip(before, weights_of(step.model), strict=True))


def test_overflow_in_float16_lowers_the_scale_and_skips_the_update(make_training_step, batch, seeds_of, weights_of):
    step = make_training_step(dtype="mixed_float16", scale_loss=True)
    before = weights_of(step.model)
    results = train(step, batch, seeds_of(step), 2.0**40, 7)
    assert not bool(results["finite"])
    assert (results["scale"], results["scale_steps"]) == (2.0**39, 0)
    assert np.isfinite(results["loss"])
    assert all((a == b).all() for a, b in zip(before, weights_of(step.model), strict=True))
    results = train(step, batch, seeds_of(step), 2.0**8, 7)
    assert bool(results["finite"])
    assert (results["scale"], results["scale_steps"]) == (2.0**8, 8)
    assert any((a != b).any() for a, b in zip(before, weights_of(step.model), strict=True))


def test_the_loss_scale_does_not_change_the_update(make_training_step, batch, seeds_of, weights_of):
    found = []
    for scale in (1.0, INITIAL_SCALE):
        step = make_training_step("sgd", 1.0, scale_loss=True)
        results = train(step, batch, seeds_of(step), scale)
        found.append((results["loss"], results["gradient_norm"], weights_of(step.model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found[0][2], found[1][2], strict=True))


@pytest.mark.parametrize("dtype, scale_loss", [("mixed_bfloat16", False), ("mixed_float16", True)])
def test_mixed_precision_keeps_weights_and_losses_in_float32(
    make_training_step, batch, seeds_of, weights_of, dtype, scale_loss
):
    settings = {"scale_loss": True} if scale_loss else {}
    step = make_training_step(dtype=dtype, **settings)
    plain = make_training_step()
    assert {w.dtype for w in weights_of(step.model)} == {np.dtype(np.float32)}
    results = train(step, batch, seeds_of(step))
    assert results["mlm_losses"].dtype == np.float32
    assert results["loss"] == pytest.approx(train(plain, batch, seeds_of(plain))["loss"], rel=0.02)


def test_dropout_is_a_function_of_its_seeds(make_training_step, batch, seeds_of):
    step = make_training_step(dropout=0.3, learning_rate=0.0)
    assert seeds_of(step).shape[1] > 0
    one, again, other = (train(step, batch, seeds_of(step, i))["mlm_losses"] for i in (0, 0, 1))
    real = batch["mask_weights"] > 0
    assert (one == again).all()
    assert (one[real] != other[real]).mean() > 0.9


def test_parts_of_a_step_have_dropout_of_their_own(make_training_step, batch, seeds_of):
    twice = {key: np.concatenate([value[:2], value[:2]]) for key, value in batch.items()}
    step = make_training_step(dropout=0.3, accumulation_steps=2)
    losses = train(step, twice, seeds_of(step))["mlm_losses"]
    real = twice["mask_weights"][:2] > 0
    assert (losses[:2][real] != losses[2:][real]).mean() > 0.9
    plain = make_training_step("sgd", 0.0, accumulation_steps=2, clip_norm=None)
    losses = train(plain, twice, seeds_of(plain))["mlm_losses"]
    np.testing.assert_allclose(losses[:2], losses[2:], rtol=1e-5)


def test_evaluation_has_no_dropout_and_changes_nothing(make_training_step, batch, seeds_of, weights_of):
    step = make_training_step(dropout=0.3, learning_rate=0.0)
    before = weights_of(step.model)
    one = {key: number(value) for key, value in step.evaluate(batch).items()}
    train(step, batch, seeds_of(step))
    again = {key: number(value) for key, value in step.evaluate(batch).items()}
    plain = make_training_step(dropout=0.0)
    plain.model.set_weights(step.model.get_weights())
    expected = plain.evaluate(batch)
    assert set(one) == set(SCORE_KEYS)
    for key in SCORE_KEYS:
        assert (one[key] == again[key]).all()
        np.testing.assert_allclose(one[key], number(expected[key]), rtol=1e-5, atol=1e-5)
    assert all((a == b).all() for a, b in zip(before, weights_of(step.model), strict=True))


def test_rows_of_padding_give_finite_scores_and_no_gradient(stream_of, make_training_step, seeds_of):
    stream = stream_of()
    step = make_training_step("sgd", 0.0, clip_norm=None)
    whole = {key: number(value) for key, value in step.evaluate(stream.rows(np.arange(4))).items()}
    found = []
    for positions in ([0, 1, -1, -1], [-1, 0, -1, 1]):
        part = stream.rows(np.array(positions))
        assert all(np.isfinite(number(value)).all() for value in step.evaluate(part).values())
        found.append(train(step, part, seeds_of(step)))
    real = stream.rows(np.array([0, 1]))
    total = (whole["mlm_losses"][:2] * real["mask_weights"]).sum() + (
        whole["sbo_losses"][:2] * real["span_weights"]
    ).sum()
    for results in found:
        assert results["loss"] == pytest.approx(total / real["mask_weights"].sum(), rel=1e-5)
        assert results["gradient_norm"] == pytest.approx(found[0]["gradient_norm"], rel=1e-4)


def test_devices_are_ready_and_tensorflow_takes_no_gpu_from_others():
    configure_devices()
    configure_devices()
    assert isinstance(has_accelerator(), bool)
    if keras.backend.backend() != "tensorflow" and "tensorflow" in sys.modules:
        assert sys.modules["tensorflow"].config.get_visible_devices("GPU") == []


def test_a_small_model_runs_without_accelerator_settings():
    name = {"tensorflow": "TensorFlowStep", "jax": "JaxStep", "torch": "TorchStep"}[keras.backend.backend()]
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.input_keys = ()
    assert type(make_step(model, keras.optimizers.SGD(), StepSettings())).__name__ == name
