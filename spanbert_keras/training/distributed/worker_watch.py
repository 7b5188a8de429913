"""Watchdog: the workers of a run notice through files in its folder that one of them was lost."""

import dataclasses
import json
import os
import platform
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from spanbert_keras.errors import INPUT_EXIT_CODE, InputError
from spanbert_keras.files.json_files import read_json

WORKER_LOST_EXIT_CODE = 76
FINISHED_EXIT_CODES = (0, 75, 130)  # done, preempted, interrupted
REPORT_SECONDS = 30.0


class _Loss(NamedTuple):
    """A worker that was lost.

    Attributes:
        worker: int. Its number.
        cause: str. What happened to it, in words.
        code: int or `None`. Exit code with which it ended, if that is to be passed on.
    """

    worker: int
    cause: str
    code: int | None = None


@dataclasses.dataclass
class _Peer:
    """What is known of another worker.

    Attributes:
        mark: (launch, beat) read last, or `None`. What is there at our start counts as left by an earlier attempt until
            it changes.
        record: dict or `None`. The last record that was believed.
        silent: float. Seconds of watching since the last change.
        changed_at: float. Wall-clock time of the last change.
        restarted: bool. Whether another process became this worker after we had seen the first.
    """

    mark: tuple | None = None
    record: dict | None = None
    silent: float = 0.0
    changed_at: float = 0.0
    restarted: bool = False

    @property
    def state(self) -> str | None:
        """What the worker last reported of itself; `None` before it was seen."""
        return self.record["state"] if self.record else None

    @property
    def lost(self) -> int | None:
        """The worker whose loss ended this one, if that is why it ended."""
        return self.record["lost"] if self.record and self.state == "failed" else None

    def loss(self) -> _Loss:
        """Returns what happened to this worker, which was seen before."""
        record: dict = self.record or {}
        worker = record["worker"]
        who = f"worker {worker} (host {record['host']}, pid {record['pid']})"
        if self.restarted:
            return _Loss(worker, f"{who} was started again while this one ran")
        if self.state == "finished":
            return _Loss(worker, f"{who} ended, and this one did not")
        if self.state == "failed":
            return _Loss(worker, f"{who} failed: {str(record['reason']).rstrip('.')}", record["code"])
        since = time.strftime("%H:%M:%S", time.localtime(self.changed_at))
        return _Loss(worker, f"{who} has not been heard of since {since}")

    def observe(self, found: dict | None, passed: float, worker: int, launch: str) -> None:
        """Takes note of the record that was just read.

        Args:
            found: dict or `None`. The record.
            passed: float. Seconds since the last look.
            worker, launch: those of the process that reads.
        """
        self.silent += passed
        mark = (found["launch"], found["beat"]) if found else self.mark
        if found is None or mark == self.mark:
            return
        self.mark = mark
        if self.record is None:
            # Its peer with our number is another process: it belongs to an earlier attempt, and will end.
            if found.get("peers", {}).get(str(worker), launch) != launch:
                return
        elif self.record["state"] == "finished":
            return
        elif self.record["launch"] != found["launch"]:
            self.restarted = True
            return
        self.record, self.silent, self.changed_at = found, 0.0, time.time()


class WorkerWatch:
    """Notices that another worker of the run was lost, reports which, and ends this process.

    The runtime does not always notice: a collective operation may wait forever for a process that is gone. Each worker
    keeps `<folder>/worker-<i>.json`, rewritten every `beat_seconds` by a thread that also reads the others' files. A
    worker is lost when its record stops changing, has the state "failed", has the state "finished" long before this one
    ends, or is that of a new process; then this one prints a sentence and ends with exit code 76, so that all workers
    can be started again. If the lost worker failed with an `InputError`, which a new start does not cure, this one ends
    with exit code 1, too. Records left by an earlier attempt are ignored. Clocks of different machines are never
    compared. With one worker there is neither file nor thread.

    Args:
        folder: a directory that all workers see.
        worker: int. Number of this process, 0 to num_workers - 1.
        num_workers: int. Number of processes.
        beat_seconds: float. Time between two records.
        lost_seconds: float. Silence after which a worker counts as lost.
        arrival_seconds: float. Time in which a worker must appear.
        exit: called with the exit code; by default the process ends at once, without clean-up that might hang.
        finished_codes: tuple of int. Exit codes with which a worker ends on purpose.

    Attributes:
        exit_code: int. Exit code of the process once a worker was lost: 76 or 1, see above.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        worker: int,
        num_workers: int,
        beat_seconds: float = 2.0,
        lost_seconds: float = 30.0,
        arrival_seconds: float = 600.0,
        exit: Callable[[int], Any] = os._exit,
        finished_codes: tuple[int, ...] = FINISHED_EXIT_CODES,
    ):
        self.folder = Path(folder)
        self.worker = worker
        self.num_workers = num_workers
        self.beat_seconds = beat_seconds
        self.lost_seconds = lost_seconds
        self.arrival_seconds = arrival_seconds
        self.exit_code = WORKER_LOST_EXIT_CODE
        self._exit = exit
        self._finished_codes = finished_codes
        self._launch = uuid.uuid4().hex
        self._record: dict[str, Any] = {
            "worker": worker,
            "host": platform.node(),
            "pid": os.getpid(),
            "launch": self._launch,
            "beat": 0,
            "state": "running",
            "reason": None,
            "lost": None,
            "code": None,
            "peers": {},
        }
        self._peers = {i: _Peer() for i in range(num_workers) if i != worker}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._known = threading.Event()  # set once a loss is known
        self._loss: str | None = None
        self._explaining = False
        self._warned = False
        self._waited = 0.0  # seconds of watching
        self._reported = 0.0  # the same at the last log line
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "WorkerWatch":
        if self.num_workers == 1:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for i, peer in self._peers.items():
                found = self._read(i)
                peer.mark = (found["launch"], found["beat"]) if found else None
            self._write()
        except OSError as error:
            raise InputError(f"The run's folder {self.folder} cannot be written to: {error}.") from error
        self._thread = threading.Thread(target=self._watch, name="worker_watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self._thread is None:
            return
        self._stopped.set()
        self._thread.join(timeout=10 * self.beat_seconds)
        if error is None or isinstance(error, KeyboardInterrupt):
            self._end("finished")
        elif isinstance(error, SystemExit):
            code = 0 if error.code is None else error.code
            finished = code in self._finished_codes
            self._end("finished" if finished else "failed", None if finished else f"it ended with exit code {code}")
        else:
            text = (str(error).strip() or "no message").splitlines()[0]
            if isinstance(error, InputError):
                self._end("failed", text, code=INPUT_EXIT_CODE)
            else:
                self._end("failed", f"{type(error).__name__}: {text}")

    def explain(self, timeout: float) -> str | None:
        """Waits until it is known that a worker was lost, which may be the cause of an error in communication.

        If there is one, the caller reports it and ends the process with `exit_code`; the watch does so only if that
        takes longer than `lost_seconds`.

        Args:
            timeout: float. Seconds to wait; above `lost_seconds`, or a worker that died silently is not found.

        Returns:
            The sentence, or `None` if no worker was lost: the error has another cause.
        """
        if self._thread is None:
            return None
        with self._lock:
            self._explaining = True
        self._known.wait(timeout)
        with self._lock:
            self._explaining = self._known.is_set()
            return self._loss if self._explaining else None

    def wait_for(self, path: str | os.PathLike, what: str) -> None:
        """Waits for a file that worker 0 makes, as long as no worker is lost.

        Args:
            path: the file.
            what: str. What the file is, for the log.

        Raises:
            InputError: a worker was lost, and `exit` did not end the process.
        """
        if self._thread is None:
            return
        began = reported = time.monotonic()
        while not Path(path).exists():
            if self._known.wait(min(self.beat_seconds, 1.0)):
                raise InputError(self._loss or "A worker was lost.")
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                logging.info("Waiting for worker 0 to make %s (%s): %.0f s so far.", what, path, reported - began)

    # --- the thread

    def _watch(self) -> None:
        last = time.monotonic()
        while not self._stopped.wait(self.beat_seconds):
            now = time.monotonic()
            # Do not count time in which we were not looking (suspended machine, hung file system) as a peer's silence.
            passed, last = min(now - last, 3 * self.beat_seconds), now
            loss = self._look(passed)
            if loss is not None:
                self._lose(*loss)
                return

    def _look(self, passed: float) -> _Loss | None:
        """Writes our record, reads the others', and returns the worker that was lost, if any.

        Args:
            passed: float. Seconds since the last look.
        """
        self._beat()
        for i, peer in self._peers.items():
            peer.observe(self._read(i), passed, self.worker, self._launch)
            if peer.record is not None:
                with self._lock:
                    self._record["peers"][str(i)] = peer.record["launch"]
        self._waited += passed
        absent = [i for i, peer in self._peers.items() if peer.record is None]
        if absent and self._waited - self._reported >= REPORT_SECONDS:
            self._reported = self._waited
            logging.info(
                "Waiting for %s in %s: all workers must see the same --output_dir.", _names(absent), self.folder
            )
        return self._find_loss(absent if self._waited > self.arrival_seconds else [])

    def _find_loss(self, overdue: list[int]) -> _Loss | None:
        """Returns the worker that was lost, if any; a cause before its consequences.

        Args:
            overdue: list of the workers that have not appeared in time.
        """
        for worker, peer in self._peers.items():
            if peer.state == "failed" or peer.restarted:
                return self._first_loss(worker)
        for worker, peer in self._peers.items():
            # Also one that finished: workers leave together, so this one should have left, too.
            if peer.state in ("running", "finished") and peer.silent > self.lost_seconds:
                return self._first_loss(worker)
        if overdue:
            sentence = (
                f"{_names(overdue)} did not come to {self.folder} within {self.arrival_seconds:.0f} s (all workers "
                "must see the same --output_dir)"
            )
            return _Loss(overdue[0], sentence)
        return None

    def _first_loss(self, worker: int) -> _Loss:
        """Follows workers that ended because they had lost another, from `worker` to the one that was lost first."""
        chain = [worker]
        while (lost := self._peers[chain[-1]].lost) in self._peers and lost not in chain:
            chain.append(lost)
        first = self._peers[chain[-1]]
        if first.record is not None:
            return first.loss()
        # Never seen by this process, so not `worker` itself: the one before it in the chain reported it.
        witness = chain[-2]
        code = self._peers[witness].record["code"]  # type: ignore[index]
        return _Loss(chain[-1], f"worker {chain[-1]} was lost, as worker {witness} reports", code)

    def _lose(self, worker: int, cause: str, code: int | None = None) -> None:
        """Reports who was lost, here and to the others, and ends the process unless the main thread does."""
        if self._stopped.is_set():
            return
        self._loss = f"{cause[0].upper()}{cause[1:]}; worker {self.worker} stops"
        if code == INPUT_EXIT_CODE:
            self.exit_code = code
            self._loss += "."
        else:
            self._loss += ", and starting all workers again continues from the last checkpoint."
        with self._lock:
            self._known.set()
            explaining = self._explaining
        self._end("failed", f"worker {worker} was lost", worker, code)
        if explaining and self._stopped.wait(self.lost_seconds):
            return
        print(f"Error: {self._loss}", file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):  # closed, or a pipe without a reader
                pass
        self._exit(self.exit_code)

    # --- records

    def _path(self, worker: int) -> Path:
        return self.folder / f"worker-{worker}.json"

    def _read(self, worker: int) -> dict | None:
        """Returns a worker's record or `None`; opens the file each time, as network file systems cache open ones."""
        try:
            found = read_json(self._path(worker))
        except (OSError, ValueError):  # absent, or being replaced
            return None
        return found if isinstance(found, dict) and self._record.keys() <= found.keys() else None

    def _end(self, state: str, reason: str | None = None, lost: int | None = None, code: int | None = None) -> None:
        with self._lock:
            if self._record["state"] == "running":
                self._record |= {"state": state, "reason": reason, "lost": lost, "code": code}
        self._beat()

    def _beat(self) -> None:
        try:
            self._write()
        except OSError as error:
            if not self._warned:
                logging.warning(
                    "%s cannot be written; the other workers may count this one as lost: %s.",
                    self._path(self.worker),
                    error,
                )
            self._warned = True

    def _write(self) -> None:
        """Writes the next record, whole or not at all; it need not survive a power failure, which ends us, too."""
        path = self._path(self.worker)
        temporary = path.with_name(f".{path.name}")
        with self._lock:
            self._record["beat"] += 1
            text = json.dumps(self._record)
            try:
                temporary.write_text(text, encoding="utf-8")
                os.replace(temporary, path)
            except OSError:  # a full disk still has room in the place of the old file
                temporary.unlink(missing_ok=True)
                if not path.exists():
                    raise
                with open(path, "r+", encoding="utf-8") as file:
                    file.write(text)
                    file.truncate()


def _names(workers: list[int]) -> str:
    return f"worker{'s' if len(workers) > 1 else ''} {', '.join(map(str, workers))}"
