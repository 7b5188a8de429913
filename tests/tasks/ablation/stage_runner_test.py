"""Stages as processes: order, results, failures, signals."""

import os
import signal
import threading
import time

import pytest

from spanbert_keras.errors import InputError
from tasks.ablation.stage import Stage
from tasks.ablation.stage_runner import Stopped, check_arguments, run_stages

PROGRAM = """
import pathlib, signal, sys, time
what, target = sys.argv[1:]
print("began", what, flush=True)
if what == "sentence":
    sys.exit("Error: --corpus is missing.")
if what == "crash":
    raise RuntimeError("a defect")
if what in ("wait", "ignore"):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75 if what == "wait" else 0))
    pathlib.Path(target + ".began").touch()
    time.sleep(60)
if what != "nothing":
    pathlib.Path(target).touch()
"""


@pytest.fixture
def make_stage(tmp_path, monkeypatch):
    """Function that makes a stage that does `what` and then writes a file of its name."""
    (tmp_path / "stage_program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(name, what="write", after=()):
        target = tmp_path / f"{name}.done"
        return Stage(name, "stage_program", (what, str(target)), after, target.exists)

    return make


def test_stages_run_once_and_in_order(make_stage, tmp_path):
    failed = {}
    stages = [make_stage("a"), make_stage("b", after=("a",))]
    run_stages(stages, tmp_path, failed)
    assert not failed and all(stage.is_finished() for stage in stages)
    run_stages(stages, tmp_path, failed)
    assert (tmp_path / "logs" / "a.log").read_text() == "began write\n"


def test_a_failed_stage_is_named_and_those_that_need_it_are_left_out(make_stage, tmp_path):
    failed = {}
    stages = [
        make_stage("a", "sentence"),
        make_stage("b", after=("a",)),
        make_stage("c"),
        make_stage("d", after=("b",)),
    ]
    run_stages(stages, tmp_path, failed)
    assert list(failed) == ["a", "b", "d"]
    assert failed["a"].startswith("failed (exit code 1): --corpus is missing. The whole output is in ")
    assert failed["b"] == "left out, since a failed" and failed["d"] == "left out, since b failed"
    assert stages[2].is_finished()


def test_only_the_output_of_the_last_attempt_is_shown(make_stage, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text("Error: of an earlier attempt.\n")
    failed = {}
    run_stages([make_stage("a", "crash")], tmp_path, failed)
    assert "earlier" not in failed["a"]


def test_finished_text_of_other_arguments_is_rejected(make_stage, tmp_path):
    run_stages([make_stage("a")], tmp_path, {})
    check_arguments(make_stage("a"), tmp_path)
    with pytest.raises(InputError, match="The results of a in .* were made with write .*Expected: nothing"):
        check_arguments(make_stage("a", "nothing"), tmp_path)


def test_the_end_of_a_traceback_is_shown(make_stage, tmp_path):
    failed = {}
    run_stages([make_stage("a", "crash")], tmp_path, failed)
    assert "RuntimeError: a defect" in failed["a"]


def test_a_program_that_ends_well_without_results_has_failed(make_stage, tmp_path):
    failed = {}
    run_stages([make_stage("a", "nothing")], tmp_path, failed)
    assert "ended without results" in failed["a"]


@pytest.mark.parametrize(("what", "code"), [("wait", 75), ("ignore", 143)])
def test_a_signal_is_passed_on_and_stops_all_stages(make_stage, tmp_path, what, code):
    waiting = tmp_path / "a.done.began"

    def send():
        end = time.monotonic() + 30
        while not waiting.exists() and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=send).start()
    failed = {}
    with pytest.raises(Stopped) as stopped:
        run_stages([make_stage("a", what), make_stage("b")], tmp_path, failed)
    assert stopped.value.code == code and not failed
    assert not (tmp_path / "b.done").exists()
