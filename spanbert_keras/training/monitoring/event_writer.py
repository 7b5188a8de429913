"""TensorBoard's event files, written without TensorFlow."""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

RETRY_SECONDS = 10.0  # after a failure; otherwise every log point would start another file
_FILE_NUMBERS = itertools.count()  # of the files of this process


class EventWriter:
    """Writes scalars, histograms and texts that TensorBoard shows, on every backend.

    A full disk costs only the curves: events that cannot be written are dropped with one warning, and a new file is
    started as soon as possible. After such a failure TensorBoard's own `EventFileWriter` raises on every later call,
    and its thread prints a traceback; so this class writes the records itself. Any thread may call it.

    Args:
        folder: log directory of one family of curves, e.g. `runs/tiny/train`.
        resumed_at: int or `None`. Step at which a run continues: TensorBoard then hides the points from that step on
            that an earlier session wrote; `None` hides all.
    """

    def __init__(self, folder: str | os.PathLike, resumed_at: int | None = None):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog

        self._folder = Path(folder)
        self._event = Event
        self._log = SessionLog(status=SessionLog.START)
        self._lock = threading.Lock()
        self._records: Any = None  # `RecordWriter` of the open file
        self._retry_at = 0.0  # `time.monotonic` seconds
        self._warned = False
        self._hidden_from: int | None = None  # a restart that has not been written yet
        # Every session writes where it starts: TensorBoard ignores the first such event in a folder.
        self.restart(resumed_at or 0)

    def restart(self, step: int) -> None:
        """Makes TensorBoard hide the points written so far from `step` on."""
        with self._lock:
            self._hidden_from = step if self._hidden_from is None else min(step, self._hidden_from)
        self._attempt(lambda records: None)

    def _attempt(self, action: Callable) -> None:
        """Calls `action` with the `RecordWriter` of an open file; if it fails, only its events are lost."""
        with self._lock:
            if self._records is None and time.monotonic() < self._retry_at:
                return
            try:
                if self._records is None:
                    self._records = self._begin_file()
                if self._hidden_from is not None:
                    start = self._event(wall_time=time.time(), step=self._hidden_from, session_log=self._log)
                    self._records.write(start.SerializeToString())
                    self._records.flush()
                    self._hidden_from = None
                action(self._records)
            except Exception as error:  # any error of the file system: curves must not cost the training
                self._give_up(error)

    def _begin_file(self):
        """Returns the `RecordWriter` of a new event file; removes a file whose start cannot be written."""
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._folder.mkdir(parents=True, exist_ok=True)
        # Readers take files in the order of their names.
        name = f"{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{next(_FILE_NUMBERS):06d}"
        path = self._folder / f"events.out.tfevents.{name}"
        file = open(path, "xb")  # noqa: SIM115  closed by `close` or `_give_up`
        records = RecordWriter(file)
        try:
            records.write(self._event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
            records.flush()
        except Exception:
            _close_quietly(records)
            path.unlink(missing_ok=True)
            raise
        return records

    def _give_up(self, error: Exception) -> None:
        """Closes the open file for good, with a warning unless one was given since the last successful write."""
        if self._records is not None:
            _close_quietly(self._records)
        self._records = None
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if not self._warned:
            logging.warning(
                "TensorBoard events could not be written to %s (%s). The curves have a gap; training continues.",
                self._folder,
                error,
            )
        self._warned = True

    def _add(self, tag: str, tensor, metadata, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])
        event = self._event(wall_time=time.time(), step=step, summary=summary).SerializeToString()
        self._attempt(lambda records: records.write(event))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes scalars by tag."""
        from tensorboard.plugins.scalar.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        for tag, value in values.items():
            self._add(tag, make_tensor_proto(np.float32(value)), create_summary_metadata("", ""), step)

    def histogram(self, tag: str, counts: np.ndarray, step: int) -> None:
        """Writes a histogram of whole numbers.

        Args:
            tag: str. Name of the panel.
            counts: int `(N,)`. Entry i is how often the value i occurred.
            step: int. Updates made.
        """
        from tensorboard.plugins.histogram.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        edges = np.arange(len(counts), dtype=np.float64)
        buckets = np.stack([edges - 0.5, edges + 0.5, np.asarray(counts, np.float64)], axis=1)  # left, right, count
        self._add(tag, make_tensor_proto(buckets), create_summary_metadata("", ""), step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """Writes a text panel."""
        from tensorboard.plugins.text.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        self._add(tag, make_tensor_proto(np.array([markdown.encode()], object)), create_summary_metadata("", ""), step)

    def flush(self) -> None:
        """Writes buffered events to disk."""

        def flush(records) -> None:
            records.flush()
            self._warned = False

        self._attempt(flush)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._records is not None:
                try:
                    self._records.close()
                except Exception as error:
                    self._give_up(error)
                self._records = None


def _close_quietly(records) -> None:
    """Closes a file that has failed before, and may fail again."""
    try:
        records.close()
    except Exception:
        return
