"""The training loop."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from absl import logging

from spanbert_keras.data.seeds import dropout_seeds
from spanbert_keras.errors import InputError
from spanbert_keras.training.cadence import Cadence, LogWindow
from spanbert_keras.training.loss_guard import LossGuard
from spanbert_keras.training.monitoring.callback_driver import CallbackDriver
from spanbert_keras.training.prefetch import prefetch
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.stop_signals import INTERRUPT, PREEMPT, StopSignals
from spanbert_keras.training.steps.loss_scale import INITIAL_SCALE, MINIMUM_SCALE
from spanbert_keras.training.steps.objective import seed_generators

FINISHED = "finished"
VISIBLE_SECONDS = 90.0  # until a network file system shows what another machine wrote
MAX_ROLLBACKS = 10  # without a new checkpoint in between
PROFILE_AFTER = 10  # steps: what comes before is compilation


def _nothing(*arguments) -> None:
    """What happens at an event that nobody listens to."""


class TrainingBatches(Protocol):
    """Batch k as a pure function of (seed, k)."""

    def part(self, number: int, worker: int, num_workers: int) -> dict[str, np.ndarray]:
        """Returns one worker's rows of batch `number`."""


class _RolledBack(Exception):
    """Training goes on from an earlier step.

    Args:
        number: int. The update whose loss must not go on.
        complaint: str. What is wrong with it.
    """

    def __init__(self, number: int, complaint: str):
        super().__init__(complaint)
        self.number = number
        self.complaint = complaint


class Trainer:
    """Drives a step function over batches, and everything that happens beside it.

    Batch k, its masks and its dropout are functions of (seed, k), and a checkpoint holds all other state, so an
    interrupted run continues with the very step that would have come. Every worker of a run makes the same calls; what
    one of them alone knows (a signal, the time) they agree on by votes that travel with a call.

    Args:
        step: the backend's step (`make_step`).
        stream: the training batches: `BatchStream` or `LengthBuckets`.
        cadence: `Cadence`.
        checkpoints: `Checkpoints`; the chief writes them, all read.
        seed: two integers of 32 bits: dropout.
        signals: `StopSignals`, entered.
        guard: `LossGuard`.
        callbacks: Keras callbacks.

    Attributes:
        on_log: called with (step, `LogWindow`) whose results are arrays.
        on_evaluate: called with (step); returns the held-out loss by which the best checkpoint is chosen, or `None`.
        on_encoder: called with (step) when the encoder is to be saved.
        on_step: called with (step) after every call, for a progress bar.
        on_rollback: called with (step) at which training goes on.
        profile_folder: where a profile is written.
        done: int. Updates made.
        enough: bool. Whether to end after this step though more are planned; `on_evaluate` may set it.
    """

    def __init__(
        self,
        step,
        stream: TrainingBatches,
        cadence: Cadence,
        checkpoints: Checkpoints,
        seed,
        signals: StopSignals | None = None,
        guard: LossGuard | None = None,
        callbacks: Sequence = (),
    ):
        self.step = step
        self.stream = stream
        self.cadence = cadence
        self.checkpoints = checkpoints
        self.seed = seed
        self.signals = signals or StopSignals()
        self.guard = guard or LossGuard(loss_scaling=step.settings.scale_loss)
        self.callbacks = CallbackDriver(callbacks, step.model, step.optimizer)
        self.on_log: Callable[[int, LogWindow], Any] = _nothing
        self.on_evaluate: Callable[[int], float | None] = _nothing
        self.on_encoder: Callable[[int], Any] = _nothing
        self.on_step: Callable[[int], Any] = _nothing
        self.on_rollback: Callable[[int], Any] = _nothing
        self.profile_folder: Path | None = None
        self.done = 0
        self.enough = False
        self.generators = len(seed_generators(step.model))
        self.scale: Any = INITIAL_SCALE if step.settings.scale_loss else 1.0
        self.scale_steps: Any = 0
        self.skipped_batches = 0  # batches that rollbacks left out
        self.best: float | None = None
        self._rollbacks = 0
        self._saved_at = time.monotonic()
        self._profile: int | None = None  # step at which the profile ends

    # --- state

    def restore(self) -> int:
        """Loads the last good checkpoint, if there is one, and returns the number of updates made.

        Raises:
            InputError: none is good, it is of another model, or a worker does not find the chief's.
        """
        distribution = self.step.distribution
        self._together()
        found = self.checkpoints.restore(self.step.model, self.step.optimizer) if distribution.is_chief else None
        # The chief decides which is good; a network file system may show the others a folder as it was.
        updates = int(distribution.sum(np.array([0.0 if found is None else float(found["step"]) + 1.0]))[0])
        start = max(0, updates - 1)
        if updates and not distribution.is_chief:
            found = self._restore_exactly(start)
        if found is not None:
            self.scale, self.scale_steps = float(found["scale"]), int(found["scale_steps"])
            self.skipped_batches = int(found["skipped_batches"])
            self.guard.mean = found["loss_mean"]
            self.best = found["best"]
        return start

    def _restore_exactly(self, step: int) -> dict:
        """Loads the checkpoint that the chief chose."""
        end = time.monotonic() + VISIBLE_SECONDS
        while step not in self.checkpoints.steps() and time.monotonic() < end:
            time.sleep(0.5)
        return self.checkpoints.restore(self.step.model, self.step.optimizer, step)  # type: ignore[return-value]

    def _together(self) -> None:
        """Waits until all workers are here: what the chief wrote before, the others can read."""
        self.checkpoints.wait()
        self.step.distribution.sum(np.zeros(1))

    def _save(self, done: int, score: float | None, wait: bool) -> None:
        """Writes a checkpoint, on the chief."""
        self._saved_at = time.monotonic()
        self._rollbacks = 0
        if not self.step.distribution.is_chief:
            return
        values = self.step.to_numpy({"scale": self.scale, "scale_steps": self.scale_steps})
        state = {
            "seed": np.asarray(self.seed).tolist(),
            "scale": float(values["scale"]),
            "scale_steps": int(values["scale_steps"]),
            "skipped_batches": self.skipped_batches,
            "loss_mean": self.guard.mean,
            "best": self.best,
        }
        self.checkpoints.save(done, self.step.model, self.step.optimizer, state, score, wait)

    # --- the loop

    def run(self, start: int) -> str:
        """Trains from update `start` to the end; returns `"finished"`, `"interrupted"` or `"preempted"`.

        Unless finished, a signal came, the call under way was completed and a checkpoint written.

        Raises:
            InputError: the loss must not go on (`LossGuard`), and rolling back is not wanted or does not help.
        """
        self.signals.deferred = True
        self.done = start
        self._saved_at = time.monotonic()
        self.callbacks.begin()
        try:
            while True:
                try:
                    return self._stretch(start)
                except _RolledBack as cause:
                    start = self._roll_back(cause)
        finally:
            self.signals.deferred = False
            self._end_profile()
            self.callbacks.end()
            self.checkpoints.wait()

    def _calls(self, done: int) -> Iterator[tuple[int, int]]:
        """Yields (first step, last step + 1) of every call from `done` on."""
        while done < self.cadence.total_steps:
            stop = self.cadence.next_stop(done)
            yield done, stop
            done = stop

    def _batches(self, call: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
        """Returns a call's last step + 1 and this worker's rows of its batches, stacked."""
        worker, workers = self.step.distribution.worker, self.step.distribution.num_workers
        parts = [self.stream.part(number + self.skipped_batches, worker, workers) for number in range(*call)]
        return call[1], {key: np.stack([part[key] for part in parts]) for key in parts[0]}

    def _seeds(self, first: int, stop: int) -> np.ndarray:
        """Returns the dropout seeds of a call: uint32 `(K, local replicas, accumulation steps, layers, 2)`."""
        replicas = self.step.distribution.seed_replicas
        parts = self.step.settings.accumulation_steps
        return np.stack([
            np.stack([dropout_seeds(self.seed, number, replica, parts, self.generators) for replica in replicas])
            for number in range(first, stop)
        ])  # fmt: skip

    def _stretch(self, start: int) -> str:
        """Trains from `start` to the end or a signal, or raises `_RolledBack`."""
        window = LogWindow(start)
        batches = prefetch(self._batches, self._calls(start), depth=2)
        first = start
        try:
            while first < self.cadence.total_steps:
                waiting = time.perf_counter()
                done, stacked = next(batches)
                window.waited += time.perf_counter() - waiting
                self._begin_profile(start, first)
                self.callbacks.before(first)
                results = self.step.train(
                    stacked, self._seeds(first, done), self.scale, self.scale_steps, self._votes()
                )
                self.scale, self.scale_steps = results.pop("scale"), results.pop("scale_steps")
                votes = results.pop("votes")
                window.calls.append((stacked, results))
                self.done = done
                self.on_step(done)
                if self.callbacks:
                    self.callbacks.after(done - 1, self.step.to_numpy(results))
                stopped, save = self._agree(votes)
                if self._profile is not None and done >= self._profile:
                    self.step.to_numpy(results)  # until it is computed
                    self._end_profile()
                window = self._after(done, window, stopped, save)
                if stopped and done < self.cadence.total_steps:
                    return stopped
                if self.enough:
                    return FINISHED
                first = done
        finally:
            batches.close()
        return FINISHED

    def _after(self, done: int, window: LogWindow, stopped: str | None, save: bool) -> LogWindow:
        """Does what is due after a call and returns the window to go on with."""
        cadence = self.cadence
        evaluate = bool(cadence.evaluate_every) and done % cadence.evaluate_every == 0 and done < cadence.total_steps
        save = save or bool(stopped) or cadence.due(done, cadence.checkpoint_every)
        encoder = done < cadence.total_steps and cadence.due(done, cadence.encoder_every)
        log = bool(stopped) or cadence.due(done, cadence.log_every)
        if not (evaluate or save or encoder or log):
            return window
        self._check(done, window)  # before anything is kept
        if log:
            self.on_log(done, window)
        score, began = None, time.perf_counter()
        if evaluate and not stopped:
            score = self.on_evaluate(done)
            self.callbacks.evaluated(done, score)
            if score is not None and math.isfinite(score) and (self.best is None or score < self.best):
                self.best, save = score, True
        if save:
            self._save(done, score, wait=bool(stopped) or done == cadence.total_steps)
        if stopped:
            self._together()  # nobody leaves before the checkpoint is written
        if encoder:
            self.on_encoder(done)
        if log:
            return LogWindow(done)
        window.began += time.perf_counter() - began  # what was done beside training
        return window

    # --- agreement

    def _votes(self) -> np.ndarray:
        """Returns what this worker wants: to stop, as interrupted, preempted or asked by a callback; to save."""
        old = self.cadence.checkpoint_minutes * 60.0
        overdue = bool(old) and self.step.distribution.is_chief and time.monotonic() - self._saved_at >= old
        received = self.signals.received
        return np.array([received == INTERRUPT, received == PREEMPT, self.callbacks.stop, overdue], np.float32)

    def _agree(self, votes) -> tuple[str | None, bool]:
        """Returns how all workers stop now, if they do, and whether they save."""
        if self.step.distribution.num_workers == 1:
            votes = self._votes()  # nobody else to ask, and later than those that travelled
        interrupted, preempted, asked, overdue = np.asarray(self.step.to_numpy({"votes": votes})["votes"]) > 0
        stopped = INTERRUPT if interrupted else PREEMPT if preempted else FINISHED if asked else None
        if stopped:
            logging.info("Stopping after step %d of %d.", self.done, self.cadence.total_steps)
        return stopped, bool(overdue)

    # --- results

    def _check(self, done: int, window: LogWindow) -> None:
        """Fetches the results since the last time, and refuses a loss that must not go on."""
        fresh = window.calls[window.checked :]
        if not fresh:
            return
        fetched = [(batches, self.step.to_numpy(results)) for batches, results in fresh]
        window.calls[window.checked :] = fetched
        window.checked = len(window.calls)
        losses = np.concatenate([results["loss"] for _, results in fetched])
        finite = np.concatenate([results["finite"] for _, results in fetched])
        for number, (loss, good) in enumerate(zip(losses, finite, strict=True), done - len(losses) + 1):
            complaint = self.guard.complaint(loss, bool(good))
            if complaint:
                self._diverged(number, complaint)
        if self.step.settings.scale_loss:
            scale = float(self.step.to_numpy({"scale": self.scale})["scale"])
            if scale < MINIMUM_SCALE:
                raise InputError(
                    f"The float16 loss scale fell below {MINIMUM_SCALE} at step {done}: gradients overflow at any "
                    "scale. Lower --learning_rate or use --precision=mixed_bfloat16 or float32."
                )

    # --- losses that must not go on

    def _diverged(self, number: int, complaint: str) -> None:
        """Stops the run, or sends it back to the last checkpoint, for the loss of update `number`."""
        self._together()
        steps = self.checkpoints.steps()
        kept = self.step.distribution.sum(np.array([float(len(steps) * self.step.distribution.is_chief)]))[0]
        if self.cadence.on_divergence == "rollback" and kept and self._rollbacks < MAX_ROLLBACKS:
            raise _RolledBack(number, complaint)
        where = f"the last good checkpoint is that of step {steps[-1]}" if steps else "there is no checkpoint yet"
        tried = f" after {self._rollbacks} rollbacks" if self._rollbacks else ""
        raise InputError(f"At step {number}{tried} {complaint}; {where}. In a new --output_dir, {self.cadence.advice}.")

    def _roll_back(self, cause: _RolledBack) -> int:
        """Restores the last checkpoint, leaves out the batches from there to the bad one, and returns its step."""
        rollbacks, skipped = self._rollbacks, self.skipped_batches
        start = self.restore()
        left_out = cause.number - start
        self.skipped_batches = skipped + left_out
        self._rollbacks = rollbacks + 1
        logging.warning(
            "At step %d %s: rolled back to step %d; batches %d to %d are left out.",
            cause.number, cause.complaint, start, start + skipped, start + skipped + left_out - 1,
        )  # fmt: skip
        self.on_rollback(start)
        return start

    # --- profile

    def _begin_profile(self, start: int, first: int) -> None:
        """Starts the profile once compilation is over."""
        wanted = self.cadence.profile_steps and self.profile_folder is not None and self._profile is None
        if wanted and start + PROFILE_AFTER <= first < start + PROFILE_AFTER + self.cadence.steps_per_call:
            self._profile = first + self.cadence.profile_steps
            self.step.start_profile(str(self.profile_folder))

    def _end_profile(self) -> None:
        """Writes the profile."""
        if self._profile is not None and self._profile >= 0:
            self.step.stop_profile()
            logging.info("A profile is in %s, for TensorBoard's profiler plugin.", self.profile_folder)
            self._profile = -1  # one a run
