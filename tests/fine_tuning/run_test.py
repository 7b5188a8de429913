"""Tests of one fine-tuning run: the best model is kept, and a stopped run ends like one that was not stopped."""

import dataclasses
import os
import re
import signal
import types

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json
from spanbert_keras.fine_tuning import run as run_module
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.fine_tuning.run import FineTuningRun, TrainingFailed
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.program import to_flags
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.stop_signals import StopSignals

STEPS, EVALUATED = 9, [2, 4, 6, 8, 9]  # six steps per epoch, one and a half epochs


@pytest.fixture(scope="module")
def new_run(toy_settings, toy_task):
    """Function that makes a run in a folder, with `events` of its task and `scores`, the calls of `on_score`."""

    def make(folder, score_of=None, **settings):
        settings, events = toy_settings(output_dir=str(folder), **settings), []
        process = types.SimpleNamespace(signals=StopSignals(), distribution=Distribution())
        run = FineTuningRun(settings, to_flags(settings), toy_task(settings, events, score_of), process, folder)
        run.events, run.scores = events, []
        run.on_score = lambda number, score: run.scores.append((number, score))
        return run

    return make


@pytest.fixture
def make_run(new_run, tmp_path):
    """Function that makes a run in the folder of the test."""
    return lambda score_of=None, **settings: new_run(tmp_path / "run", score_of, **settings)


@pytest.fixture(scope="module")
def whole(new_run, tmp_path_factory):
    """A run from start to end."""
    return finish(new_run(tmp_path_factory.mktemp("whole")))


@pytest.fixture
def stop_at(monkeypatch):
    """Function of (run, step): trains until a Ctrl-C that comes once the step was made."""

    def stop(run, step):
        def on_step(self, done):
            if done == step:
                os.kill(os.getpid(), signal.SIGINT)

        with monkeypatch.context() as patched, run.process.signals:
            patched.setattr(FineTuningMonitor, "on_step", on_step)
            assert run.run() == "interrupted"
        return run

    return stop


def finish(run):
    with run.process.signals:
        assert run.run() == "finished"
    return run


def weights_of(run):
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in run.model.weights]


def record_of(run):
    return read_json(run.folder / "run.json")


def assert_same_run(one, other):
    """Weights and record are equal to the last bit."""
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("scores", "best_step", "finished_steps"):
        assert record_of(one)[name] == record_of(other)[name]


def test_a_run_trains_scores_and_saves(whole):
    assert whole.plan.total_steps == STEPS and whole.batches.steps_per_epoch == 6
    scores = [event[1] for event in whole.events if event[0] == "evaluate"]
    assert whole.scores == [(i, score) for i, score in enumerate(scores, 1)] and len(scores) == len(EVALUATED)
    assert max(scores) > scores[0]  # it learns
    record = whole.finished()
    assert record == record_of(whole) and record["finished_steps"] == STEPS and record["select_by"] == "fit"
    assert record["best_step"] == EVALUATED[int(np.argmax(scores))]
    assert record["scores"] == {"dev": {"fit": max(scores), "rows": 32}}
    assert record["flags"]["learning_rate"] == 0.05 and record["facts"] == {"train": "42 rows"}


def test_the_saved_model_is_that_of_the_run_as_the_task_completed_it(whole, toy_task):
    loaded = keras.saving.load_model(whole.model_path)
    assert loaded.threshold == 0.25
    for a, b in zip(loaded.weights, weights_of(whole), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a.value), b)
    assert 0 <= toy_task(whole.settings, []).test(loaded, whole.folder)["hits"] <= 1


@pytest.mark.parametrize("best", [1, pytest.param(3, marks=pytest.mark.slow), 5])
def test_the_best_model_is_kept_and_not_the_last(make_run, best, eagerly):
    """The best checkpoint outlives newer ones, and its weights are what is scored and saved."""
    seen = []

    def score_of(number, true):
        seen.append((true, weights_of(run)))
        return 90.0 if number == best else 50.0 - number

    run = make_run(score_of)
    finish(run)
    assert record_of(run)["best_step"] == EVALUATED[best - 1]
    for a, b in zip(seen[best - 1][1], weights_of(run), strict=True):
        np.testing.assert_array_equal(a, b)
    assert run.events[-1] == ("finish", seen[best - 1][0])
    assert len({score for score, _ in seen}) == len(EVALUATED)  # the weights differ between evaluations


def test_of_equal_scores_the_last_model_is_kept(make_run, eagerly):
    assert record_of(finish(make_run(lambda number, true: 50.0)))["best_step"] == STEPS


def rises_twice(number, true):
    return {1: 10.0, 2: 20.0}.get(number, 15.0)


def test_with_patience_a_run_ends_when_the_score_stops_improving(make_run, eagerly):
    run = make_run(rises_twice, patience=2, epochs=4.0)
    assert run.run() == "finished"
    assert [number for number, _ in run.scores] == [1, 2, 3, 4]  # two without progress
    record = record_of(run)
    assert record["finished_steps"] == EVALUATED[3] and record["best_step"] == EVALUATED[1]
    assert run.events[-1][0] == "finish"


def test_patience_is_counted_across_a_restart(make_run, stop_at, eagerly):
    stop_at(make_run(rises_twice, patience=2, epochs=4.0), EVALUATED[2] + 1)
    # Another process knows of the evaluations before by the best checkpoint alone.
    run = make_run(lambda number, true: 15.0, patience=2, epochs=4.0)
    assert run.run() == "finished" and len(run.scores) == 1
    record = record_of(run)
    assert (record["finished_steps"], record["best_step"]) == (EVALUATED[3], EVALUATED[1])


def test_a_better_score_resets_patience(make_run, eagerly):
    run = make_run(lambda number, true: {1: 10.0, 3: 11.0}.get(number, 5.0), patience=2, epochs=1.5)
    assert run.run() == "finished"
    assert [number for number, _ in run.scores] == [1, 2, 3, 4, 5] and record_of(run)["finished_steps"] == STEPS


def test_a_model_is_saved_even_if_its_predictions_cannot_be_written(make_run, monkeypatch, eagerly):
    run = make_run()

    def fail(*given):
        raise InputError("The disk is full.")

    monkeypatch.setattr(run.task, "finish", fail)
    with pytest.raises(InputError, match="The disk is full"):
        run.run()
    for ours, theirs in zip(keras.saving.load_model(run.model_path).weights, weights_of(run), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(ours.value), theirs)
    assert run.finished() is None  # the same command writes them


@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.slow), 4, pytest.param(8, marks=pytest.mark.slow)])
def test_an_interrupted_run_ends_like_an_uninterrupted_one(make_run, whole, stop_at, step):
    """4 and 8 are steps of an evaluation, which the signal prevents: it is made when the run continues."""
    first = stop_at(make_run(), step)
    assert first.finished() is None and not first.model_path.exists()
    assert Checkpoints(first.folder / "checkpoints").steps()[-1] == step
    second = finish(make_run())
    assert second.monitor.start == step  # TensorBoard keeps the points before
    scores = [score for _, score in first.scores + second.scores]
    assert scores == [score for _, score in whole.scores]
    assert [number for number, _ in first.scores + second.scores] == [1, 2, 3, 4, 5]
    assert_same_run(whole, second)


@pytest.mark.slow
def test_the_evaluation_that_a_signal_prevented_may_be_that_of_the_best_model(make_run, stop_at):
    """And a second interruption does not lose it."""
    weights = []

    def score_of(number, true):
        weights.append(weights_of(second))
        return 100.0 - 10 * number

    stop_at(make_run(lambda number, true: 50.0), 4)
    second = make_run(score_of)
    stop_at(second, 7)
    third = finish(make_run(lambda number, true: 70.0))
    assert record_of(third)["best_step"] == 4
    for a, b in zip(weights[0], weights_of(third), strict=True):
        np.testing.assert_array_equal(a, b)


class Killed(Exception):
    """What ends a run at once, as a kill would: nothing is saved any more."""


def killed(*arguments, **entries):
    raise Killed


def kill_in(run):
    with pytest.raises(Killed), run.process.signals:
        run.run()
    return run


@pytest.mark.parametrize("number", [1, *(pytest.param(number, marks=pytest.mark.slow) for number in (3, 5))])
def test_a_run_killed_during_an_evaluation_ends_as_one_that_was_not(make_run, whole, number):
    first = kill_in(make_run(lambda evaluation, true: killed() if evaluation == number else true))
    steps = Checkpoints(first.folder / "checkpoints").steps()
    second = finish(make_run())
    repeated = [score for i, score in whole.scores if not steps or EVALUATED[i - 1] > steps[-1] or i == 5]
    assert [score for _, score in second.scores] == repeated
    assert_same_run(whole, second)


@pytest.mark.parametrize("where", ["finish", "save_model", pytest.param("update", marks=pytest.mark.slow)])
def test_a_run_killed_after_its_training_finishes_without_training(make_run, monkeypatch, where, eagerly):
    first = make_run(lambda number, true: -number)  # the first is the best
    target = {"finish": first.task, "save_model": run_module.saving, "update": first.record}[where]
    update = first.record.update
    with monkeypatch.context() as patched:
        last = lambda **entries: killed() if "best_step" in entries else update(**entries)  # noqa: E731
        patched.setattr(target, where, last if where == "update" else killed)
        kill_in(first)
    assert first.finished() is None and first.model_path.exists() == (where == "update")
    second = make_run(lambda number, true: -5)
    monkeypatch.setattr(run_module.Trainer, "_load_call", lambda *which: pytest.fail("it trains"))
    finish(second)
    assert second.scores == [(5, -5)]  # the last evaluation alone
    assert second.finished()["best_step"] == 2
    for a, b in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_invalid_record_is_rejected(make_run, eagerly):
    run = make_run()
    run.folder.mkdir()
    for text in ("{", "[1]", '{"finished_steps": 3}'):
        run.record.path.write_text(text)
        assert run.finished() is None
        with pytest.raises(InputError, match=r"run\.json is not the record of a run"):
            run.run()


def test_a_run_whose_model_is_gone_is_not_finished(whole, new_run, tmp_path):
    (tmp_path / "run.json").write_text(whole.record.path.read_text())
    run = new_run(tmp_path)
    assert run.finished() is None
    run.model_path.write_text("a model")
    assert run.finished()["finished_steps"] == STEPS


@pytest.mark.slow
def test_a_setting_that_makes_another_run_is_rejected_by_name(make_run, stop_at, tmp_path):
    first = stop_at(make_run(), 3)
    changes = {
        "learning_rate": 0.01,
        "dropout": 0.3,
        "seed": 7,
        "epochs": 3.0,
        "batch_size": 4,
        "precision": "mixed_bfloat16",
    }
    before = record_of(first)
    for name, value in changes.items():
        other, old = make_run(**{name: value}), getattr(first.settings, name)
        sentence = f"holds another run: --{name} was {old!r} there and is {value!r} now. "
        for attempt in (other.run, other.check_same):
            with pytest.raises(InputError) as found:
                attempt()
            assert str(tmp_path / "run") in str(found.value) and sentence in str(found.value)
        assert other.events == []
    keras.mixed_precision.set_dtype_policy("float32")
    assert record_of(first) == before


@pytest.mark.slow
def test_other_data_are_rejected_and_changeable_settings_may_change(make_run, stop_at):
    stop_at(make_run(), 3)
    other = make_run()
    other.task.facts = lambda: {"train": "other rows"}
    with pytest.raises(InputError, match="holds another run: train was '42 rows' there and is 'other rows' now"):
        other.run()
    second = finish(make_run(color="blue", log_every=1, method="ours"))
    assert record_of(second)["flags"]["color"] == "blue"


@pytest.mark.slow
def test_before_the_first_checkpoint_everything_may_change(make_run, stop_at):
    first = kill_in(make_run(killed))
    assert Checkpoints(first.folder / "checkpoints").steps() == []
    second = stop_at(make_run(learning_rate=0.01, rows=43), 3)
    assert record_of(second)["facts"] == {"train": "43 rows"}
    make_run(learning_rate=0.01, rows=43).check_same()
    with pytest.raises(InputError, match="--rows"):
        make_run(learning_rate=0.01).check_same()


def test_a_non_finite_loss_is_a_training_failure(make_run, eagerly):
    run = make_run()
    make_model = run.task.make_model

    def broken():
        model = make_model()
        model.get_layer("head").bias.assign([np.nan])
        return model

    run.task.make_model = broken
    with pytest.raises(TrainingFailed, match="At step .*lower --learning_rate") as failed:
        run.run()
    names = {field.name for field in dataclasses.fields(FineTuningSettings)}  # all that is advised is there
    assert set(re.findall(r"--(\w+)", str(failed.value))) <= names


def test_an_input_error_is_not_a_training_failure(make_run):
    def missing():
        raise InputError("--encoder is not there.")

    run = make_run()
    run.task.make_model = missing
    with pytest.raises(InputError, match="--encoder is not there") as found:
        run.run()
    assert not isinstance(found.value, TrainingFailed)
