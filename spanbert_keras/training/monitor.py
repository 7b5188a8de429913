"""What a person sees of a run: progress bar, log lines, TensorBoard."""

import os
import sys
import time
from pathlib import Path

import keras
import numpy as np
from absl import logging

from spanbert_keras.training.event_writer import EventWriter
from spanbert_keras.training.piece_scores import PieceScores, span_lengths

LONGEST_SPAN_SHOWN = 64  # pieces; longer spans are counted in the last bar


def batch_facts(batches: list[dict[str, np.ndarray]], seconds: float) -> dict[str, float]:
    """Returns what batches say about the data, by tag.

    Tags: `data/pieces_per_second` (without padding), `data/padding_share`, `data/masked_share` (of pieces with
    [CLS] and [SEP]), `data/span_boundary_share` (of masked pieces: those with an SBO target),
    `data/blocks_per_batch`, `data/mean_span_length` (pieces).
    """
    places = sum(batch["padding_mask"].size for batch in batches)
    pieces = sum(int((batch["padding_mask"] > 0).sum()) for batch in batches)
    masked = sum(float(batch["mask_weights"].sum()) for batch in batches)
    with_target = sum(float(batch["span_weights"].sum()) for batch in batches)
    spans = span_histogram(batches)
    return {
        "data/pieces_per_second": pieces / max(seconds, 1e-9),
        "data/padding_share": 1.0 - pieces / places,
        "data/masked_share": masked / max(pieces, 1),
        "data/span_boundary_share": with_target / max(masked, 1.0),
        "data/blocks_per_batch": sum(float(batch["padding_mask"].max(1).sum()) for batch in batches) / len(batches),
        "data/mean_span_length": float((spans * np.arange(len(spans))).sum() / max(1, spans.sum())),
    }


def span_histogram(batches: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Returns int64 `(LONGEST_SPAN_SHOWN + 1,)`: entry l counts the masked spans of l pieces."""
    counts = np.zeros(LONGEST_SPAN_SHOWN + 1, np.int64)
    for batch in batches:
        first = (batch["mask_weights"] > 0) & (batch["span_offsets"] == 0)
        lengths = np.minimum(span_lengths(batch)[first], LONGEST_SPAN_SHOWN)
        counts += np.bincount(lengths, minlength=len(counts))
    return counts


class Monitor:
    """Progress bar and TensorBoard of one run: `train/`, and one folder for each held-out set, under `folder`.

    Args:
        folder: the run's output directory.
        total_steps: int. Steps of the whole run.
        start: int. Steps made before.
        learning_rate: maps a step to its learning rate.
        mask_token_id: int. The piece [MASK].
        unigram: float `(V,)`. From `unigram_losses`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        total_steps: int,
        start: int,
        learning_rate,
        mask_token_id: int,
        unigram: np.ndarray,
    ):
        self.folder = Path(folder)
        self.total_steps = total_steps
        self.start = start
        self.learning_rate = learning_rate
        self.mask_token_id = mask_token_id
        self.unigram = unigram
        self._writers: dict[str, EventWriter] = {}
        self._progress = None
        self._began = time.perf_counter()

    def __enter__(self):
        if sys.stderr.isatty():
            self._progress = _progress_bar()
            self._task = self._progress.add_task("training", total=self.total_steps, completed=self.start, losses="")
            self._progress.start()
        return self

    def __exit__(self, *error):
        if self._progress is not None:
            self._progress.stop()
        for writer in self._writers.values():
            writer.close()

    def writer(self, name: str) -> EventWriter:
        """Returns the event writer of `<folder>/<name>`."""
        if name not in self._writers:
            self._writers[name] = EventWriter(self.folder / name, resumed_at=self.start + 1 if self.start else None)
        return self._writers[name]

    def on_step(self, done: int, results: dict) -> None:
        """Moves the progress bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

    def on_log(self, done: int, batches: list, results: list, seconds: float) -> None:
        """Writes the scalars of the steps since the last time."""
        scores = PieceScores(self.mask_token_id, self.unigram)
        for batch, result in zip(batches, results, strict=True):
            scores.add(batch, result)
        values = scores.summary() | batch_facts(batches, seconds)
        values["optimization/learning_rate"] = float(keras.ops.convert_to_numpy(self.learning_rate(done - 1)))
        norms = [result["gradient_norm"] for result in results if result["finite"]]
        if norms:
            values["optimization/gradient_norm"] = float(np.mean(norms))
        values["optimization/loss"] = float(np.mean([result["loss"] for result in results]))
        values["optimization/skipped_updates"] = float(sum(not result["finite"] for result in results))
        writer = self.writer("train")
        writer.scalars(values, done)
        writer.histogram("data/span_lengths", span_histogram(batches), done)
        writer.flush()
        self._say(done, values)

    def _say(self, done: int, values: dict[str, float]) -> None:
        """Shows the losses on the progress bar, or as a log line where there is no terminal."""
        keys = {"MLM": "masked_lm/loss", "SBO": "span_boundary/loss", "unigram": "masked_lm/unigram_loss"}
        losses = "  ".join(f"{name} {values.get(key, float('nan')):.3f}" for name, key in keys.items())
        losses += f"  {values['data/pieces_per_second']:,.0f} pieces/s"
        if self._progress is not None:
            self._progress.update(self._task, losses=losses)
            return
        elapsed = time.perf_counter() - self._began
        left = elapsed / max(1, done - self.start) * (self.total_steps - done)
        logging.info("step %d/%d  %s  %.0f s left", done, self.total_steps, losses, left)

    def on_scores(self, name: str, done: int, summary: dict[str, float]) -> None:
        """Writes the scores of a held-out set."""
        self.writer(name).scalars(summary, done)
        self.writer(name).flush()
        masked = ", ".join(
            f"{title} {summary[key]:.3f}"
            for title, key in (
                ("MLM", "masked_lm/loss_masked"),
                ("SBO", "span_boundary/loss_masked"),
                ("unigram", "masked_lm/unigram_loss_masked"),
            )
            if key in summary
        )
        logging.info("%s at step %d, pieces that were [MASK]: %s nat", name, done, masked)


def _progress_bar():
    """Returns a rich progress bar with losses and time left."""
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
