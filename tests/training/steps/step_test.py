"""Tests of the contract of `Step`, on the step of the backend in use."""

import keras
import numpy as np
import pytest

from spanbert_keras.pretraining.objective import SCORE_KEYS, PretrainingObjective
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.steps.loss_scale import INITIAL_SCALE
from spanbert_keras.training.steps.objective import StepSettings

BEST_KEYS = ("mlm_best", "sbo_best")
STEP_KEYS = ("loss", "gradient_norm", "finite", "scales")


def number(value):
    return np.array(keras.ops.convert_to_numpy(value))


def test_a_step_returns_scores_loss_norm_and_scale(make_training_step, batch, seeds_of, train_once):
    step = make_training_step()
    results = train_once(step, batch, seeds_of(step))
    assert set(results) == {*SCORE_KEYS, *STEP_KEYS, "scale", "scale_steps", "votes"}
    assert all(results[key].shape == batch["mask_ids"].shape for key in SCORE_KEYS)
    mlm = (results["mlm_losses"] * batch["mask_weights"]).sum()
    sbo = (results["sbo_losses"] * batch["span_weights"]).sum()
    assert results["loss"] == pytest.approx((mlm + sbo) / batch["mask_weights"].sum(), rel=1e-5)
    assert abs(mlm / batch["mask_weights"].sum() - np.log(64)) < 0.3
    assert bool(results["finite"]) and results["scale"] == results["scales"] == 1.0


def test_training_lowers_the_loss(make_training_step, batch, seeds_of, train_once):
    step = make_training_step()
    losses = [train_once(step, batch, seeds_of(step))["loss"] for _ in range(15)]
    assert losses[-1] < losses[0] - 0.5


def test_parts_of_a_batch_give_the_update_of_the_whole(make_training_step, batch, seeds_of, weights_of, train_once):
    found = []
    for parts in (1, 2):
        step = make_training_step("sgd", 1.0, accumulation_steps=parts, clip_norm=None)
        results = [train_once(step, batch, seeds_of(step)) for _ in range(2)][-1]
        found.append((results, weights_of(step.model)))
    for key in (*SCORE_KEYS, "loss", "gradient_norm"):
        np.testing.assert_allclose(found[0][0][key], found[1][0][key], rtol=1e-5, atol=1e-5, err_msg=key)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("parts", [1, 2])
def test_regularizers_and_added_losses_are_minimised_too(make_model, batch, train_once, seeds_of, parts):
    found = []
    for regularized in (False, True):
        model = make_model()
        kernel, norm = model.encoder.blocks[0].intermediate.kernel, model.encoder.blocks[0].output_norm
        before = np.array(keras.ops.convert_to_numpy(kernel))
        if regularized:
            kernel.regularizer = keras.regularizers.L2(0.25)
            call = norm.call

            def with_loss(x, norm=norm, call=call):
                norm.add_loss(0.5 * keras.ops.mean(keras.ops.square(x)))
                return call(x)

            norm.call = with_loss
            inputs = {key: batch[key] for key in model.input_keys}
            model(inputs)
            added = sum(float(keras.ops.convert_to_numpy(x)) for x in model.losses)
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
        settings = StepSettings(objective=PretrainingObjective(), clip_norm=None, accumulation_steps=parts)
        step = make_step(model, optimizer, settings)
        found.append(train_once(step, batch, seeds_of(step))["loss"])
    assert added > 0.25 * np.square(before).sum() > 0
    assert found[1] - found[0] == pytest.approx(added, rel=1e-4)


def test_frozen_weights_stay_and_their_regularizers_are_left_out(make_model, batch, train_once, seeds_of):
    model = make_model()
    kernel = model.encoder.blocks[0].intermediate.kernel
    kernel.regularizer = keras.regularizers.L2(100.0)
    model.encoder.blocks[0].trainable = False
    frozen = [np.array(keras.ops.convert_to_numpy(w)) for w in model.encoder.blocks[0].weights]
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer, StepSettings(objective=PretrainingObjective(), clip_norm=None))
    assert train_once(step, batch, seeds_of(step))["loss"] < 10.0
    for weight, value in zip(model.encoder.blocks[0].weights, frozen, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value)


def test_the_gradient_is_clipped_by_its_global_norm(make_training_step, batch, seeds_of, weights_of, train_once):
    plain = make_training_step("sgd", 1.0, clip_norm=None)
    norm = train_once(plain, batch, seeds_of(plain))["gradient_norm"]
    assert norm > 0.6
    step = make_training_step("sgd", 1.0, clip_norm=0.5)
    before = weights_of(step.model)
    assert train_once(step, batch, seeds_of(step))["gradient_norm"] == pytest.approx(norm, rel=1e-5)  # before clipping
    moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(before, weights_of(step.model), strict=True)))
    assert moved == pytest.approx(0.5, rel=1e-3)


def test_the_gradient_is_the_slope_of_the_loss(make_training_step, batch, seeds_of, train_once):
    step = make_training_step("sgd", 1e-3, clip_norm=None)
    first, second = (train_once(step, batch, seeds_of(step)) for _ in range(2))
    slopes = (first["gradient_norm"] ** 2 + second["gradient_norm"] ** 2) / 2  # trapezium: the mean of both ends
    assert first["loss"] - second["loss"] == pytest.approx(1e-3 * slopes, rel=0.02)


def test_a_non_finite_gradient_changes_nothing(make_training_step, batch, seeds_of, weights_of, train_once):
    step = make_training_step()
    train_once(step, batch, seeds_of(step))
    before, state = weights_of(step.model), [number(v.value) for v in step.optimizer.variables]
    bad = batch | {"mask_weights": batch["mask_weights"] * np.float32(np.nan)}
    results = train_once(step, bad, seeds_of(step))
    assert not bool(results["finite"]) and not np.isfinite(results["loss"])
    assert all((a == b).all() for a, b in zip(before, weights_of(step.model), strict=True))
    assert all((a == number(v.value)).all() for a, v in zip(state, step.optimizer.variables, strict=True))
    assert bool(train_once(step, batch, seeds_of(step))["finite"])
    assert any((a != b).any() for a, b in zip(before, weights_of(step.model), strict=True))


def test_overflow_in_float16_lowers_the_scale_and_skips_the_update(
    make_training_step, batch, seeds_of, weights_of, train_once
):
    step = make_training_step(dtype="mixed_float16", scale_loss=True)
    before = weights_of(step.model)
    results = train_once(step, batch, seeds_of(step), 2.0**40, 7)
    assert not bool(results["finite"])
    assert (results["scale"], results["scale_steps"], results["scales"]) == (2.0**39, 0, 2.0**40)
    assert np.isfinite(results["loss"])
    assert all((a == b).all() for a, b in zip(before, weights_of(step.model), strict=True))
    results = train_once(step, batch, seeds_of(step), 2.0**8, 7)
    assert bool(results["finite"])
    assert (results["scale"], results["scale_steps"]) == (2.0**8, 8)
    assert any((a != b).any() for a, b in zip(before, weights_of(step.model), strict=True))


def test_the_loss_scale_does_not_change_the_update(make_training_step, batch, seeds_of, weights_of, train_once):
    found = []
    for scale in (1.0, INITIAL_SCALE):
        step = make_training_step("sgd", 1.0, scale_loss=True)
        results = train_once(step, batch, seeds_of(step), scale)
        found.append((results["loss"], results["gradient_norm"], weights_of(step.model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(found[0][2], found[1][2], strict=True))


@pytest.mark.parametrize("dtype, scale_loss", [("mixed_bfloat16", False), ("mixed_float16", True)])
def test_mixed_precision_keeps_weights_and_losses_in_float32(
    make_training_step, batch, seeds_of, weights_of, dtype, scale_loss, train_once
):
    settings = {"scale_loss": True} if scale_loss else {}
    step = make_training_step(dtype=dtype, **settings)
    plain = make_training_step()
    assert {w.dtype for w in weights_of(step.model)} == {np.dtype(np.float32)}
    results = train_once(step, batch, seeds_of(step))
    assert results["mlm_losses"].dtype == np.float32
    assert results["loss"] == pytest.approx(train_once(plain, batch, seeds_of(plain))["loss"], rel=0.02)


def test_dropout_is_a_function_of_its_seeds(make_training_step, batch, seeds_of, train_once):
    step = make_training_step(dropout=0.3, learning_rate=0.0)
    assert seeds_of(step).shape[1] > 0
    one, again, other = (train_once(step, batch, seeds_of(step, i))["mlm_losses"] for i in (0, 0, 1))
    real = batch["mask_weights"] > 0
    assert (one == again).all()
    assert (one[real] != other[real]).mean() > 0.9


def test_parts_of_a_step_have_their_own_dropout(make_training_step, batch, seeds_of, train_once):
    twice = {key: np.concatenate([value[:2], value[:2]]) for key, value in batch.items()}
    step = make_training_step(dropout=0.3, accumulation_steps=2)
    losses = train_once(step, twice, seeds_of(step))["mlm_losses"]
    real = twice["mask_weights"][:2] > 0
    assert (losses[:2][real] != losses[2:][real]).mean() > 0.9
    plain = make_training_step("sgd", 0.0, accumulation_steps=2, clip_norm=None)
    losses = train_once(plain, twice, seeds_of(plain))["mlm_losses"]
    np.testing.assert_allclose(losses[:2], losses[2:], rtol=1e-5)


def test_evaluation_has_no_dropout_and_changes_nothing(make_training_step, batch, seeds_of, weights_of, train_once):
    step = make_training_step(dropout=0.3, learning_rate=0.0)
    before = weights_of(step.model)
    one = step.to_numpy(step.evaluate(batch))
    train_once(step, batch, seeds_of(step))
    again = step.to_numpy(step.evaluate(batch))
    plain = make_training_step(dropout=0.0)
    plain.model.set_weights(step.model.get_weights())
    expected = plain.to_numpy(plain.evaluate(batch))
    assert set(one) == {*SCORE_KEYS, *BEST_KEYS}
    for name in BEST_KEYS:
        assert ((one[name] == batch["mask_ids"]) == (one[name.replace("best", "correct")] > 0)).all()
    for key in SCORE_KEYS:
        assert (one[key] == again[key]).all()
        np.testing.assert_allclose(one[key], expected[key], rtol=1e-5, atol=1e-5)
    assert all((a == b).all() for a, b in zip(before, weights_of(step.model), strict=True))


def test_rows_of_padding_give_finite_scores_and_no_gradient(stream_of, make_training_step, seeds_of, train_once):
    stream = stream_of()
    step = make_training_step("sgd", 0.0, clip_norm=None)
    whole = step.to_numpy(step.evaluate(stream.rows(np.arange(4))))
    found = []
    for positions in ([0, 1, -1, -1], [-1, 0, -1, 1]):
        part = stream.rows(np.array(positions))
        assert all(np.isfinite(value).all() for value in step.to_numpy(step.evaluate(part)).values())
        found.append(train_once(step, part, seeds_of(step)))
    real = stream.rows(np.array([0, 1]))
    total = (whole["mlm_losses"][:2] * real["mask_weights"]).sum() + (
        whole["sbo_losses"][:2] * real["span_weights"]
    ).sum()
    for results in found:
        assert results["loss"] == pytest.approx(total / real["mask_weights"].sum(), rel=1e-5)
        assert results["gradient_norm"] == pytest.approx(found[0]["gradient_norm"], rel=1e-4)


def stacked(stream, count):
    batches = [stream.batch(k) for k in range(count)]
    return {key: np.stack([batch[key] for batch in batches]) for key in batches[0]}


def test_several_steps_per_call_equal_several_calls(make_training_step, stream_of, seeds_of, weights_of, train_once):
    stream, steps = stream_of(), 3
    one, several = (make_training_step(dropout=0.1) for _ in range(2))
    expected = [train_once(one, stream.batch(k), seeds_of(one, k)) for k in range(steps)]
    seeds = np.stack([seeds_of(several, k)[None] for k in range(steps)])
    results = several.to_numpy(several.train(stacked(stream, steps), seeds, 1.0, 0))
    exact = keras.backend.backend() == "tensorflow"  # XLA fuses a loop as it likes
    close = (
        np.testing.assert_array_equal if exact else lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)
    )
    for key in (*SCORE_KEYS, *STEP_KEYS):
        close(results[key], np.stack([result[key] for result in expected]))
    for a, b in zip(weights_of(one.model), weights_of(several.model), strict=True):
        close(a, b)
    assert int(several.optimizer.iterations.value) == steps


def test_the_loss_scale_changes_within_a_call(make_training_step, stream_of, seeds_of):
    step = make_training_step(dtype="mixed_float16", scale_loss=True)
    seeds = np.stack([seeds_of(step)[None]] * 3)
    results = step.to_numpy(step.train(stacked(stream_of(), 3), seeds, 2.0**40, 7))
    assert results["scales"].tolist() == [2.0**40, 2.0**39, 2.0**38]
    assert (results["scale"], results["scale_steps"]) == (2.0**37, 0)
    assert results["finite"].tolist() == [False] * 3


def test_votes_of_one_worker_come_back_as_they_are(make_training_step, batch, seeds_of):
    step = make_training_step()
    batches = {key: value[None] for key, value in batch.items()}
    results = step.train(batches, seeds_of(step)[None, None], 1.0, 0, [0.0, 1.0, 0.0, 1.0])
    assert step.to_numpy(results)["votes"].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_without_the_second_objective_its_scores_are_zeros(make_training_step, batch, seeds_of, train_once):
    step = make_training_step(objective=PretrainingObjective(sbo_weight=0.0))
    results = train_once(step, batch, seeds_of(step))
    assert not results["sbo_losses"].any() and not results["sbo_correct"].any()
    expected = (results["mlm_losses"] * batch["mask_weights"]).sum() / batch["mask_weights"].sum()
    assert results["loss"] == pytest.approx(expected, rel=1e-5)
