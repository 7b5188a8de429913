"""Tests of the training loop: cadence, Ctrl-C and going on, losses that are not finite."""

import os
import signal
import time

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training import trainer as trainer_module
from spanbert_keras.training.checkpoints import Checkpoints
from spanbert_keras.training.loss_scale import INITIAL_SCALE, MINIMUM_SCALE
from spanbert_keras.training.trainer import Schedule, Trainer

STEPS = 7
RARE = {"log_every": 100, "evaluate_every": 0, "checkpoint_every": 100}


@pytest.fixture
def make_trainer(make_training_step, stream_of, tmp_path):
    """Function that makes a trainer over a fresh model which notes what it does in `events` and `losses`."""

    def make(folder="checkpoints", step=None, dropout=0.1, **schedule):
        step = step or make_training_step(dropout=dropout)
        settings = {"total_steps": STEPS, **RARE} | schedule
        trainer = Trainer(step, stream_of(), Schedule(**settings), Checkpoints(tmp_path / folder), (7, 8))
        trainer.events, trainer.losses, trainer.seconds = [], [], []

        def on_log(done, batches, results, seconds):
            trainer.events.append(("log", done, len(results)))
            trainer.losses += [float(result["loss"]) for result in results]
            trainer.seconds.append(seconds)
            assert len(batches) == len(results)

        trainer.on_log = on_log
        trainer.on_evaluate = lambda done: trainer.events.append(("evaluate", done))
        trainer.on_encoder = lambda done: trainer.events.append(("encoder", done))
        return trainer

    return make


def run(trainer):
    return trainer.run(trainer.restore())


def stop_at(trainer, step, number=signal.SIGINT):
    trainer.on_step = lambda done, results: os.kill(os.getpid(), number) if done == step else None


def events(trainer, name):
    return [event[1:] for event in trainer.events if event[0] == name]


def test_logs_evaluations_checkpoints_and_encoders_come_when_they_are_due(make_trainer, tmp_path):
    trainer = make_trainer(log_every=2, evaluate_every=3, checkpoint_every=4, encoder_every=5)
    seen = []
    trainer.on_step = lambda done, results: seen.append((done, sorted(results)))
    assert run(trainer)
    assert events(trainer, "log") == [(2, 2), (4, 2), (6, 2), (7, 1)]
    assert events(trainer, "evaluate") == [(3,), (6,)]  # the end is the caller's
    assert events(trainer, "encoder") == [(5,)]
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4, 7]
    assert [done for done, _ in seen] == list(range(1, STEPS + 1))
    assert "scale" not in seen[0][1]


def test_every_step_is_logged_once_and_time_is_counted_once(make_trainer):
    trainer = make_trainer(log_every=5, checkpoint_every=2)
    slow = lambda done, results: time.sleep(0.05)  # noqa: E731
    run(make_trainer(folder="warm", total_steps=1, step=trainer.step))
    trainer.on_step = slow
    began = time.perf_counter()
    trainer.run(0) if trainer.restore() == 0 else None
    elapsed = time.perf_counter() - began
    assert sum(count for _, count in events(trainer, "log")) == STEPS == len(trainer.losses)
    assert 0.05 * STEPS * 0.8 < sum(trainer.seconds) <= elapsed


def test_a_run_without_evaluations_has_none(make_trainer):
    trainer = make_trainer(evaluate_every=0, encoder_every=0)
    assert run(trainer)
    assert {event[0] for event in trainer.events} == {"log"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_bit_for_bit(make_trainer, weights_of, tmp_path, number):
    whole = make_trainer("whole")
    assert run(whole)
    first = make_trainer("parts")
    stop_at(first, 3, number)
    assert not run(first)
    assert Checkpoints(tmp_path / "parts").steps() == [3]
    second = make_trainer("parts")
    assert second.restore() == 3
    assert second.run(3)
    assert first.losses + second.losses == whole.losses
    assert len(whole.losses) == STEPS
    for one, two in zip(weights_of(whole.step.model), weights_of(second.step.model), strict=True):
        np.testing.assert_array_equal(one, two)
    files = [tmp_path / name / f"step_{STEPS:08d}" / "state.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_other_seeds_give_other_runs(make_trainer):
    one, two = make_trainer("one"), make_trainer("two")
    two.seed = (7, 9)  # of dropout
    assert run(one) and run(two)
    assert one.losses != two.losses


def test_stopping_at_the_last_step_is_finishing(make_trainer):
    trainer = make_trainer()
    stop_at(trainer, STEPS)
    assert run(trainer)


def test_a_finished_run_has_nothing_left_to_do(make_trainer):
    assert run(make_trainer())
    again = make_trainer()
    assert again.restore() == STEPS
    assert again.run(STEPS)
    assert again.events == []


def test_a_second_signal_ends_at_once_and_handlers_are_put_back(make_trainer, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    trainer = make_trainer()

    def twice(done, results):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)

    trainer.on_step = twice
    with pytest.raises(KeyboardInterrupt):
        run(trainer)
    assert Checkpoints(tmp_path / "checkpoints").steps() == []
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_weights_and_checkpoints(
    make_trainer, weights_of, monkeypatch, tmp_path
):
    good = make_trainer("good", total_steps=4)
    run(good)
    trainer = make_trainer(checkpoint_every=2, log_every=3)
    counts, calls = trainer_module.target_counts, []

    def bad_from_step_5(batch):
        calls.append(1)
        return counts(batch) * (np.float32(np.nan) if len(calls) >= 5 else np.float32(1))

    monkeypatch.setattr(trainer_module, "target_counts", bad_from_step_5)
    with pytest.raises(InputError, match="not finite at step 5 .*checkpoint is that of step 4.*--learning_rate"):
        run(trainer)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2, 4]
    for one, two in zip(weights_of(good.step.model), weights_of(trainer.step.model), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_any_checkpoint_the_message_says_so(make_trainer, monkeypatch):
    monkeypatch.setattr(trainer_module, "target_counts", lambda batch: np.float32([np.nan, np.nan]))
    with pytest.raises(InputError, match="step 1 .*there is no checkpoint yet"):
        run(make_trainer(log_every=1))


def test_an_error_in_a_batch_is_raised(make_trainer, monkeypatch):
    trainer = make_trainer()
    batch = trainer.stream.batch

    def failing(k):
        if k == 2:
            raise OSError("the disk is gone")
        return batch(k)

    monkeypatch.setattr(trainer.stream, "batch", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        run(trainer)


def test_float16_begins_with_a_large_scale_and_a_checkpoint_keeps_it(make_trainer, make_training_step):
    trainer = make_trainer(step=make_training_step(dtype="mixed_float16", scale_loss=True), total_steps=3)
    assert trainer.restore() == 0
    assert trainer.state == {"scale": INITIAL_SCALE, "scale_steps": 0}
    trainer.state = {"scale": 2.0**30, "scale_steps": 5}  # overflows: skipped, halved, and no error
    assert trainer.run(0)
    again = make_trainer(step=make_training_step(dtype="mixed_float16", scale_loss=True))
    assert again.restore() == 3
    assert again.state["scale"] == 2.0**27
    assert again.state["scale_steps"] == 0


def test_a_scale_that_falls_too_low_ends_the_run(make_trainer, make_training_step, monkeypatch):
    step = make_training_step(dtype="mixed_float16", scale_loss=True)
    trainer = make_trainer(step=step)
    trainer.restore()
    trainer.state = {"scale": MINIMUM_SCALE / 4, "scale_steps": 0}
    with pytest.raises(InputError, match="loss scale fell below"):
        trainer.run(0)


def test_plain_precision_has_scale_one(make_trainer):
    trainer = make_trainer()
    trainer.restore()
    assert trainer.state == {"scale": 1.0, "scale_steps": 0}
    assert keras.backend.backend() in ("tensorflow", "jax", "torch")
