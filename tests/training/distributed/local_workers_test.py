"""Tests of workers on this machine. The program is a small one that needs none of the package."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed import child_processes, local_workers
from spanbert_keras.training.distributed.local_workers import run_local_workers

PROGRAM = """
import json, os, pathlib, signal, sys, time
config = json.loads(os.environ["TF_CONFIG"])
worker, folder = config["task"]["index"], pathlib.Path(sys.argv[1])
signals = []
if "deaf" not in sys.argv:
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        signal.signal(getattr(signal, name), lambda number, frame: signals.append(number))
else:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
(folder / f".{worker}").write_text(json.dumps({"pid": os.getpid(), "environ": dict(os.environ)}))
(folder / f".{worker}").rename(folder / f"{worker}.json")
print(f"words of worker {worker}", flush=True)
print(f"complaints of worker {worker}", file=sys.stderr, flush=True)
if f"fail={worker}" in sys.argv:
    time.sleep(0.2)
    sys.exit(3)
if f"killed={worker}" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
if f"lost={worker}" in sys.argv:
    sys.exit(76)
if "wait" in sys.argv or "deaf" in sys.argv:
    while not signals:
        time.sleep(0.02)
    (folder / f"signals-{worker}").write_text(str(signals[0]))
    sys.exit(75)
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function that rehearses `PROGRAM` with 2 workers and returns the code; no process of it is left."""
    (tmp_path / "small_program.py").write_text(PROGRAM)
    monkeypatch.setattr(local_workers, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(child_processes, "TERMINATE_SECONDS", 0.3)
    environ = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(tmp_path)}

    def start(*arguments, workers=2, **more):
        return run_local_workers(
            [str(tmp_path), *arguments], workers, tmp_path / "logs", environ | more, module="small_program"
        )

    yield start
    assert [pid for pid in pids(tmp_path) if is_running(pid)] == []


def facts(folder, worker):
    return json.loads((folder / f"{worker}.json").read_text())


def pids(folder):
    return [json.loads(file.read_text())["pid"] for file in folder.glob("*.json")]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def once_all_run(folder, workers, do):
    """Starts a thread that calls `do()` when all workers have started."""

    def wait():
        deadline = time.monotonic() + 20
        while len(pids(folder)) < workers and time.monotonic() < deadline:
            time.sleep(0.02)
        do()

    threading.Thread(target=wait, daemon=True).start()


def test_workers_know_each_other_and_share_the_threads(run, tmp_path):
    assert run(workers=2) == 0
    environs = [facts(tmp_path, i)["environ"] for i in range(2)]
    configs = [json.loads(environ["TF_CONFIG"]) for environ in environs]
    assert [config["task"] for config in configs] == [{"type": "worker", "index": i} for i in range(2)]
    addresses = configs[0]["cluster"]["worker"]
    assert configs[1]["cluster"]["worker"] == addresses and len(set(addresses)) == 2
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        assert {environ[name] for environ in environs} == {threads}
    assert {environ["SPANBERT_KERAS_REHEARSAL"] for environ in environs} == {"1"}


def test_a_number_of_threads_that_is_given_stays(run, tmp_path):
    assert run(OMP_NUM_THREADS="7") == 0
    assert {facts(tmp_path, i)["environ"]["OMP_NUM_THREADS"] for i in range(2)} == {"7"}


def test_gpus_are_used_only_when_named_and_never_by_two_workers(run, tmp_path):
    def devices(**more):
        assert run(**more) == 0
        return [facts(tmp_path, i)["environ"]["CUDA_VISIBLE_DEVICES"] for i in range(2)]

    assert devices() == ["", ""]
    assert devices(CUDA_VISIBLE_DEVICES="3,4,5,6") == ["3,4", "5,6"]
    assert devices(CUDA_VISIBLE_DEVICES="1") == ["1", "1"]


def test_worker_0_has_our_output_and_the_others_have_files(run, tmp_path, capfd):
    for _ in range(2):
        assert run() == 0
    out, err = capfd.readouterr()
    assert out == "words of worker 0\n" * 2
    assert "complaints of worker 0" in err and "worker 1\n" not in out
    assert (tmp_path / "logs" / "worker-1.log").read_text().splitlines() == [
        "words of worker 1",
        "complaints of worker 1",
    ] * 2


def test_the_first_failure_ends_the_others_and_is_shown(run, capfd):
    assert run("fail=1", "wait") == 3
    err = capfd.readouterr().err
    assert "Worker 1 failed first (exit code 3)" in err and "  complaints of worker 1" in err


def test_workers_that_ignore_sigterm_are_killed(run, capfd):
    began = time.monotonic()
    assert run("fail=0", "deaf") == 3
    assert time.monotonic() - began < 20
    assert "Worker 0 failed first (exit code 3); its output is above" in capfd.readouterr().err


def test_death_by_a_signal_has_the_shells_exit_code(run, capfd):
    assert run("killed=1") == 128 + signal.SIGKILL
    assert "Worker 1 failed first (signal SIGKILL)" in capfd.readouterr().err


def test_a_worker_that_ended_because_it_lost_another_is_not_the_first_failure(run, monkeypatch):
    monkeypatch.setattr(local_workers, "POLL_SECONDS", 1.0)  # both have ended when we look
    assert run("lost=0", "fail=1") == 3


@pytest.mark.parametrize(
    "sent, comes", [("SIGINT", "SIGINT"), ("SIGTERM", "SIGTERM"), ("SIGUSR1", "SIGUSR1"), ("SIGHUP", "SIGTERM")]
)
def test_signals_reach_every_worker(run, tmp_path, capfd, sent, comes):
    number = getattr(signal, sent)
    own = lambda *arguments: None  # noqa: E731
    before = signal.signal(number, own)  # in the background these tests may run with the signal ignored
    try:
        once_all_run(tmp_path, 2, lambda: os.kill(os.getpid(), number))
        assert run("wait") == 75
        assert signal.getsignal(number) is own
    finally:
        signal.signal(number, before)
    assert [int((tmp_path / f"signals-{i}").read_text()) for i in range(2)] == [getattr(signal, comes)] * 2
    assert "failed first" not in capfd.readouterr().err


def test_a_signal_that_is_ignored_stays_ignored(run, tmp_path):
    def hang_up_and_ask():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        once_all_run(tmp_path, 2, hang_up_and_ask)
        assert run("wait") == 75
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert [int((tmp_path / f"signals-{i}").read_text()) for i in range(2)] == [signal.SIGUSR1] * 2


def test_an_exception_leaves_no_process(run, tmp_path, monkeypatch):
    def raise_when_all_run(processes, received):
        while len(pids(tmp_path)) < 2:
            time.sleep(0.02)
        raise MemoryError

    monkeypatch.setattr(local_workers, "_wait", raise_when_all_run)
    with pytest.raises(MemoryError):
        run("wait")
    assert len(pids(tmp_path)) == 2


def test_a_worker_that_cannot_start_leaves_no_process(run, tmp_path, monkeypatch):
    real, started = subprocess.Popen, []

    def second_fails(*arguments, **options):
        if started:
            raise OSError("no more processes")
        started.append(real(*arguments, **options))
        return started[0]

    monkeypatch.setattr(local_workers.subprocess, "Popen", second_fails)
    with pytest.raises(OSError, match="no more processes"):
        run("wait")
    assert started[0].returncode is not None


def test_invalid_arguments_are_rejected(run, tmp_path):
    with pytest.raises(InputError, match="--local_workers must be at least 1. Received: 0"):
        run(workers=0)
    (tmp_path / "logs").touch()
    with pytest.raises(InputError, match="cannot be written to"):
        run()
