"""What a run does when something else fails."""

import json
import resource
import signal
import time

import keras
import pytest

pytestmark = pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="the torch backend trains on one device, as the other suites test"
)


@pytest.mark.slow
def test_a_second_run_in_one_output_directory_is_rejected(start):
    first = start("run", steps=2000)
    first.wait_for("step 2/2000")
    second = start("run", logged_as="second", steps=2000)
    assert second.wait() == 1
    assert str(first.process.pid) in second.text() and "output_dir" in second.text()
    assert "Traceback" not in second.text()
    first.send(signal.SIGTERM)
    assert first.wait() == 75


@pytest.mark.slow
def test_a_full_disk_costs_only_the_checkpoint(start):
    """No file may grow beyond the longest event file: neither events nor a checkpoint fit; the short log does."""
    run = start("run", steps=400, checkpoint_every=20, log_every=1)
    run.wait_for("checkpoint of step 20 written")
    state = sorted((run.folder / "checkpoints").glob("step_*/*.safetensors"))[-1]
    events = max(path.stat().st_size for path in (run.folder / "train").iterdir())
    limit = min(events + 1, state.stat().st_size // 2)
    assert limit > 10 * run.log.stat().st_size
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    run.wait_for("The curves have a gap; training continues")
    run.wait_for(f"could not be written to {run.folder / 'checkpoints'}")
    kept = sorted((run.folder / "checkpoints").glob("step_*"))
    assert kept and all((folder / "manifest.json").is_file() for folder in kept)
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    run.finish()
    assert (run.folder / "checkpoints" / "step_00000400").is_dir()
    assert "Traceback" not in run.text()


@pytest.mark.slow
def test_a_dead_worker_is_named_within_a_minute_and_all_can_start_again(start_workers):
    workers = start_workers("run", attempt="-a", steps=3000)
    workers[0].wait_for("step 12/3000")
    workers[1].send(signal.SIGKILL)
    began = time.monotonic()
    assert workers[0].wait(90) == 76, workers[0].text()[-2000:]
    assert time.monotonic() - began < 60
    assert "Error: Worker 1 (host" in workers[0].text()
    assert f"pid {workers[1].process.pid})" in workers[0].text() and "Traceback" not in workers[0].text()
    record = json.loads((workers[0].folder / "workers" / "worker-0.json").read_text())
    assert record["state"] == "failed" and record["lost"] == 1
    again = start_workers("run", attempt="-b", steps=3000)
    again[0].wait_for("Continuing after step")
    again[0].wait_for("step 25/3000")
    again[1].send(signal.SIGTERM)  # a scheduler warns one machine: all stop, at one step
    assert [worker.wait(60) for worker in again] == [75, 75]


@pytest.mark.slow
def test_a_worker_that_pauses_is_not_lost(start_workers):
    workers = start_workers("run")
    workers[0].wait_for("step 5/50")
    workers[1].send(signal.SIGSTOP)
    time.sleep(5)
    workers[1].send(signal.SIGCONT)
    for worker in workers:
        worker.finish()


@pytest.mark.slow
def test_two_workers_are_rehearsed_by_one_command(start):
    run = start("run", distribution="multi_worker", local_workers=2, steps=8, fresh=True)
    run.finish()
    assert (run.folder / "pretrainer.keras").is_file()
    assert (run.folder / "workers" / "worker-1.log").is_file()
    assert "step 8/8" in run.text()


@pytest.mark.slow
def test_a_worker_that_pauses_for_long_at_the_end_costs_nothing(start_workers):
    """Everything is saved by then: all end well, the one that was paused, too."""
    workers = start_workers("run", steps=8)
    end = time.monotonic() + 240
    while not (workers[0].folder / "pretrainer.keras").exists() and time.monotonic() < end:
        time.sleep(0.01)
    workers[1].send(signal.SIGSTOP)  # it waits for the first, which still writes the encoder
    time.sleep(40)
    workers[1].send(signal.SIGCONT)
    assert [worker.wait(120) for worker in workers] == [0, 0], "\n".join(worker.text()[-3000:] for worker in workers)
    assert json.loads((workers[0].folder / "run.json").read_text())["finished_steps"] == 8
    assert all("Traceback" not in worker.text() for worker in workers)
