"""The training loop."""

import dataclasses
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

from spanbert_keras.data.batches import BatchStream
from spanbert_keras.data.prefetch import prefetch
from spanbert_keras.data.seeds import dropout_seeds
from spanbert_keras.errors import InputError
from spanbert_keras.training.checkpoints import Checkpoints
from spanbert_keras.training.evaluation import to_numpy
from spanbert_keras.training.loss_scale import INITIAL_SCALE, MINIMUM_SCALE
from spanbert_keras.training.objective import seed_generators, target_counts


def _nothing(*arguments) -> None:
    """What happens at an event that nobody listens to."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """When the loop does what, in steps.

    Attributes:
        total_steps: int. Updates of the whole run.
        log_every: int. Scalars are written.
        evaluate_every: int. Held-out text is scored; 0 never.
        checkpoint_every: int. A checkpoint is written.
        encoder_every: int. `encoder.keras` is written; 0 only at the end.
    """

    total_steps: int
    log_every: int = 50
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    encoder_every: int = 0


class Trainer:
    """Drives a step function over batches, and everything that happens beside it.

    Batch k, its masks and its dropout are functions of (seed, k), and a checkpoint holds all other state, so an
    interrupted run continues with the very step that would have come.

    Args:
        step: the backend's step (`make_step`).
        stream: `BatchStream` of the training split.
        schedule: `Schedule`.
        checkpoints: `Checkpoints`.
        seed: two integers of 32 bits: dropout.

    Attributes:
        on_log: called with (step, batches, results, seconds): the batches since the last call and their results.
        on_evaluate: called with (step).
        on_encoder: called with (step) when the encoder is to be saved.
        on_step: called with (step, results) after every step, for a progress bar; results may still be on the device.
    """

    def __init__(
        self,
        step,
        stream: BatchStream,
        schedule: Schedule,
        checkpoints: Checkpoints,
        seed,
    ):
        self.step = step
        self.stream = stream
        self.schedule = schedule
        self.checkpoints = checkpoints
        self.seed = seed
        self.on_log: Callable[..., Any] = _nothing
        self.on_evaluate: Callable[[int], Any] = _nothing
        self.on_encoder: Callable[[int], Any] = _nothing
        self.on_step: Callable[..., Any] = _nothing
        self.state: dict[str, Any] = {}
        self._stop = False

    def restore(self) -> int:
        """Loads the last checkpoint, if there is one, and returns the number of updates made."""
        scaled = self.step.settings.scale_loss
        self.state = {"scale": INITIAL_SCALE if scaled else 1.0, "scale_steps": 0}
        found = self.checkpoints.restore(self.step.model, self.step.optimizer)
        if found is None:
            return 0
        self.state = {"scale": found["scale"], "scale_steps": found["scale_steps"]}
        return int(found["step"])

    def run(self, start: int) -> bool:
        """Trains from update `start` to the end; says whether it got there.

        `False`: Ctrl-C or SIGTERM came, the step at hand was finished and a checkpoint written.

        Raises:
            InputError: the loss is not finite.
        """
        previous = self._catch_signals()
        try:
            return self._loop(start)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _loop(self, start: int) -> bool:
        total, settings = self.schedule.total_steps, self.step.settings
        generators = len(seed_generators(self.step.model))
        scale, scale_steps = self.state["scale"], self.state["scale_steps"]
        recent: list[tuple[dict, dict]] = []
        began = time.perf_counter()
        batches = prefetch(self.stream.batch, start, total)
        try:
            for number, batch in zip(range(start, total), batches, strict=True):
                seeds = dropout_seeds(self.seed, number, 0, settings.accumulation_steps, generators)
                results = self.step.train(batch, target_counts(batch), seeds, scale, scale_steps)
                scale, scale_steps = results.pop("scale"), results.pop("scale_steps")
                done = number + 1
                recent.append((batch, results))
                self.on_step(done, results)
                if self._due(done, self.schedule.log_every) or self._stop:
                    self._flush(done, recent, scale, time.perf_counter() - began)
                    recent, began = [], time.perf_counter()
                if self._due(done, self.schedule.checkpoint_every) or self._stop:
                    self._flush(done, recent, scale, time.perf_counter() - began)
                    self._save(done, scale, scale_steps)
                    recent, began = [], time.perf_counter()
                if self._stop and done < total:
                    return False
                if done < total and self._due(done, self.schedule.encoder_every):
                    self.on_encoder(done)
                    began = time.perf_counter()
                if done < total and self.schedule.evaluate_every and done % self.schedule.evaluate_every == 0:
                    self.on_evaluate(done)
                    began = time.perf_counter()
        finally:
            batches.close()
        return True

    def _due(self, done: int, every: int) -> bool:
        return every > 0 and (done % every == 0 or done == self.schedule.total_steps)

    def _flush(self, done: int, recent: list, scale, seconds: float) -> None:
        """Fetches the results since the last time, checks that they are finite, and hands them on."""
        if not recent:
            return
        fetched = [(batch, to_numpy(results)) for batch, results in recent]
        for i, (_, results) in enumerate(fetched):
            if not np.isfinite(results["loss"]) or not (results["finite"] or self.step.settings.scale_loss):
                last = self.checkpoints.steps()
                where = f"the last good checkpoint is that of step {last[-1]}" if last else "there is no checkpoint yet"
                raise InputError(
                    f"The loss or its gradient is not finite at step {done - len(fetched) + 1 + i} "
                    f"(loss={float(results['loss'])}). The weights were not updated by it; {where}. "
                    "In a new --output_dir, lower --learning_rate, raise --warmup_steps or use --precision=float32."
                )
        if self.step.settings.scale_loss and float(to_numpy({"scale": scale})["scale"]) < MINIMUM_SCALE:
            raise InputError(
                f"The float16 loss scale fell below {MINIMUM_SCALE} at step {done}: gradients overflow at any scale. "
                "Lower --learning_rate or use --precision=mixed_bfloat16 or float32."
            )
        self.on_log(done, [b for b, _ in fetched], [r for _, r in fetched], seconds)

    def _save(self, done: int, scale, scale_steps) -> None:
        values = to_numpy({"scale": scale, "scale_steps": scale_steps})
        state = {"scale": float(values["scale"]), "scale_steps": int(values["scale_steps"])}
        self.checkpoints.save(
            done, self.step.model, self.step.optimizer, state | {"seed": np.asarray(self.seed).tolist()}
        )

    def _catch_signals(self) -> dict:
        """Turns the first Ctrl-C or SIGTERM into a stop after the step at hand; a second one ends at once."""

        def stop(number, frame):
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True
            logging.info("Stopping after this step; once more to stop at once, without a checkpoint.")

        try:
            return {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread
            return {}
