"""Tests of one run, several seeds, and sweeps: what they compare, and that nothing is repeated.

Most of them replace training by a script of scores; folders, records and the study are the real ones.
"""

import json
import math
import os
import signal

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning import study
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.fine_tuning.run import TrainingFailed
from spanbert_keras.fine_tuning.study import mean_and_deviation, prepare_keras
from spanbert_keras.fine_tuning.sweep import STARTUP_TRIALS, Sweep
from tests.fine_tuning.conftest import Killed


def name_of(rate, size):
    return f"rate_{rate}_batch_{size}"


GRID = [name_of(rate, size) for rate in (0.1, 0.2, 0.3) for size in (8, 16)]


def scored_on_test(study):
    return [event[1] for event in study.events if event[0] == "test"]


def result_of(study, name="sweep.json"):
    return json.loads((study.folder / name).read_text())


# --- one run


def test_one_run_is_trained_tested_and_then_finished(make_study, monkeypatch):
    def killed(path):
        raise Killed

    first = make_study()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(keras.saving, "load_model", killed)  # after the training, before it is scored on test
        first.run()
    assert first.events[-1][0] == "finish"
    second = make_study()
    assert second.run() == 0
    assert second.events == [("test", "run")]  # the model of the folder, and no training
    record = result_of(second, "run.json")
    assert record["scores"]["test"]["threshold"] == 0.25 and record["scores"]["dev"]["fit"] == first.events[-1][1]
    third = make_study(color="blue")
    assert third.run() == 0 and third.events == []
    with pytest.raises(InputError, match="holds another run: --dropout was 0.2 there and is 0.1 now"):
        make_study(dropout=0.1).run()


@pytest.mark.parametrize("name, code", [("SIGINT", 130), ("SIGTERM", 77)])
def test_a_signal_ends_the_run_with_its_exit_code(make_study, monkeypatch, name, code):
    monkeypatch.setattr(FineTuningMonitor, "on_step", lambda self, done: os.kill(os.getpid(), getattr(signal, name)))
    study = make_study(preemption_exit_code=77)
    assert study.run() == code
    assert study.events == ["model"] and not (study.folder / "toy.keras").exists()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "auto"])
def test_keras_is_as_in_a_new_process(precision):
    found = []
    try:
        for _ in range(2):
            prepare_keras(7, precision)
            layer = keras.layers.Dense(1)
            found.append((layer.name, np.random.random(), float(keras.random.uniform(()))))
            policy = keras.mixed_precision.dtype_policy().name
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    assert found[0] == found[1] and found[0][0] == "dense"
    assert policy == precision or precision == "auto" and policy in ("float32", "mixed_float16")


def test_every_run_begins_with_its_own_seed_and_precision(make_study, script, monkeypatch):
    begun = []
    monkeypatch.setattr(study, "prepare_keras", lambda *given: begun.append(given))
    many = make_study(seeds=2, precision="float32")
    assert many.run() == 0 and begun == [(42, "float32"), (43, "float32")]
    assert make_study(seeds=2, precision="float32").run() == 0 and len(begun) == 2  # finished runs need none


# --- seeds


def test_seeds_give_mean_and_sample_deviation_and_the_best_model(make_study, script):
    script.scores = lambda settings: [{42: 70.0, 43: 76.0, 44: 73.0}[settings.seed]]
    script.hits = lambda settings: {42: 0.5, 43: 0.9, 44: 0.7}[settings.seed]
    study = make_study(seeds=3)
    assert study.run() == 0
    found = result_of(study, "seeds.json")
    assert found["best"] == "seed_43" and list(found["runs"]) == ["seed_42", "seed_43", "seed_44"]
    assert found["summary"] == {"dev": {"fit": [73.0, 3.0]}, "test": {"hits": pytest.approx([0.7, 0.2])}}
    assert found["runs"]["seed_44"] == {"dev": {"fit": 73.0, "of": "seed_44"}, "test": {"hits": 0.7}}
    assert (study.folder / "toy.keras").read_text() == "seed_43"
    flags = json.loads((study.folder / "seed_43" / "run.json").read_text())["flags"]
    assert flags["seed"] == 43 and flags["seeds"] == 1


def test_interrupted_seeds_continue_where_they_stopped(make_study, script):
    script.interrupted, script.killed = {"seed_43": 2}, {"seed_44": 3}
    assert make_study(seeds=3).run() == 130
    with pytest.raises(Killed):
        make_study(seeds=3).run()
    last = make_study(seeds=3)
    assert not (last.folder / "seeds.json").exists() and not (last.folder / "toy.keras").exists()
    assert last.run() == 0
    repeated = [("seed_44", 3)]  # its process was killed before it was on disk
    expected = [(f"seed_{seed}", number) for seed in (42, 43, 44) for number in (1, 2, 3, 4)]
    assert sorted(script.evaluated) == sorted(expected + repeated)
    assert scored_on_test(last) == ["seed_44"]  # the others were tested when they ended
    more = make_study(seeds=4)
    assert more.run() == 0 and scored_on_test(more) == ["seed_45"]
    assert len(result_of(more, "seeds.json")["runs"]) == 4
    with pytest.raises(InputError, match="--learning_rate"):
        make_study(seeds=4, learning_rate=0.7).run()


def test_an_error_ends_the_seeds_and_keeps_those_that_are_finished(make_study, script):
    script.errors = {"seed_43": InputError("The disk is full.")}
    with pytest.raises(InputError, match="The disk is full"):
        make_study(seeds=2).run()
    script.errors = {}
    assert make_study(seeds=2).run() == 0
    assert len(script.evaluated) == 8


def test_deviations_are_of_numbers_that_all_runs_have():
    scores = [{"f1": 1, "best": 4.0, "ok": True, "of": {"f1": 2}}, {"f1": 2, "ok": True, "of": {}}, {"f1": 6, "x": 1}]
    assert mean_and_deviation(scores) == {"f1": (3.0, pytest.approx(7**0.5))}
    assert mean_and_deviation([{"f1": 5.0}]) == {"f1": (5.0, 0.0)}


# --- sweep


def test_a_sweep_tries_the_grid_and_tests_only_the_chosen_run(make_sweep, script):
    best = {0.1: 50.0, 0.2: 80.0, 0.3: 70.0}
    script.scores = lambda settings: [10.0, 20.0, best[settings.learning_rate] + settings.batch_size]
    script.hits = lambda settings: 1.0 - settings.learning_rate  # test would choose another
    study = make_sweep()
    assert study.run() == 0
    assert script.evaluated == [(name, number) for name in GRID for number in (1, 2, 3)]
    assert scored_on_test(study) == [name_of(0.2, 16)]
    found = result_of(study)
    assert found["chosen"] == {"learning_rate": 0.2, "batch_size": 16}
    assert found["scores"] == {"dev": {"fit": 96.0, "of": name_of(0.2, 16)}, "test": {"hits": 0.8}}
    expected = [58.0, 66.0, 88.0, 96.0, 78.0, 86.0]
    assert [(trial["dev"], trial["state"]) for trial in found["trials"]] == [(dev, "complete") for dev in expected]
    assert (study.folder / "toy.keras").read_text() == name_of(0.2, 16)
    again = make_sweep()
    assert again.run() == 0
    assert len(script.evaluated) == 18 and scored_on_test(again) == [] and result_of(again) == found


def test_a_sweep_may_be_cut_short_and_extended(make_sweep, script):
    assert make_sweep(sweep_trials=2).run() == 0
    assert {name for name, _ in script.evaluated} == set(GRID[:2])
    study = make_sweep(sweep_trials=3)
    assert study.run() == 0
    assert {name for name, _ in script.evaluated} == set(GRID[:3]) and len(script.evaluated) == 12


def test_runs_below_the_median_end_early_but_none_of_the_first(make_sweep, script):
    """After an epoch, two evaluations: the second run is as bad as the fifth, and there is nothing to compare yet."""
    bad = (GRID[1], GRID[4])

    def scores(settings):
        return [1.0] * 4 if name_of(settings.learning_rate, settings.batch_size) in bad else [10.0, 20.0, 30.0, 40.0]

    script.scores = scores
    study = make_sweep()
    assert study.run() == 0
    assert STARTUP_TRIALS == 3
    counts = [sum(name == of for of, _ in script.evaluated) for name in GRID]
    assert counts == [4, 4, 4, 4, 2, 4]
    states = [trial["state"] for trial in result_of(study)["trials"]]
    assert states == ["complete"] * 4 + ["pruned", "complete"]
    assert make_sweep().run() == 0
    assert len(script.evaluated) == sum(counts)  # a pruned run is not tried again


@pytest.mark.parametrize("how", ["interrupted", "killed"])
def test_a_stopped_sweep_ends_like_an_uninterrupted_one(make_sweep, script, how):
    """The fifth run's first score saves it from being pruned at the second, also by another process."""
    curves = dict.fromkeys(GRID, [10.0, 20.0, 30.0, 40.0]) | {GRID[4]: [50.0, 2.0, 2.0, 60.0], GRID[5]: [3.0] * 4}
    script.scores = lambda settings: curves[name_of(settings.learning_rate, settings.batch_size)]
    assert make_sweep(folder="whole").run() == 0
    whole, script.evaluated = result_of(make_sweep(folder="whole")), []
    getattr(script, how).update({GRID[1]: 3, GRID[4]: 1})
    for _ in range(2):
        study = make_sweep()
        if how == "killed":
            with pytest.raises(Killed):
                study.run()
        else:
            assert study.run() == 130
        assert scored_on_test(study) == [] and "chosen" not in result_of(study)
    study = make_sweep()
    assert study.run() == 0
    assert result_of(study) == whole and whole["chosen"] == {"learning_rate": 0.3, "batch_size": 8}
    expected = [(name, number) for name in GRID for number in range(1, 3 if name == GRID[5] else 5)]
    repeated = [(GRID[1], 3), (GRID[4], 1)] if how == "killed" else []
    assert sorted(script.evaluated) == sorted(expected + repeated)
    assert scored_on_test(study) == [GRID[4]]


def test_a_run_whose_training_fails_does_not_end_the_sweep(make_sweep, script):
    script.errors = {GRID[0]: TrainingFailed("At step 1 the loss is nan.")}
    study = make_sweep(sweep_trials=3)
    assert study.run() == 0
    trials = result_of(study)["trials"]
    assert [trial["state"] for trial in trials] == ["pruned", "complete", "complete"] and trials[0]["dev"] is None
    script.errors = {}
    assert make_sweep(sweep_trials=3).run() == 0
    assert GRID[0] not in {name for name, _ in script.evaluated}  # it would fail again


def test_a_sweep_without_any_result_is_an_error(make_sweep, script):
    script.errors = dict.fromkeys(GRID, TrainingFailed("At step 1 the loss is nan."))
    with pytest.raises(InputError, match="No combination of the sweep in .* could be trained"):
        make_sweep().run()


def test_other_errors_end_the_sweep_which_continues_once_they_are_fixed(make_sweep, script):
    script.errors = {GRID[1]: InputError("--encoder=a is not there.")}
    with pytest.raises(InputError, match="--encoder=a is not there"):
        make_sweep(encoder="a").run()
    assert {name for name, _ in script.evaluated} == {GRID[0]}
    script.errors = {}
    study = make_sweep(encoder="a")  # it is there now
    assert study.run() == 0
    assert sorted(script.evaluated) == sorted((name, number) for name in GRID for number in (1, 2, 3, 4))


def test_a_sweep_compares_runs_of_the_same_settings_only(make_sweep, script):
    script.errors = {GRID[0]: InputError("The training file is empty.")}
    with pytest.raises(InputError, match="is empty"):
        make_sweep(rows=2).run()  # no trial has ended: settings may change
    script.errors, script.interrupted = {}, {GRID[1]: 2}
    assert make_sweep(rows=43).run() == 130
    seen = len(script.evaluated)
    for changed, name in ({"rows": 42}, "rows"), ({"rows": 43, "epochs": 3.0}, "epochs"):
        with pytest.raises(InputError, match=f"holds another run: --{name} was"):
            make_sweep(**changed).run()
    assert len(script.evaluated) == seen
    assert make_sweep(rows=43, color="blue", learning_rate=0.5, batch_size=4).run() == 0  # the grid's count
    assert json.loads((make_sweep().folder / "run.json").read_text())["facts"] == {"train": "43 rows"}


def test_the_whole_grid_is_checked_before_the_first_run(make_sweep, script):
    with pytest.raises(InputError, match="--batch_size=9 must be a multiple of 2"):
        make_sweep(sweep_batch_sizes=("8", "9"), accumulation_steps=2).run()
    assert script.evaluated == []


def test_an_unfinished_sweep_of_an_earlier_version_is_recognised(make_sweep, script):
    study = make_sweep()
    study.folder.mkdir()
    (study.folder / "sweep.db").write_bytes(b"SQLite format 3")
    with pytest.raises(InputError, match=r"sweep.db is an unfinished sweep of an earlier version.*--output_dir"):
        study.run()
    assert script.evaluated == []


def test_a_score_that_cannot_be_written_ends_the_sweep_and_its_run_is_tried_again(make_sweep, script, monkeypatch):
    write = Sweep.write

    def write_or_fail(self):
        if len(script.evaluated) == 6:
            raise InputError("The file sweep.json cannot be written: No space left on device.")
        write(self)

    with monkeypatch.context() as patched, pytest.raises(InputError, match="No space left"):
        patched.setattr(Sweep, "write", write_or_fail)
        make_sweep().run()
    assert [trial["state"] for trial in result_of(make_sweep())["trials"]] == ["complete", "running"]
    study = make_sweep()
    assert study.run() == 0 and {trial["state"] for trial in result_of(study)["trials"]} == {"complete"}


@pytest.mark.slow
def test_an_interrupted_run_of_a_sweep_continues_from_its_checkpoint(make_sweep, monkeypatch):
    grid = {"sweep_learning_rates": ("0.01", "0.05"), "sweep_batch_sizes": ("8",), "evaluations_per_epoch": 3}
    whole = make_sweep(folder="whole", **grid)
    assert whole.run() == 0
    steps = []

    def on_step(self, done):
        steps.append(done)
        if len(steps) == 9 + 5:  # the fifth step of the second run
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FineTuningMonitor, "on_step", on_step)
    first = make_sweep(**grid)
    assert first.run() == 130
    second = make_sweep(**grid)
    assert second.run() == 0
    assert steps == [*range(1, 10), *range(1, 6), *range(6, 10)]
    scores = [[e for e in events if e != "model"] for events in (whole.events, first.events + second.events)]
    assert len(scores[0]) == 2 * 6 + 1 and scores[0] == scores[1]
    assert result_of(whole) == result_of(second)
    weights = [keras.saving.load_model(study.folder / "toy.keras").get_weights() for study in (whole, second)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def curve(place):
    """Returns six scores of a run by its place in the grid; any numbers do that cross each other."""
    return [round(40 + 8 * math.sin(2.3 * place + 1.7 * number) + (2 + place % 3) * number, 3) for number in range(6)]


def test_a_sweep_gives_the_results_that_it_always_gave(make_sweep, script):
    """Twelve runs: evaluations made, state and dev score of each, as recorded with Optuna's median pruner."""
    grid = [(rate, size) for rate in (0.1, 0.2, 0.3, 0.4) for size in (8, 16, 32)]
    script.scores = lambda settings: curve(grid.index((settings.learning_rate, settings.batch_size)))
    study = make_sweep(
        sweep_learning_rates=("0.1", "0.2", "0.3", "0.4"), sweep_batch_sizes=("8", "16", "32"), evaluations_per_epoch=2
    )
    assert study.run() == 0
    trials = result_of(study)["trials"]
    counts = [sum(name_of(*place) == of for of, _ in script.evaluated) for place in grid]
    assert list(zip(counts, (one["state"] for one in trials), (one["dev"] for one in trials), strict=True)) == [
        (6, "complete", 56.388),
        (6, "complete", 56.19),
        (6, "complete", 64.069),
        (4, "pruned", 41.707),
        (2, "pruned", 35.037),
        (6, "complete", 67.304),
        (3, "pruned", 36.025),
        (2, "pruned", 36.062),
        (6, "complete", 67.846),
        (2, "pruned", 38.82),
        (2, "pruned", 39.645),
        (6, "complete", 65.497),
    ]
    assert result_of(study)["chosen"] == {"learning_rate": 0.3, "batch_size": 32}
