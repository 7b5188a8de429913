"""Tests of a sweep's trials: the median rule, and a file from which another process continues."""

import json
import math

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning import sweep as module
from spanbert_keras.fine_tuning.sweep import COMPLETE, PRUNED, RUNNING, STARTUP_TRIALS, Sweep

CURVES = [[1.0, 4.0, 6.0], [2.0, 3.0, 8.0], [3.0, 2.0, 7.0]]  # medians 2, 3, 7


@pytest.fixture
def sweep(tmp_path):
    """A sweep with as many complete trials as pruning needs, in which the first evaluation prunes nothing."""
    found = Sweep(tmp_path, warmup_evaluations=2)
    for rate, curve in enumerate(CURVES):
        trial = found.trial({"learning_rate": float(rate)})
        for number, score in enumerate(curve, 1):
            assert not found.report(trial, number, score)
        found.end(trial, COMPLETE, max(curve))
    return found


def decisions(sweep, scores, rate=9.0):
    trial = sweep.trial({"learning_rate": rate})
    return [sweep.report(trial, number, score) for number, score in enumerate(scores, 1)]


@pytest.mark.parametrize(
    "scores, expected",
    [
        ([0.0, 0.0], [False, True]),  # not before the second
        ([0.0, 3.0, 6.9], [False, False, True]),  # the median itself is not below the median
        ([5.0, 0.0, 0.0], [False, False, True]),  # the best so far counts
        ([9.0, 0.0, 0.0, 0.0], [False, False, False, False]),
        ([0.0, 4.0, 7.0, 0.0], [False, False, False, False]),  # no other trial has a fourth evaluation
        ([math.nan, math.nan], [False, True]),
        ([math.nan, 3.0, math.inf], [False, False, True]),
    ],
)
def test_a_trial_is_pruned_if_its_best_is_below_the_median_of_the_others(sweep, scores, expected):
    assert decisions(sweep, scores) == expected


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two(sweep):
    decisions(sweep, [4.0, 4.0])
    sweep.end(sweep.trials[-1], COMPLETE, 4.0)  # second evaluations: 2, 3, 4, 4
    assert decisions(sweep, [0.0, 3.4], rate=10.0) == [False, True]
    assert decisions(sweep, [0.0, 3.5], rate=11.0) == [False, False]


def test_pruned_and_running_trials_neither_count_nor_compare(tmp_path):
    sweep = Sweep(tmp_path, warmup_evaluations=1)
    for rate in range(STARTUP_TRIALS + 1):
        assert decisions(sweep, [9.0], rate) == [False]
        sweep.end(sweep.trials[-1], COMPLETE if rate < STARTUP_TRIALS - 1 else PRUNED, 9.0)
    assert decisions(sweep, [0.0], rate=9) == [False]


def test_a_kill_after_any_write_leaves_a_file_that_another_process_continues(sweep, tmp_path):
    decisions(sweep, [5.0, 3.0])
    other = Sweep(tmp_path, warmup_evaluations=2)
    assert other.trials == sweep.trials and [one.state for one in other.trials] == [COMPLETE] * 3 + [RUNNING]
    trial = other.trial({"learning_rate": 9.0})
    assert len(other.trials) == 4 and trial.evaluations == {1: 5.0, 2: 3.0}
    # From a checkpoint before the second evaluation: it is repeated, and the first score of the trial still counts.
    assert not other.report(trial, 2, 0.0) and trial.evaluations[2] == 3.0
    assert other.report(trial, 3, 6.0) == sweep.report(sweep.trials[-1], 3, 6.0) is True


def test_the_file_is_readable(sweep, tmp_path):
    decisions(sweep, [5.0, math.nan])
    sweep.end(sweep.trials[-1], PRUNED)
    sweep.finish(sweep.best(), "rate_1", {"dev": {"f1": 8.0}})
    found = json.loads((tmp_path / "sweep.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert list(found) == ["trials", "chosen", "folder", "scores", "content_sha256"]
    evaluations = {"1": 2.0, "2": 3.0, "3": 8.0}
    assert found["trials"][1] == {"learning_rate": 1.0, "dev": 8.0, "state": "complete", "evaluations": evaluations}
    assert found["trials"][3]["dev"] is None and found["trials"][3]["evaluations"] == {"1": 5.0, "2": None}
    assert (found["chosen"], found["folder"], found["scores"]["dev"]) == ({"learning_rate": 1.0}, "rate_1", {"f1": 8.0})


def test_a_result_stays_until_there_is_another(sweep, tmp_path):
    sweep.finish(sweep.best(), "rate_1", {})
    Sweep(tmp_path, 2).trial({"learning_rate": 7.0})
    found = json.loads((tmp_path / "sweep.json").read_text())
    assert found["folder"] == "rate_1" and len(found["trials"]) == 4


def test_the_first_of_equals_is_the_best(tmp_path):
    sweep = Sweep(tmp_path, 1)
    assert sweep.best() is None and not sweep.begun
    for rate, (state, dev) in enumerate([(PRUNED, 9.0), (COMPLETE, 1.0), (COMPLETE, 5.0), (COMPLETE, 5.0)]):
        sweep.end(sweep.trial({"learning_rate": rate}), state, dev)
        assert sweep.begun
    assert sweep.best().parameters == {"learning_rate": 2}


def test_a_finished_sweep_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / "sweep.db").touch()
    with pytest.raises(InputError, match="sweep.db is an unfinished sweep of an earlier version"):
        Sweep(tmp_path, 1)
    old = {"trials": [{"batch_size": 8, "dev": 3.0, "state": "complete"}], "chosen": {"batch_size": 8}, "folder": "b"}
    (tmp_path / "sweep.json").write_text(json.dumps(old))
    trial = Sweep(tmp_path, 1).trial({"batch_size": 8})
    assert (trial.state, trial.dev, trial.evaluations) == (COMPLETE, 3.0, {})


DAMAGED = [
    '{"trials": [{"dev": "a", "state": "complete"}]}',
    '{"trials": [{"dev": null, "state": "complete"}]}',
    '{"trials": [{"dev": 1.0, "state": "other"}]}',
    '{"trials": [{"dev": 1.0, "state": "running", "evaluations": {"a": 1.0}}]}',
    '{"trials": [{"dev": 1.0, "state": "running", "evaluations": {"1": "b"}}]}',
    '{"trials": [], "folder": 3}',
    "[" * 100_000,
]


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", "{}", '{"trials": 1}', '{"trials": [3]}', '{"trials": [{}]}', *DAMAGED]
)
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(InputError, match="sweep.json is not the record of a sweep: .*. Give another --output_dir"):
        Sweep(tmp_path, 1)


def test_a_full_disk_is_reported_and_the_file_stays(sweep, tmp_path, monkeypatch):
    def full(path, value, checksum):
        raise OSError(28, "No space left on device")

    before = (tmp_path / "sweep.json").read_text()
    monkeypatch.setattr(module, "write_json", full)
    with pytest.raises(InputError, match="sweep.json cannot be written: .*No space left.*run the same command again"):
        decisions(sweep, [1.0])
    assert (tmp_path / "sweep.json").read_text() == before
