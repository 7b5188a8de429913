"""Tests of what a training process holds while it runs, and always releases."""

import json
import os
import signal

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.files.folder_lock import FILE_NAME
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.run import run_process as run_process_module
from spanbert_keras.training.run.run_process import RunProcess

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def handlers():
    return [signal.getsignal(number) for number in NUMBERS]


@pytest.fixture
def devices(monkeypatch):
    """The calls that would prepare the devices; a function in the list gives what the last one returns."""
    calls = []
    monkeypatch.setattr(run_process_module, "configure_devices", lambda deterministic: calls.append(deterministic))

    def make_distribution(kind, replicas):
        calls.append((kind, replicas))
        return Distribution(num_workers=2, worker=1) if kind == "multi_worker" else Distribution()

    monkeypatch.setattr(run_process_module, "make_distribution", make_distribution)
    return calls


@pytest.fixture
def second_of_two(devices, monkeypatch):
    """The environment of worker 1 of two."""
    config = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))


@pytest.fixture
def exits(monkeypatch):
    """List of the codes with which the process would have ended."""
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


def test_one_process_holds_signals_and_the_folder(devices, tmp_path):
    before = handlers()
    with RunProcess(tmp_path / "run", "mirrored", 2, preemption_exit_code=77, deterministic=True) as process:
        assert devices == [True, ("mirrored", 2)]
        assert handlers() == [process.signals._handle] * 3
        assert process.signals.preemption_exit_code == 77
        assert process.distribution == Distribution()
        assert json.loads((tmp_path / "run" / FILE_NAME).read_text())["pid"] == os.getpid()
        with pytest.raises(InputError, match="run"), RunProcess(tmp_path / "run"):
            pass
        assert handlers() == [process.signals._handle] * 3
    assert handlers() == before
    with RunProcess(tmp_path / "run"):
        pass
    assert not (tmp_path / "run" / "workers").exists()


@pytest.mark.parametrize("error", [InputError("no such devices"), RuntimeError("the driver"), KeyboardInterrupt()])
def test_everything_is_released_when_the_devices_are_missing(devices, monkeypatch, tmp_path, error):
    def fail(kind, replicas):
        raise error

    before = handlers()
    with monkeypatch.context() as patched:
        patched.setattr(run_process_module, "make_distribution", fail)
        with pytest.raises(type(error)), RunProcess(tmp_path):
            pass
    assert handlers() == before
    with RunProcess(tmp_path):
        pass


def test_an_error_of_the_run_is_passed_on(devices, tmp_path, exits):
    with pytest.raises(RuntimeError, match="mine"), RunProcess(tmp_path):
        raise RuntimeError("mine")
    assert exits == []


def test_only_the_chief_holds_the_folder_and_every_worker_is_watched(second_of_two, tmp_path):
    with RunProcess(tmp_path, "multi_worker") as process:
        assert (process.cluster.worker, process.cluster.num_workers) == (1, 2)
        assert not (tmp_path / FILE_NAME).exists()
        assert json.loads((tmp_path / "workers" / "worker-1.json").read_text())["state"] == "running"
    assert json.loads((tmp_path / "workers" / "worker-1.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("code, state", [(0, "finished"), (130, "finished"), (77, "finished"), (1, "failed")])
def test_a_worker_that_was_asked_to_stop_has_not_failed(second_of_two, tmp_path, code, state):
    with pytest.raises(SystemExit), RunProcess(tmp_path, "multi_worker", preemption_exit_code=77):
        raise SystemExit(code)
    assert json.loads((tmp_path / "workers" / "worker-1.json").read_text())["state"] == state


def test_a_missing_cluster_description_is_rejected_before_anything_is_held(devices, monkeypatch, tmp_path):
    for name in ("TF_CONFIG", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    before = handlers()
    with pytest.raises(InputError, match="TF_CONFIG"), RunProcess(tmp_path / "run", "multi_worker"):
        pass
    assert handlers() == before and devices == []
    assert not (tmp_path / "run").exists()


def test_an_error_that_another_workers_loss_explains_ends_with_that_sentence(
    second_of_two, monkeypatch, tmp_path, exits, capsys
):
    with pytest.raises(RuntimeError), RunProcess(tmp_path, "multi_worker") as process:
        monkeypatch.setattr(process.watch, "explain", lambda seconds: "Worker 0 is gone.")
        raise RuntimeError("a collective operation failed")
    assert exits == [76]
    assert capsys.readouterr().err == "Error: Worker 0 is gone.\n"


@pytest.mark.parametrize("error", [InputError("a wrong flag"), SystemExit(3), KeyboardInterrupt()])
def test_other_errors_than_the_runtimes_are_not_explained_by_lost_workers(
    second_of_two, monkeypatch, tmp_path, exits, error
):
    with pytest.raises(type(error)), RunProcess(tmp_path, "multi_worker") as process:
        monkeypatch.setattr(process.watch, "explain", lambda seconds: pytest.fail("asked"))
        raise error
    assert exits == ([1] if isinstance(error, InputError) else [])  # at once: the runtime may wait for the others


def test_what_a_killed_run_left_half_written_is_removed(devices, tmp_path):
    for name in (".0123abcd.encoder.keras", ".0123abcd.run.json", ".0123abcd.notes.txt", "mine.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".0123abcd.encoder_preset").mkdir()
    (tmp_path / ".0123abcd.old.encoder_preset").mkdir()
    with RunProcess(tmp_path):
        pass
    names = {entry.name for entry in tmp_path.iterdir()}
    assert names == {".0123abcd.notes.txt", "mine.txt", "encoder_preset", FILE_NAME}


@pytest.mark.parametrize("saved", [True, False])
def test_a_worker_that_is_gone_at_the_end_costs_nothing_if_everything_is_saved(
    second_of_two, monkeypatch, tmp_path, exits, capsys, saved
):
    monkeypatch.setattr(run_process_module, "VISIBLE_SECONDS", 0.3)

    def gone(self, values):
        raise RuntimeError("connection reset")

    monkeypatch.setattr(Distribution, "sum", gone)
    with RunProcess(tmp_path, "multi_worker") as process:
        monkeypatch.setattr(process.watch, "explain", lambda seconds: None)
        process.watch._exit(76)
        assert exits == [76]  # before the end, a lost worker is a failure
        if saved:
            (tmp_path / "workers" / "complete").touch()
            process.leave_together()
            process.watch._exit(76)
            assert exits == [76, 0, 0] and "are saved; not all workers" in capsys.readouterr().err
        else:
            with pytest.raises(RuntimeError, match="connection reset"):
                process.leave_together()
            assert exits == [76]


def test_the_chief_says_that_everything_is_saved_and_not_before(devices, monkeypatch, tmp_path):
    config = {"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    chief = Distribution(num_workers=2, worker=0)
    monkeypatch.setattr(run_process_module, "make_distribution", lambda kind, replicas: chief)
    (tmp_path / "workers").mkdir()
    mark = tmp_path / "workers" / "complete"
    mark.touch()  # of an earlier attempt
    with RunProcess(tmp_path, "multi_worker") as process:
        assert not mark.exists()
        process.leave_together()
        assert mark.exists()
