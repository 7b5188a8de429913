"""Tests of the detection of divergence, and of the loop that then stops or rolls back."""

import math

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training import trainer as trainer_module
from spanbert_keras.training.loss_guard import DECAY, LossGuard
from spanbert_keras.training.run.checkpoints import Checkpoints

STEPS = 7


def run(trainer):
    return trainer.run(trainer.restore())


@pytest.fixture
def poison(monkeypatch):
    """Function of (trainer, predicate): batches whose number it holds for have a loss that is not a number."""

    def add(trainer, is_bad):
        part = trainer.stream.part

        def poisoned(k, worker, workers):
            batch = part(k, worker, workers)
            return batch | {"mask_weights": batch["mask_weights"] * np.float32(np.nan)} if is_bad(k) else batch

        monkeypatch.setattr(trainer.stream, "part", poisoned)

    return add


@pytest.fixture
def leave_out(monkeypatch):
    """Function of (trainer, numbers): the stream without these batches."""

    def remove(trainer, numbers):
        part = trainer.stream.part
        kept = [k for k in range(STEPS + len(numbers)) if k not in numbers]
        monkeypatch.setattr(trainer.stream, "part", lambda k, worker, workers: part(kept[k], worker, workers))

    return remove


def test_ordinary_losses_pass_and_make_a_running_mean():
    guard = LossGuard()
    losses = [5.0, 3.0, 4.0]
    assert [guard.complaint(loss, True) for loss in losses] == [None] * 3
    assert guard.mean == pytest.approx(0.98 * (0.98 * 5.0 + 0.02 * 3.0) + 0.02 * 4.0)
    assert DECAY == 0.98


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("finite", [True, False])
def test_a_non_finite_loss_is_reported_and_does_not_change_the_mean(loss, finite):
    guard = LossGuard()
    guard.complaint(2.0, True)
    assert guard.complaint(loss, finite) == f"the loss is not finite ({loss})"
    assert guard.mean == 2.0


def test_a_non_finite_gradient_is_reported_unless_the_loss_is_scaled():
    plain, scaling = LossGuard(), LossGuard(loss_scaling=True)
    assert plain.complaint(2.0, False) == "the gradient is not finite (the loss is 2.0000)"
    assert scaling.complaint(2.0, False) is None
    assert scaling.complaint(math.inf, False) is None  # overflow in the forward pass: the update is skipped too
    assert plain.mean is None and scaling.mean is None  # a skipped update's loss does not count


def test_with_loss_scaling_a_bad_loss_with_a_finite_gradient_is_still_reported():
    assert "not finite" in LossGuard(loss_scaling=True).complaint(math.nan, True)


def test_a_spike_is_a_rise_above_the_mean_by_more_than_the_limit():
    guard = LossGuard(spike_nats=1.5)
    assert guard.complaint(9.0, True) is None  # nothing to compare the first with
    assert guard.complaint(10.5, True) is None
    mean = 0.98 * 9.0 + 0.02 * 10.5
    complaint = guard.complaint(mean + 1.6, True)
    assert complaint == f"the loss is {mean + 1.6:.4f}, its running mean {mean:.4f} (--spike_nats=1.5)"
    assert guard.mean == pytest.approx(mean)
    assert guard.complaint(mean - 8.0, True) is None  # falls are welcome


def test_no_limit_means_no_spike():
    guard = LossGuard()
    assert [guard.complaint(loss, True) for loss in (1.0, 1e6)] == [None, None]


def test_a_non_finite_loss_ends_the_run_and_keeps_weights_and_checkpoints(make_trainer, weights_of, poison, tmp_path):
    good = make_trainer("good", total_steps=4)
    run(good)
    trainer = make_trainer(checkpoint_every=2, log_every=3)
    poison(trainer, lambda k: k >= 4)
    with pytest.raises(
        InputError, match="At step 5 the loss is not finite.*checkpoint is that of step 4.*--learning_rate"
    ):
        run(trainer)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2, 4]
    for one, two in zip(weights_of(good.step.model), weights_of(trainer.step.model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_a_checkpoint_the_message_reports_that(make_trainer, poison):
    for on_divergence in ("stop", "rollback"):
        trainer = make_trainer(log_every=1, on_divergence=on_divergence)
        poison(trainer, lambda k: True)
        with pytest.raises(InputError, match="step 1 .*there is no checkpoint yet"):
            run(trainer)


@pytest.mark.parametrize(
    "every, steps_per_call, bad, returned_to, left_out",
    [(2, 1, 4, 4, [4]), (3, 1, 4, 3, [3, 4]), (3, 3, 5, 3, [3, 4, 5]), (3, 2, 3, 3, [3])],
)
def test_a_rollback_continues_from_the_last_checkpoint_without_the_batches_up_to_the_bad_one(
    make_trainer, weights_of, poison, leave_out, every, steps_per_call, bad, returned_to, left_out
):
    cadence = {"log_every": every, "checkpoint_every": every, "steps_per_call": steps_per_call}
    returns = []
    trainer = make_trainer("rolled", on_divergence="rollback", events={"on_rollback": returns.append}, **cadence)
    poison(trainer, lambda k: k == bad)
    assert run(trainer) == "finished"
    assert returns == [returned_to]
    assert trainer.skipped_batches == len(left_out)

    expected = make_trainer("expected", **cadence)
    leave_out(expected, left_out)
    assert run(expected) == "finished"
    assert trainer.losses == expected.losses and len(trainer.losses) == STEPS
    for one, two in zip(weights_of(expected.step.model), weights_of(trainer.step.model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_skipped_batches_stay_skipped_after_a_restart(make_trainer, weights_of, poison, leave_out):
    first = make_trainer("parts", on_divergence="rollback", log_every=1, checkpoint_every=2, total_steps=6)
    poison(first, lambda k: k == 3)
    assert run(first) == "finished"
    second = make_trainer("parts")
    assert second.restore() == 6
    assert second.skipped_batches == 2
    assert second.guard.mean == pytest.approx(first.guard.mean)
    assert second.run(6) == "finished"
    whole = make_trainer("whole")
    leave_out(whole, [2, 3])
    assert run(whole) == "finished"
    assert first.losses.pop(2) != whole.losses[2]  # of batch 2, before the bad one was met
    assert first.losses + second.losses == whole.losses
    for one, two in zip(weights_of(whole.step.model), weights_of(second.step.model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_several_bad_batches_are_left_out(make_trainer, poison, leave_out):
    trainer = make_trainer("rolled", on_divergence="rollback", log_every=1, checkpoint_every=1)
    poison(trainer, lambda k: k in (2, 3, 6))
    assert run(trainer) == "finished"
    assert trainer.skipped_batches == 3
    expected = make_trainer("expected")
    leave_out(expected, [2, 3, 6])
    assert run(expected) == "finished"
    assert trainer.losses == expected.losses


def test_rollbacks_that_do_not_help_end_the_run(make_trainer, poison, monkeypatch):
    monkeypatch.setattr(trainer_module, "MAX_ROLLBACKS", 3)
    returns, every = [], {"log_every": 1, "checkpoint_every": 2}
    trainer = make_trainer(on_divergence="rollback", events={"on_rollback": returns.append}, **every)
    poison(trainer, lambda k: k >= 2)
    with pytest.raises(InputError, match="At step 3 after 3 rollbacks the loss is not finite"):
        run(trainer)
    assert returns == [2, 2, 2]


def test_a_sudden_rise_of_the_loss_ends_the_run(make_trainer, tmp_path):
    def spoil(done):
        if done == 3:
            for weight in trainer.step.model.trainable_variables:
                weight.assign(weight * 20.0)

    guard = LossGuard(spike_nats=3.0)
    trainer = make_trainer(log_every=1, checkpoint_every=2, guard=guard, events={"on_step": spoil})
    with pytest.raises(InputError, match="At step 4 the loss is .* its running mean 8.*step 2"):
        run(trainer)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2]


def test_without_a_limit_training_continues_after_a_rise(make_trainer):
    def spoil(done):
        if done == 3:
            for weight in trainer.step.model.trainable_variables:
                weight.assign(weight * 20.0)

    trainer = make_trainer(log_every=1, events={"on_step": spoil})
    assert run(trainer) == "finished"
    assert trainer.losses[3] > trainer.losses[2] + 3.0
