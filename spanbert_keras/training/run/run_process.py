"""What a process of a run holds while it runs."""

import contextlib
import os
import sys
from pathlib import Path

from absl import logging

from spanbert_keras.errors import INPUT_EXIT_CODE, InputError
from spanbert_keras.training.backend import configure_devices, make_distribution
from spanbert_keras.training.distributed.cluster import Cluster, read_cluster
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.distributed.worker_watch import WorkerWatch
from spanbert_keras.training.run.run_lock import RunLock
from spanbert_keras.training.run.stop_signals import StopSignals

EXPLAIN_SECONDS = 45.0  # above the silence after which the watch takes a worker for lost


class RunProcess:
    """Signals, the lock of the output directory, the watch over other workers, and the devices: a context manager.

    Args:
        folder: the run's output directory, which all workers see.
        kind: `"none"`, `"mirrored"` or `"multi_worker"` (`make_distribution`).
        replicas: int or `None`. Devices of this process.
        preemption_exit_code: int. Exit code after SIGTERM or SIGUSR1.
        deterministic: bool. See `configure_devices`.

    Attributes:
        signals: `StopSignals`.
        watch: `WorkerWatch`.
        distribution: `Distribution`.

    Raises:
        InputError: another run uses the folder, or the devices or the cluster are not there.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        kind: str = "none",
        replicas: int | None = None,
        preemption_exit_code: int = 75,
        deterministic: bool = False,
    ):
        self.folder = Path(folder)
        self.kind = kind
        self.replicas = replicas
        self.deterministic = deterministic
        self.signals = StopSignals(preemption_exit_code)
        self.cluster = Cluster(0, None, 1)
        self.distribution = Distribution()
        self.watch = WorkerWatch(self.folder / "workers", 0, 1)
        self._lost: str | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "RunProcess":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.signals)
            if self.kind == "multi_worker":
                self.cluster = read_cluster()
            stack.enter_context(RunLock(self.folder, self.cluster.worker))
            stack.push(self._explain)
            codes = (0, 130, self.signals.preemption_exit_code)
            self.watch = stack.enter_context(
                WorkerWatch(
                    self.folder / "workers", self.cluster.worker, self.cluster.num_workers, finished_codes=codes
                )
            )
            stack.push(self._ask)
            configure_devices(self.deterministic)
            self.distribution = make_distribution(self.kind, self.replicas)
            self.signals.arm()
            if self.kind != "none":
                found = self.distribution
                logging.info("%d workers of %d devices each share every step.", found.num_workers, found.local_replicas)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> bool | None:
        return self._stack.__exit__(*error)

    def _ask(self, kind, error, traceback) -> None:
        """Before the watch ends: was an error of the runtime that of another worker, which is gone?"""
        if isinstance(error, Exception) and not isinstance(error, InputError):
            self._lost = self.watch.explain(EXPLAIN_SECONDS)

    def _explain(self, kind, error, traceback) -> None:
        """After the watch ended: says what went wrong and ends the process, whose runtime may hang if left to end."""
        if self.cluster.num_workers == 1 or not isinstance(error, Exception):
            return
        if self._lost:
            code, text = self.watch.exit_code, self._lost
        elif isinstance(error, InputError):
            code, text = INPUT_EXIT_CODE, str(error)
        else:
            return
        print(f"Error: {text}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
