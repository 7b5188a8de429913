"""Launcher of several worker processes on this machine, to try what a cluster will do."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from absl import logging

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.child_processes import end_processes, passed_on_signals
from spanbert_keras.training.distributed.worker_watch import WORKER_LOST_EXIT_CODE

REHEARSAL_VARIABLE = "SPANBERT_KERAS_REHEARSAL"
GRACE_SECONDS = 60.0  # in which the other workers may end by themselves once one has failed
POLL_SECONDS = 0.1
SHOWN_LINES = 20  # of a failed worker's output
STOPPED_EXIT_CODES = (75, 130)  # preempted, interrupted: they need no explanation


def run_local_workers(
    arguments: Sequence[str],
    workers: int,
    log_folder: str | os.PathLike,
    environ: Mapping[str, str] | None = None,
    module: str = "spanbert_keras.pretrain",
) -> int:
    """Runs `python -m module` as several workers of one run on this machine, and waits for them.

    Worker 0 writes to this process's output, progress bar included; the others write to files. SIGINT, SIGTERM, SIGHUP
    (as SIGTERM) and SIGUSR1 are passed on to all workers; a signal that this process ignores (`nohup`) stays ignored.
    CPU threads are divided among the workers. GPUs are used only if `CUDA_VISIBLE_DEVICES` is set, and divided if it
    names enough of them: two workers cannot share one. When a worker fails, the others have a minute to end by
    themselves. Processes that still run when this function ends are killed, even after an error; only SIGKILL of
    this process leaves them running.

    Args:
        arguments: list of str. The command line of every worker.
        workers: int. Number of processes, at least 1.
        log_folder: directory of the files `worker-<i>.log` of workers 1, 2, ..., which are appended to.
        environ: environment variables of the workers. Defaults to those of this process; numbers of threads that are
            set there stay.
        module: str. Name of the program's module.

    Returns:
        0, or the exit code of the worker that failed first; 128 + n if signal n ended it.

    Raises:
        InputError: `workers` is below 1, or the folder cannot be written to.
    """
    if workers < 1:
        raise InputError(f"--local_workers must be at least 1. Received: {workers}.")
    environ = os.environ if environ is None else environ
    logs = _Logs(Path(log_folder), workers)
    processes: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        received = stack.enter_context(passed_on_signals())
        stack.callback(end_processes, processes)
        with _free_ports(workers) as ports:
            addresses = [f"127.0.0.1:{port}" for port in ports]
        for i in range(workers):
            with logs.open(i) as output:
                process = subprocess.Popen(
                    [sys.executable, "-m", module, *arguments],
                    env=_environment(environ, addresses, i),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=None if output is None else subprocess.STDOUT,
                    process_group=0,  # Ctrl-C reaches this process alone, which passes it on once
                )
            processes.append(process)
        failed = _wait(processes, received)
        if failed is None:
            return 0
        code = processes[failed].returncode
        if code not in STOPPED_EXIT_CODES:
            logs.show_end(failed, code)
        return code if code > 0 else 128 - code


class _Logs:
    """The outputs of all workers but the first."""

    def __init__(self, folder: Path, workers: int):
        self.paths = [folder / f"worker-{i}.log" for i in range(workers)]
        self.starts = [0] * workers
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(1, workers):
                with open(self.paths[i], "ab") as file:
                    self.starts[i] = file.tell()
                logging.info("Worker %d writes to %s.", i, self.paths[i])
        except OSError as error:
            raise InputError(f"The workers' outputs cannot be written to {folder}: {error}.") from error

    def open(self, worker: int):
        """Returns a context with the file for a worker's output; with `None` for worker 0."""
        return open(self.paths[worker], "ab") if worker else contextlib.nullcontext()

    def show_end(self, worker: int, code: int) -> None:
        """Prints which worker failed and how, with the last lines of its output."""
        how = f"exit code {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
        if worker == 0:
            print(f"Worker 0 failed first ({how}); its output is above.", file=sys.stderr)
            return
        with open(self.paths[worker], "rb") as file:
            file.seek(self.starts[worker])
            lines = file.read().decode(errors="replace").splitlines()[-SHOWN_LINES:]
        print(f"Worker {worker} failed first ({how}). The end of {self.paths[worker]}:", file=sys.stderr)
        for line in lines:
            print(f"  {line}", file=sys.stderr)


@contextlib.contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    """Yields free ports, held until the block ends: just before the workers take them."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        yield [one.getsockname()[1] for one in sockets]


def _environment(environ: Mapping[str, str], addresses: list[str], worker: int) -> dict[str, str]:
    """Returns a worker's environment variables."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // len(addresses))
    defaults = {
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(max(2, threads)),  # a collective operation must not block every thread
        "OMP_NUM_THREADS": str(threads),
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONUNBUFFERED": "1",
    }
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": worker}}
    result = defaults | dict(environ) | {"TF_CONFIG": json.dumps(config), REHEARSAL_VARIABLE: "1"}
    devices = [name for name in result["CUDA_VISIBLE_DEVICES"].split(",") if name]
    share = len(devices) // len(addresses)
    if share:
        result["CUDA_VISIBLE_DEVICES"] = ",".join(devices[worker * share : (worker + 1) * share])
    return result


def _wait(processes: list[subprocess.Popen], received: list[int]) -> int | None:
    """Waits for all processes, passing signals on; returns the index of the first that failed, if any."""
    first: int | None = None
    deadline = float("inf")
    ended: set[int] = set()
    while len(ended) < len(processes):
        while received:
            number = received.pop(0)
            for process in processes:
                process.send_signal(number)  # does nothing if it has ended
        failed = []
        for i, process in enumerate(processes):
            if i not in ended and process.poll() is not None:
                ended.add(i)
                if process.returncode:
                    failed.append(i)
        if failed and first is None:
            # Of two that ended together, one may have ended because it lost the other (76): the other is the cause.
            first = min(failed, key=lambda i: (processes[i].returncode == WORKER_LOST_EXIT_CODE, i))
            deadline = time.monotonic() + GRACE_SECONDS
        if time.monotonic() > deadline:
            logging.warning("Ending workers that still run %.0f s after worker %d failed.", GRACE_SECONDS, first)
            end_processes(processes)
        else:
            time.sleep(POLL_SECONDS)
    return first
