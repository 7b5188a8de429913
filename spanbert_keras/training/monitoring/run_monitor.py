"""Progress and curves of a run: a progress bar or log lines, and TensorBoard."""

import os
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
from absl import logging

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.monitoring.event_writer import EventWriter
from spanbert_keras.training.steps.objective import STEP_KEYS


class RunMonitor:
    """Progress bar and TensorBoard folders of one run.

    The bar is shown within its `with` block, if the chief has a terminal.

    Args:
        folder: the run's output directory.
        total_steps: int. Steps of the whole run.
        learning_rate: function from a step to its learning rate.
        distribution: `Distribution`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        total_steps: int,
        learning_rate,
        distribution: Distribution | None = None,
    ):
        self.folder = Path(folder)
        self.total_steps = total_steps
        self.start = 0  # the step at which this process began or continued
        self.learning_rate = learning_rate
        self.distribution = distribution or Distribution()
        self._lock = threading.Lock()
        self._writers: dict[str, EventWriter] = {}
        self._progress = None
        self._began = time.perf_counter()

    def __enter__(self):
        if self.distribution.is_chief and sys.stderr.isatty():
            self._progress = _progress_bar()
            self._handler = logging.get_absl_handler()
            self._stream = getattr(self._handler.python_handler, "stream", None)
            self._handler.python_handler.stream = _AboveTheBar(self._progress.console)
            self._task = self._progress.add_task("training", total=self.total_steps, completed=self.start, losses="")
            self._progress.start()
        return self

    def __exit__(self, *error):
        if self._progress is not None:
            self._progress.stop()
            self._handler.python_handler.stream = self._stream
        for writer in self._writers.values():
            writer.close()

    def resume_at(self, step: int) -> None:
        """Sets the step at which this run continues, before anything is shown."""
        self.start = step
        self._began = time.perf_counter()

    def writer(self, name: str) -> EventWriter:
        """Returns the event writer of `<folder>/<name>`."""
        if name not in self._writers:
            self._writers[name] = EventWriter(self.folder / name, resumed_at=self.start + 1 if self.start else None)
        return self._writers[name]

    def on_step(self, done: int) -> None:
        """Moves the progress bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def on_rollback(self, step: int) -> None:
        """Hides the points that training is about to repeat."""
        for writer in self._writers.values():
            writer.restart(step + 1)
        self.on_step(step)

    def on_checkpoint(self, step: int, seconds: float) -> None:
        """Writes how long a checkpoint took. Called from the thread that wrote it."""
        with self._lock:
            self.writer("train").scalars({"performance/checkpoint_seconds": seconds}, step)
        logging.info("checkpoint of step %d written in %.1f s", step, seconds)

    def optimization(self, done: int, window) -> dict[str, float]:
        """Returns scalars of the updates since the last log point, by tag.

        Args:
            done: int. Updates made.
            window: `LogWindow` whose results are arrays.
        """
        of_steps = {key: np.concatenate([results[key] for _, results in window.calls]) for key in STEP_KEYS}
        values = {"optimization/learning_rate": float(keras.ops.convert_to_numpy(self.learning_rate(done - 1)))}
        norms = of_steps["gradient_norm"][of_steps["finite"]]
        if norms.size:
            values["optimization/gradient_norm"] = float(norms.mean())
        values["optimization/loss"] = float(of_steps["loss"].mean())
        values["optimization/loss_scale"] = float(of_steps["scales"][-1])
        values["optimization/skipped_updates"] = float((~of_steps["finite"]).sum())
        return values

    def say(self, done: int, values: dict[str, float], parts: list[str]) -> None:
        """Shows `parts`, and anything unusual, on the progress bar or, without a terminal, as a log line."""
        parts = list(parts)
        if values["performance/data_wait_share"] >= 0.02:
            parts.append(f"data wait {100 * values['performance/data_wait_share']:.0f} %")
        if values["optimization/loss_scale"] != 1.0:
            parts.append(f"loss scale {values['optimization/loss_scale']:g}")
        if values["optimization/skipped_updates"]:
            parts.append(f"{values['optimization/skipped_updates']:.0f} skipped")
        if self._progress is not None:
            self._progress.update(self._task, losses="  ".join(parts))
            return
        elapsed = time.perf_counter() - self._began
        left = elapsed / max(1, done - self.start) * (self.total_steps - done)
        logging.info("step %d/%d  %s  %.0f s left", done, self.total_steps, "  ".join(parts), left)


class _AboveTheBar:
    """Stream that prints whole lines above a progress bar, which they would otherwise break up."""

    def __init__(self, console):
        self._console = console

    def write(self, text: str) -> None:
        if text.strip():
            self._console.print(text.rstrip("\n"), markup=False, highlight=False, soft_wrap=True)

    def flush(self) -> None:
        """Does nothing: `write` buffers nothing."""


def _progress_bar():
    """Returns a progress bar with losses and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
        console=Console(stderr=True),
    )
