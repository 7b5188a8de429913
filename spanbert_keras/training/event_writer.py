"""TensorBoard's event files, written without TensorFlow."""

import os
import time

import numpy as np


class EventWriter:
    """Writes scalars, histograms and texts that TensorBoard shows, on every backend.

    Args:
        folder: the log directory of one curve family, e.g. `runs/tiny/train`.
        resumed_at: int or `None`. Step at which a run continues: TensorBoard then hides the points from there on that
            an earlier session wrote; `None` hides all.
    """

    def __init__(self, folder: str | os.PathLike, resumed_at: int | None = None):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event = Event
        self._writer = EventFileWriter(os.fspath(folder))
        # Every session says where it starts: TensorBoard ignores the first such event that it sees in a folder.
        log = SessionLog(status=SessionLog.START)
        self._writer.add_event(Event(wall_time=time.time(), step=resumed_at or 0, session_log=log))

    def _add(self, tag: str, tensor, metadata, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes numbers by tag."""
        from tensorboard.plugins.scalar.metadata import create_summary_metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        for tag, value in values.items():
            self._add(tag, make_tensor_proto(np.float32(value)), create_summary_metadata("", ""), step)

    def histogram(self, tag: str, counts: np.ndarray, step: int) -> None:
        """Writes a histogram of whole numbers.

        Args:
            tag: str.
            counts: int `(N,)`. Entry i counts the value i.
            step: int.
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
        """Writes what is buffered to disk."""
        self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()
