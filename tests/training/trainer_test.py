"""Tests of the training loop: cadence, several steps per call, stopping and resuming, the best score, callbacks."""

import os
import signal
import time
import types

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training import trainer as trainer_module
from spanbert_keras.training.cadence import Cadence
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.monitoring import profiler
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.steps.loss_scale import INITIAL_SCALE, MINIMUM_SCALE
from spanbert_keras.training.trainer_events import Evaluation

STEPS = 7


def run(trainer):
    with trainer.signals:
        return trainer.run(trainer.restore())


def events(trainer, name):
    return [event[1:] for event in trainer.log if event[0] == name]


def state_bytes(folder, step=STEPS):
    return (folder / f"step_{step:08d}" / "state.safetensors").read_bytes()


@pytest.fixture
def during(monkeypatch):
    """Function of (trainer, number of a call, action): does it while the device computes that call, from 1."""

    def add(trainer, number, action):
        train, calls = trainer.step.train, []

        def acting(*arguments):
            calls.append(1)
            if len(calls) == number:
                action()
            return train(*arguments)

        monkeypatch.setattr(trainer.step, "train", acting)

    return add


def kill(number):
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize("steps_per_call", [1, 3, 50])
def test_a_call_ends_where_something_is_due(steps_per_call):
    cadence = Cadence(
        total_steps=37,
        steps_per_call=steps_per_call,
        log_every=5,
        evaluate_every=6,
        checkpoint_every=9,
        encoder_every=0,
    )
    for done in range(37):
        stop = cadence.next_stop(done)
        due = [s for s in range(done + 1, 38) if s in (37, done + steps_per_call) or not (s % 5 and s % 6 and s % 9)]
        assert stop == due[0]


def test_actions_with_an_interval_are_also_due_at_the_end():
    cadence = Cadence(total_steps=7)
    assert [done for done in range(1, 8) if cadence.due(done, 3)] == [3, 6, 7]
    assert not any(cadence.due(done, 0) for done in range(1, 8))


@pytest.mark.parametrize("steps_per_call, calls", [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [2, 3, 4, 5, 6, 7])])
def test_logs_evaluations_checkpoints_and_encoders_come_when_they_are_due(
    make_trainer, tmp_path, steps_per_call, calls
):
    seen = []
    every = {"log_every": 2, "evaluate_every": 3, "checkpoint_every": 4, "encoder_every": 5}
    trainer = make_trainer(steps_per_call=steps_per_call, events={"on_step": seen.append}, **every)
    assert run(trainer) == "finished"
    assert events(trainer, "log") == [(2, 2), (4, 2), (6, 2), (7, 1)]
    assert events(trainer, "evaluate") == [(3,), (6,)]  # the end is the caller's
    assert events(trainer, "encoder") == [(5,)]
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4, 7]
    assert seen == calls


@pytest.mark.parametrize("steps_per_call", [1, 3])
def test_several_steps_per_call_give_the_same_run(make_trainer, weights_of, tmp_path, steps_per_call):
    one, several = make_trainer("one"), make_trainer("several", steps_per_call=steps_per_call)
    assert run(one) == run(several) == "finished"
    if keras.backend.backend() == "tensorflow" or steps_per_call == 1:
        assert one.losses == several.losses
        assert state_bytes(tmp_path / "one") == state_bytes(tmp_path / "several")
    assert several.losses == pytest.approx(one.losses, rel=2e-3)
    for a, b in zip(weights_of(one.step.model), weights_of(several.step.model), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.05, atol=5e-3)


def test_every_step_is_logged_once_with_the_rows_that_it_saw(make_trainer):
    windows = []
    note = {"on_log": lambda done, window: windows.append((done, window))}
    trainer = make_trainer(log_every=5, checkpoint_every=2, steps_per_call=2, events=note)
    began = time.perf_counter()
    run(trainer)
    firsts = [window.first for _, window in windows]
    assert firsts == [0, *(done for done, _ in windows)][:-1]
    batches = [batch["token_ids"] for _, window in windows for batch, _ in window.calls]
    expected = np.stack([trainer.stream.batch(k)["token_ids"] for k in range(STEPS)])
    np.testing.assert_array_equal(np.concatenate(batches), expected)
    assert sum(len(results["loss"]) for _, window in windows for _, results in window.calls) == STEPS
    begins = [window.began for _, window in windows]
    assert began < begins[0] and begins == sorted(begins)


def test_waiting_for_batches_is_measured(make_trainer, monkeypatch):
    waited = []
    trainer = make_trainer(log_every=STEPS, events={"on_log": lambda done, window: waited.append(window.waited)})
    run(make_trainer("warm", step=trainer.step, total_steps=1))
    part = trainer.stream.part
    monkeypatch.setattr(trainer.stream, "part", lambda *which: (time.sleep(0.1), part(*which))[1])
    began = time.perf_counter()
    trainer.run(0)
    assert 0.09 < waited[0] <= time.perf_counter() - began  # nothing hides the first


def test_a_run_without_evaluations_has_none(make_trainer):
    trainer = make_trainer(evaluate_every=0, encoder_every=0)
    assert run(trainer) == "finished"
    assert {event[0] for event in trainer.log} == {"log"}


@pytest.mark.parametrize(
    "name, outcome, steps_per_call",
    [("SIGINT", "interrupted", 1), ("SIGTERM", "preempted", 1), ("SIGUSR1", "preempted", 2)],
)
def test_a_stopped_run_continues_bit_for_bit(make_trainer, during, tmp_path, name, outcome, steps_per_call):
    whole = make_trainer("whole", steps_per_call=steps_per_call)
    assert run(whole) == "finished"
    first = make_trainer("parts", steps_per_call=steps_per_call)
    during(first, 3, kill(getattr(signal, name)))
    assert run(first) == outcome
    reached = 3 * steps_per_call  # the call under way is completed
    assert Checkpoints(tmp_path / "parts").steps() == [reached]
    second = make_trainer("parts", steps_per_call=steps_per_call)
    assert second.restore() == reached
    assert second.run(reached) == "finished"
    if keras.backend.backend() == "tensorflow" or steps_per_call == 1:  # the calls are cut elsewhere
        assert first.losses + second.losses == whole.losses
        assert state_bytes(tmp_path / "whole") == state_bytes(tmp_path / "parts")
    assert len(whole.losses) == len(first.losses + second.losses) == STEPS


def test_other_seeds_give_other_runs(make_trainer):
    one, two = make_trainer("one"), make_trainer("two")
    two.seed = (7, 9)  # of dropout
    assert run(one) == run(two) == "finished"
    assert one.losses != two.losses


def test_a_signal_in_the_last_step_leaves_a_finished_checkpoint(make_trainer, during, tmp_path):
    trainer = make_trainer()
    during(trainer, STEPS, kill(signal.SIGTERM))
    assert run(trainer) == "finished"
    assert Checkpoints(tmp_path / "checkpoints").steps() == [STEPS]


def test_a_finished_run_has_nothing_left_to_do(make_trainer):
    assert run(make_trainer()) == "finished"
    again = make_trainer()
    assert again.restore() == STEPS
    assert again.run(STEPS) == "finished"
    assert again.log == []


def test_a_second_ctrl_c_ends_at_once_and_signals_wait_no_longer(make_trainer, during, tmp_path):
    trainer = make_trainer()
    during(trainer, 2, lambda: (kill(signal.SIGINT)(), kill(signal.SIGINT)(), time.sleep(0.01)))
    with pytest.raises(KeyboardInterrupt):
        run(trainer)
    assert Checkpoints(tmp_path / "checkpoints").steps() == []
    assert trainer.signals.deferred is False


def test_the_best_score_is_kept_with_its_checkpoint(make_trainer, tmp_path):
    scores = {2: 3.0, 4: 1.0, 6: 2.0}
    trainer = make_trainer(evaluate_every=2, keep=1, events={"on_evaluate": lambda done: Evaluation(scores[done])})
    assert run(trainer) == "finished"
    assert Checkpoints(tmp_path / "checkpoints").steps() == [4, STEPS]
    again = make_trainer()
    assert again.restore() == STEPS
    assert again.best == 1.0


def test_an_evaluation_ends_the_run_and_its_checkpoint_is_kept(make_trainer, tmp_path):
    events = {"on_evaluate": lambda done: Evaluation(1.0 * done, end=done == 4)}
    trainer = make_trainer(evaluate_every=2, events=events)
    assert run(trainer) == "finished"
    assert (trainer.done, trainer.ended_early, trainer.best) == (4, True, 2.0)
    assert Checkpoints(tmp_path / "checkpoints").steps() == [2]  # the best


@pytest.mark.parametrize("known", [False, True])
def test_an_evaluation_that_a_signal_prevented_is_made_before_the_run_continues(make_trainer, during, tmp_path, known):
    first = make_trainer(evaluate_every=3)
    during(first, 3, kill(signal.SIGTERM))
    assert run(first) == "preempted" and events(first, "evaluate") == []
    before = state_bytes(tmp_path / "checkpoints", 3)
    seen = []
    again = make_trainer(
        evaluate_every=3, events={"on_evaluate": lambda done: seen.append(done) or Evaluation(2.0, known)}
    )
    start = again.restore()
    for _ in range(2):  # the second time there is nothing to do
        again.evaluate_missed(start)
    assert (start, seen, again.best, again.ended_early) == (3, [3], 2.0, known)
    assert Checkpoints(tmp_path / "checkpoints").scores() == {3: 2.0}
    third = make_trainer()
    assert third.restore() == 3 and third.best == 2.0
    third.best = None
    third._save(3, None, wait=True)  # but for the best loss, the state is the one that was there
    assert state_bytes(tmp_path / "checkpoints", 3) == before


@pytest.mark.parametrize("start", [0, 2, STEPS])
def test_no_evaluation_was_missed_where_none_was_due(make_trainer, start):
    trainer = make_trainer(evaluate_every=3)
    trainer.evaluate_missed(start)
    assert trainer.log == []


def test_a_checkpoint_is_written_when_the_last_one_is_old(make_trainer, monkeypatch, tmp_path):
    tick = {"on_step": lambda done: setattr(clock, "now", 25.0 * done)}
    clock = types.SimpleNamespace(now=0.0, monotonic=lambda: clock.now, perf_counter=time.perf_counter)
    monkeypatch.setattr(trainer_module, "time", clock)
    trainer = make_trainer(checkpoint_minutes=1.0, events=tick)
    assert run(trainer) == "finished"
    assert Checkpoints(tmp_path / "checkpoints").steps() == [6, STEPS]  # 75 s had passed after steps 3 and 6


def test_a_callback_ends_the_run_as_finished(make_trainer, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append((batch, logs["loss"]))
            self.model.stop_training = batch >= 2

    seen = []
    trainer = make_trainer(callbacks=[Stop()])
    assert run(trainer) == "finished"
    (reached,) = Checkpoints(tmp_path / "checkpoints").steps()
    assert [batch for batch, _ in seen] == list(range(reached))
    assert 3 <= reached <= 4
    assert [loss for _, loss in seen] == pytest.approx(trainer.losses)


def test_a_callback_sees_evaluations_as_epochs(make_trainer):
    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, logs["val_loss"]))

    seen = []
    events = {"on_evaluate": lambda done: Evaluation(10.0 - done)}
    trainer = make_trainer(callbacks=[Watch()], evaluate_every=2, events=events)
    run(trainer)
    assert seen == [(0, 8.0), (1, 6.0), (2, 4.0)]


def test_a_profile_is_of_the_steps_after_compilation(make_trainer, monkeypatch, tmp_path):
    seen = []
    trainer = make_trainer(profile_steps=2, profile_folder=tmp_path / "profile", events={"on_step": seen.append})
    monkeypatch.setattr(profiler, "WARM_UP_STEPS", 3)
    monkeypatch.setattr(trainer.step, "start_profile", lambda folder: seen.append(("start", folder)))
    monkeypatch.setattr(trainer.step, "stop_profile", lambda: seen.append("stop"))
    run(trainer)
    assert seen == [1, 2, 3, ("start", str(tmp_path / "profile")), 4, 5, "stop", 6, 7]


def test_an_error_in_a_batch_is_raised(make_trainer, monkeypatch):
    trainer = make_trainer()
    part = trainer.stream.part

    def failing(k, worker, workers):
        if k == 2:
            raise OSError("the disk is gone")
        return part(k, worker, workers)

    monkeypatch.setattr(trainer.stream, "part", failing)
    with pytest.raises(OSError, match="the disk is gone"):
        run(trainer)


def test_workers_load_the_checkpoint_that_the_chief_found_good(make_trainer, monkeypatch):
    """A worker sees 4 and 7; the chief, which found 7 damaged, says 4. One that it cannot see is an error, in time."""

    class Two(Distribution):
        def sum(self, values):
            return values + said

    run(make_trainer(checkpoint_every=4))
    trainer = make_trainer()
    monkeypatch.setattr(trainer_module, "VISIBLE_SECONDS", 0.1)
    monkeypatch.setattr(trainer.step, "distribution", Two(worker=1, num_workers=2))
    said = 4 + 1.0
    assert trainer.restore() == 4
    assert int(keras.ops.convert_to_numpy(trainer.step.optimizer.iterations)) == 4
    said = 2 + 1.0
    with pytest.raises(InputError, match="no checkpoint of step 2"):
        trainer.restore()
    said = 0.0
    assert trainer.restore() == 0


def test_float16_begins_with_a_large_scale_and_a_checkpoint_keeps_it(make_trainer, make_training_step):
    trainer = make_trainer(step=make_training_step(dtype="mixed_float16", scale_loss=True), total_steps=3)
    assert trainer.restore() == 0
    assert (trainer.scale, trainer.scale_steps) == (INITIAL_SCALE, 0)
    trainer.scale, trainer.scale_steps = 2.0**30, 5  # overflows: skipped, halved, and no error
    assert trainer.run(0) == "finished"
    again = make_trainer(step=make_training_step(dtype="mixed_float16", scale_loss=True))
    assert again.restore() == 3
    assert (again.scale, again.scale_steps) == (2.0**27, 0)


def test_a_scale_that_falls_too_low_ends_the_run(make_trainer, make_training_step):
    trainer = make_trainer(step=make_training_step(dtype="mixed_float16", scale_loss=True))
    trainer.restore()
    trainer.scale = MINIMUM_SCALE / 4
    with pytest.raises(InputError, match="loss scale fell below"):
        trainer.run(0)


def test_plain_precision_has_scale_one(make_trainer):
    trainer = make_trainer()
    trainer.restore()
    assert (trainer.scale, trainer.scale_steps) == (1.0, 0)
