"""Tests of workers that watch each other."""

import contextlib
import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from spanbert_keras import program
from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed import worker_watch
from spanbert_keras.training.distributed.worker_watch import WORKER_LOST_EXIT_CODE, WorkerWatch

BEAT, LOST = 1.0, 20.0  # seconds of a clock that the tests move
# Another process, without the package's imports: they take seconds.
WORKER = """
import sys, time, types
package = types.ModuleType("spanbert_keras")
package.__path__ = [sys.argv[1]]
sys.modules["spanbert_keras"] = package
from spanbert_keras.training.distributed.worker_watch import WorkerWatch
with WorkerWatch(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), 0.03, 1.5):
    print("watching", flush=True)
    time.sleep(60)
"""


class Worker:
    """A `WorkerWatch` that looks when the test says so, and whose process "ends" by leaving a code here."""

    def __init__(self, folder, worker, num_workers=2, **settings):
        self.code = None
        settings = {"lost_seconds": LOST} | settings
        # Its own thread sleeps for an hour.
        self.watch = WorkerWatch(folder, worker, num_workers, beat_seconds=3600, exit=self._exit, **settings)
        self.path = folder / f"worker-{worker}.json"

    def _exit(self, code):
        self.code = code

    def record(self):
        return json.loads(self.path.read_text())

    def fail(self, reason):
        """Ends as its program does at an error."""
        self.watch.__exit__(RuntimeError, RuntimeError(reason), None)

    def freeze(self):
        """Ends its thread, as SIGKILL would, and leaves its record."""
        self.watch._stopped.set()


def pass_time(*workers, seconds=BEAT):
    """Lets the workers that have not ended do what their threads do, once in each beat of this time."""
    for _ in range(round(seconds / BEAT)):
        for one in workers:
            if one.code is None and not one.watch._stopped.is_set():
                loss = one.watch._look(BEAT)
                if loss is not None:
                    one.watch._lose(*loss)


@pytest.fixture
def worker(tmp_path):
    """Function that makes a `Worker` that watches; all end with the test."""
    made = []

    def make(number, num_workers=2, **settings):
        made.append(Worker(tmp_path / "workers", number, num_workers, **settings))
        made[-1].watch.__enter__()
        return made[-1]

    yield make
    for one in made:
        one.watch._stopped.set()
        one.watch._thread.join()


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def met(*workers):
    """Lets all see each other."""
    pass_time(*workers, seconds=3 * BEAT)
    assert all(len(one.record()["peers"]) == len(workers) - 1 for one in workers)


@contextlib.contextmanager
def time_passing(*workers):
    """Lets time pass in another thread until the block ends."""
    ended = threading.Event()
    thread = threading.Thread(target=lambda: [pass_time(*workers) for _ in iter(ended.is_set, True)])
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_two_live_workers_are_left_alone_and_finish(worker):
    first, second = worker(0), worker(1)
    met(first, second)
    beat = first.record()["beat"]
    pass_time(first, second, seconds=2 * LOST)
    assert first.record()["beat"] == beat + 2 * LOST / BEAT
    second.watch.__exit__(None, None, None)
    assert second.record()["state"] == "finished"
    pass_time(first, seconds=LOST)
    assert first.code is None and first.record()["state"] == "running"


def test_a_worker_that_finished_long_ago_is_lost_too(worker, capfd):
    first, second = worker(0), worker(1)
    met(first, second)
    second.watch.__exit__(None, None, None)
    pass_time(first, seconds=LOST + 2 * BEAT)
    assert first.code == WORKER_LOST_EXIT_CODE
    assert "ended, and this one did not; worker 0 stops, and starting all" in capfd.readouterr().err


def test_a_record_names_process_host_and_state(worker):
    record = worker(1).record()
    assert (record["worker"], record["pid"], record["state"], record["reason"]) == (1, os.getpid(), "running", None)
    assert record["host"] and record["launch"] and record["beat"] >= 1


def test_a_silent_worker_ends_the_others_with_one_sentence(worker, capfd):
    first, second = worker(0), worker(1)
    met(first, second)
    second.freeze()
    pass_time(first, seconds=LOST)
    assert first.code is None
    pass_time(first, seconds=2 * BEAT)
    assert first.code == WORKER_LOST_EXIT_CODE == 76
    lines = [line for line in capfd.readouterr().err.splitlines() if "Error" in line]
    assert len(lines) == 1
    assert re.search(
        rf"Worker 1 \(host \S+, pid {os.getpid()}\) has not been heard of since \d\d:\d\d:\d\d; worker 0 stops, "
        "and starting all workers again continues from the last checkpoint",
        lines[0],
    )
    record = first.record()
    assert (record["state"], record["reason"], record["lost"]) == ("failed", "worker 1 was lost", 1)


def test_a_killed_process_ends_the_others_which_name_it(tmp_path, root):
    def start(number):
        command = [sys.executable, "-c", WORKER, str(root / "spanbert_keras"), str(tmp_path), str(number), "3"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    processes = [start(number) for number in range(3)]
    try:
        assert [process.stdout.readline() for process in processes] == ["watching\n"] * 3
        wait_until(lambda: all(len(json.loads(p.read_text())["peers"]) == 2 for p in tmp_path.glob("worker-*.json")))
        processes[1].send_signal(signal.SIGKILL)
        for number in (0, 2):
            _, words = processes[number].communicate(timeout=60)
            assert processes[number].returncode == WORKER_LOST_EXIT_CODE
            assert f"Worker 1 (host {os.uname().nodename}, pid {processes[1].pid})" in words
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_a_worker_that_fails_tells_the_others_why(worker, capfd):
    first, second = worker(0), worker(1)
    met(first, second)
    second.fail("The disk is gone.")
    pass_time(first)
    assert first.code == WORKER_LOST_EXIT_CODE
    assert f"pid {os.getpid()}) failed: RuntimeError: The disk is gone; worker 0 stops" in capfd.readouterr().err


@pytest.mark.parametrize("meets_first", [True, False])
def test_the_first_cause_is_named_not_the_worker_that_noticed_it(worker, tmp_path, capfd, meets_first):
    # Worker 0 is patient: it hears of worker 2's death from worker 1 alone.
    patient, quick, dead = worker(0, 3, lost_seconds=60 * LOST), worker(1, 3), worker(2, 3)
    met(patient, quick, dead)
    if meets_first:
        dead.freeze()
    else:
        dead.fail("Out of memory.")
    pass_time(patient, quick, seconds=2 * LOST)
    assert patient.code == quick.code == WORKER_LOST_EXIT_CODE
    assert patient.record()["lost"] == quick.record()["lost"] == 2
    words = "has not been heard of" if meets_first else "failed: RuntimeError: Out of memory"
    assert len(re.findall(rf"Worker 2 \(host \S+, pid \d+\) {words}", capfd.readouterr().err)) == 2


def test_an_input_error_ends_all_workers_with_its_exit_code_and_no_advice_to_start_again(worker, capfd):
    first, second, third = worker(0, 3), worker(1, 3), worker(2, 3)
    met(first, second, third)
    assert first.watch.exit_code == WORKER_LOST_EXIT_CODE
    third.watch.__exit__(InputError, InputError("No corpus."), None)
    pass_time(first, second)
    assert first.code == second.code == first.watch.exit_code == program.INPUT_EXIT_CODE
    lines = [line for line in capfd.readouterr().err.splitlines() if "Error" in line]
    assert len(lines) == 2
    for line in lines:
        assert re.search(r"Worker 2 \(host \S+, pid \d+\) failed: No corpus; worker [01] stops\.$", line)


def test_the_code_comes_also_from_a_worker_that_knows_the_cause(worker):
    # Worker 2 failed before worker 0 saw it.
    first, second = worker(0, 3), worker(1, 3)
    pass_time(first, second, seconds=2 * BEAT)
    second.watch._lose(2, "worker 2 failed: No corpus", program.INPUT_EXIT_CODE)
    pass_time(first)
    assert first.code == program.INPUT_EXIT_CODE
    assert (first.record()["lost"], first.record()["code"]) == (2, program.INPUT_EXIT_CODE)


def test_an_explanation_by_an_input_error_has_its_exit_code_and_no_advice(worker):
    first, second = worker(0), worker(1)
    met(first, second)
    second.watch.__exit__(InputError, InputError("No corpus."), None)
    with time_passing(first):
        assert first.watch.explain(60).endswith("failed: No corpus; worker 0 stops.")
        first.watch._stopped.set()
    assert first.watch.exit_code == program.INPUT_EXIT_CODE


@pytest.mark.parametrize(
    "error, state, reason, code",
    [
        (InputError("The loss is not finite.\nMore."), "failed", "The loss is not finite.", 1),
        (ValueError("a\nb"), "failed", "ValueError: a", None),
        (ValueError(), "failed", "ValueError: no message", None),
        (SystemExit(3), "failed", "it ended with exit code 3", None),
        (SystemExit(75), "finished", None, None),
        (SystemExit(130), "finished", None, None),
        (SystemExit(), "finished", None, None),
        (KeyboardInterrupt(), "finished", None, None),
    ],
)
def test_the_end_of_the_block_is_recorded(tmp_path, error, state, reason, code):
    with pytest.raises(type(error)), WorkerWatch(tmp_path, 0, 2):
        raise error
    record = json.loads((tmp_path / "worker-0.json").read_text())
    assert (record["state"], record["reason"], record["code"]) == (state, reason, code)


def test_an_exit_code_can_be_declared_a_success(tmp_path):
    with pytest.raises(SystemExit), WorkerWatch(tmp_path, 0, 2, finished_codes=(0, 99)):
        raise SystemExit(99)
    assert json.loads((tmp_path / "worker-0.json").read_text())["state"] == "finished"


def test_the_first_recorded_end_stays(tmp_path):
    with pytest.raises(RuntimeError, match="two"), WorkerWatch(tmp_path, 0, 2) as watch:
        watch.__exit__(RuntimeError, RuntimeError("one"), None)
        raise RuntimeError("two")
    assert json.loads((tmp_path / "worker-0.json").read_text())["reason"] == "RuntimeError: one"


def test_records_of_an_earlier_attempt_are_ignored(worker):
    old = worker(1)
    old.fail("The earlier attempt.")
    old.freeze()
    first = worker(0)
    pass_time(first, seconds=2 * LOST)
    assert first.code is None
    second = worker(1)
    met(first, second)
    assert first.code is None and second.code is None


def test_a_worker_that_was_started_again_ends_the_attempt_but_not_the_new_process(worker, capfd):
    old, second = worker(0), worker(1)
    met(old, second)
    second.freeze()
    new = worker(1)  # before the silence is noticed
    pass_time(old, new)
    assert old.code == WORKER_LOST_EXIT_CODE
    assert "was started again while this one ran; worker 0 stops" in capfd.readouterr().err
    pass_time(new, seconds=2 * LOST)
    assert new.code is None  # the old worker 0's failure is not its own attempt's
    first = worker(0)
    met(first, new)
    assert first.code is None and new.code is None


def test_missing_workers_are_logged_and_given_up(worker, monkeypatch, capfd):
    lines = []
    monkeypatch.setattr(worker_watch, "REPORT_SECONDS", 3.0)
    monkeypatch.setattr(worker_watch.logging, "info", lambda text, *values: lines.append(text % values))
    first = worker(0, 3, arrival_seconds=10)
    pass_time(first, seconds=10)
    assert first.code is None and len(lines) == 3
    pass_time(first)
    assert first.code == WORKER_LOST_EXIT_CODE
    assert "workers 1, 2" in lines[0] and str(first.path.parent) in lines[0] and "the same --output_dir" in lines[0]
    assert re.search("Workers 1, 2 did not come to .* within 10 s .*the same --output_dir", capfd.readouterr().err)


def test_an_explanation_is_waited_for_and_the_main_thread_ends_the_process(worker, capfd):
    first, second = worker(0), worker(1)
    met(first, second)
    second.freeze()
    with time_passing(first):
        sentence = first.watch.explain(60)
        assert sentence.startswith("Worker 1 (host ") and "the last checkpoint." in sentence
        first.watch.__exit__(None, None, None)
    assert first.code is None and capfd.readouterr().err == ""
    assert first.record()["reason"] == "worker 1 was lost"


def test_a_main_thread_that_hangs_after_the_explanation_is_ended(worker):
    first, second = worker(0), worker(1)
    met(first, second)
    second.fail("It broke.")
    first.watch.lost_seconds = 0.2  # the time that the main thread has to end the process
    with time_passing(first):
        assert "It broke" in first.watch.explain(60)
        wait_until(lambda: first.code == WORKER_LOST_EXIT_CODE)


def test_without_a_lost_worker_nothing_is_explained_and_the_watch_continues(worker):
    first, second = worker(0), worker(1)
    met(first, second)
    with time_passing(first, second):
        assert first.watch.explain(0.1) is None
    second.fail("It broke.")
    pass_time(first)
    assert first.code == WORKER_LOST_EXIT_CODE


def test_workers_wait_for_a_file_of_worker_0(worker, tmp_path):
    worker(0)
    second = worker(1)
    timer = threading.Timer(0.1, (tmp_path / "text").touch)
    timer.start()
    second.watch.beat_seconds = 0.02
    second.watch.wait_for(tmp_path / "text", "the prepared text")
    assert (tmp_path / "text").exists()
    timer.join()


def test_waiting_ends_when_worker_0_fails(worker, tmp_path):
    first, second = worker(0), worker(1)
    met(first, second)
    first.fail("No text.")
    with time_passing(second), pytest.raises(InputError, match="Worker 0 .* RuntimeError: No text; worker 1 stops"):
        second.watch.wait_for(tmp_path / "text", "the prepared text")
    assert second.code == WORKER_LOST_EXIT_CODE


def test_one_worker_alone_has_no_files_and_no_thread(tmp_path):
    threads = threading.active_count()
    with WorkerWatch(tmp_path / "workers", 0, 1) as watch:
        watch.wait_for(tmp_path / "absent", "nothing")
        assert watch.explain(60) is None and threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_does_not_silence_a_worker(worker, monkeypatch):
    first, second = worker(0), worker(1)
    met(first, second)

    def full(self, *arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(first.path), "write_text", full)
    beat = first.record()["beat"]
    pass_time(first, second, seconds=2 * LOST)
    assert first.code is None and second.code is None
    assert first.record()["beat"] == beat + 2 * LOST / BEAT
    assert [file.name for file in first.path.parent.iterdir() if file.name.startswith(".")] == []


def test_an_unwritable_folder_is_rejected(tmp_path):
    (tmp_path / "workers").touch()
    with pytest.raises(InputError, match="workers cannot be written to"), WorkerWatch(tmp_path / "workers", 0, 2):
        pass


def test_an_unreadable_record_is_ignored(worker):
    first, second = worker(0), worker(1)
    met(first, second)
    second.freeze()
    second.path.write_text("{")
    assert first.watch._read(1) is None
    second.path.write_text("[1]")
    assert first.watch._read(1) is None
    pass_time(first, seconds=LOST + BEAT)
    assert first.code == WORKER_LOST_EXIT_CODE and first.record()["lost"] == 1
