"""Progress bar and TensorBoard of fine-tuning. Shape letters: K steps per call, B rows, T tokens."""

import os
import time

import numpy as np
from absl import logging

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.monitoring.flops import attended_pairs
from spanbert_keras.training.monitoring.run_monitor import RunMonitor


class FineTuningMonitor(RunMonitor):
    """Progress bar and TensorBoard of one fine-tuning run: `train/` and `dev/` under `folder`.

    Args:
        folder: the run's output directory.
        total_steps: int. Steps of the whole run.
        learning_rate: function from a step to its learning rate.
        steps_per_epoch: int. Number of steps per epoch.
        distribution: `Distribution`.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        total_steps: int,
        learning_rate,
        steps_per_epoch: int,
        distribution: Distribution | None = None,
    ):
        super().__init__(folder, total_steps, learning_rate, distribution)
        self.steps_per_epoch = steps_per_epoch

    def on_log(self, done: int, window) -> None:
        """Writes the scalars of the steps since the last call.

        Args:
            done: int. Updates made.
            window: `cadence.LogWindow` whose results are arrays.
        """
        counts = np.zeros(5)  # of this worker: positions, tokens, examples; pairs of positions, of tokens
        for batches, _ in window.calls:
            mask = batches["padding_mask"] * (batches["example_weights"] > 0)[..., None]
            examples = batches["example_weights"].sum()
            counts += (mask.size, (mask > 0).sum(), examples, mask.size * mask.shape[-1], attended_pairs(mask))
        positions, tokens, examples, position_pairs, attended = self.distribution.sum(counts).tolist()
        if not self.distribution.is_chief:
            return
        seconds = max(time.perf_counter() - window.began, 1e-9)
        values = self.optimization(done, window) | {
            "data/padding_share": 1.0 - tokens / positions,
            "data/attention_waste_share": 1.0 - attended / position_pairs,
            "performance/tokens_per_second": tokens / seconds,
            "performance/examples_per_second": examples / seconds,
            "performance/data_wait_share": min(1.0, window.waited / seconds),
        }
        with self._lock:
            self.writer("train").scalars(values, done)
            self.writer("train").flush()
        parts = [
            f"epoch {done / self.steps_per_epoch:.2f}",
            f"loss {values['optimization/loss']:.3f}",
            f"{values['performance/examples_per_second']:,.1f} rows/s",
        ]
        self.say(done, values, parts)

    def on_scores(self, done: int, scores: dict[str, float]) -> None:
        """Writes the scores on the development set."""
        if self.distribution.is_chief:
            self.writer("dev").scalars(scores, done)
            self.writer("dev").flush()
            shown = ", ".join(
                f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.2f}"
                for name, value in scores.items()
            )
            logging.info("dev at step %d: %s", done, shown)
