"""Resources of one training process: signals, lock, watchdog, devices."""

import contextlib
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
from absl import logging

from spanbert_keras.errors import INPUT_EXIT_CODE, InputError
from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.files.writing import clean_leftovers
from spanbert_keras.training.backend import configure_devices, make_distribution
from spanbert_keras.training.distributed.cluster import Cluster, read_cluster
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.distributed.worker_watch import WorkerWatch
from spanbert_keras.training.run.stop_signals import StopSignals

# What a killed run may leave half written in its folder, besides checkpoints.
RUN_FILES = re.compile(r"\w+\.keras|encoder_preset|run\.json")
VISIBLE_SECONDS = 5.0
EXPLAIN_SECONDS = 45.0  # longer than the silence after which a worker counts as lost


class RunProcess:
    """Context manager of the signals, the lock of the output directory, the watchdog of the workers, and the devices.

    Args:
        folder: the run's output directory, which all workers see.
        kind: `"none"`, `"mirrored"` or `"multi_worker"` (`make_distribution`).
        replicas: int or `None`. Number of devices of this process. Defaults to all.
        preemption_exit_code: int. Exit code after SIGTERM or SIGUSR1.
        deterministic: bool. Whether operations give the same bits in every run (`configure_devices`).

    Attributes:
        signals: `StopSignals`.
        watch: `WorkerWatch`.
        distribution: `Distribution`.

    Raises:
        InputError: another run uses the folder, or devices or cluster are not available.
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
        self._mark = self.folder / "workers" / "complete"  # written by worker 0 once everything is saved
        self._is_leaving = False
        self._lost: str | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "RunProcess":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.signals)
            if self.kind == "multi_worker":
                self.cluster = read_cluster()
            lock = stack.enter_context(FolderLock(self.folder, self.cluster.worker))
            if not self.cluster.worker:
                self._mark.unlink(missing_ok=True)
                if lock.held:
                    clean_leftovers(self.folder, RUN_FILES.fullmatch)
            stack.push(self._report_error)
            codes = (0, 130, self.signals.preemption_exit_code)
            self.watch = stack.enter_context(
                WorkerWatch(
                    self.folder / "workers",
                    self.cluster.worker,
                    self.cluster.num_workers,
                    exit=self._exit,
                    finished_codes=codes,
                )
            )
            stack.push(self._find_lost_worker)
            configure_devices(self.deterministic)
            self.distribution = make_distribution(self.kind, self.replicas)
            self.signals.arm()
            if self.kind != "none":
                found = self.distribution
                logging.info("%d workers of %d devices each share every step.", found.num_workers, found.local_replicas)
            self._stack = stack.pop_all()
        return self

    def leave_together(self) -> None:
        """Waits for the other workers after everything was saved: one that is gone early would count as lost.

        From now on, a worker that does not come costs nothing: the others end with exit code 0.
        """
        if self.cluster.num_workers == 1:
            return
        self._is_leaving = True
        if self.distribution.is_chief:
            with contextlib.suppress(OSError):  # a full disk: the loss of a worker is then reported as before
                self._mark.touch()
        try:
            self.distribution.sum(np.zeros(1))
        except Exception:  # of the runtime, e.g. as another worker has ended
            if not self._is_complete():
                raise
            self._exit(0)

    def _is_complete(self) -> bool:
        """Returns whether the chief has saved everything, which a network file system may show a little later."""
        end = time.monotonic() + VISIBLE_SECONDS
        while self._is_leaving and not self._mark.exists() and time.monotonic() < end:
            time.sleep(0.2)
        return self._is_leaving and self._mark.exists()

    def _exit(self, code: int) -> None:
        """Ends the process at once, since the runtime might wait for a worker that is gone."""
        if self._is_complete():
            code = 0
            print(f"All results of {self.folder} are saved; not all workers came to the end.", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def __exit__(self, *error) -> bool | None:
        return self._stack.__exit__(*error)

    def _find_lost_worker(self, kind, error, traceback) -> None:
        """Runs before the watchdog ends: finds out whether an error of the runtime is due to a lost worker."""
        if isinstance(error, Exception) and not isinstance(error, InputError):
            self._lost = self.watch.explain(EXPLAIN_SECONDS)

    def _report_error(self, kind, error, traceback) -> None:
        """Runs after the watchdog ended: prints what went wrong and ends the process, whose runtime might hang."""
        if self.cluster.num_workers == 1 or not isinstance(error, Exception):
            return
        if self._lost:
            code, text = self.watch.exit_code, self._lost
        elif isinstance(error, InputError):
            code, text = INPUT_EXIT_CODE, str(error)
        else:
            return
        print(f"Error: {text}", file=sys.stderr)
        self._exit(code)
