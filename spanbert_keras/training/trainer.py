"""The training loop."""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from absl import logging

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.seeds import dropout_seeds
from spanbert_keras.training.cadence import Cadence, LogWindow
from spanbert_keras.training.loss_guard import LossGuard
from spanbert_keras.training.monitoring.callback_driver import CallbackDriver
from spanbert_keras.training.monitoring.profiler import Profiler
from spanbert_keras.training.prefetch import prefetch
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.stop_signals import FINISHED, StopSignals
from spanbert_keras.training.steps.loss_scale import INITIAL_SCALE, MINIMUM_SCALE
from spanbert_keras.training.steps.objective import seed_generators
from spanbert_keras.training.steps.step import Step
from spanbert_keras.training.trainer_events import Evaluation, TrainerEvents
from spanbert_keras.training.worker_votes import WorkerVotes

VISIBLE_SECONDS = 90.0  # until a network file system shows what another machine wrote
MAX_ROLLBACKS = 10  # without a new checkpoint in between


class TrainingBatches(Protocol):
    """Batch k as a pure function of (seed, k)."""

    def part(self, number: int, worker: int, num_workers: int) -> dict[str, np.ndarray]:
        """Returns one worker's rows of batch `number`."""


class _RolledBack(Exception):
    """Training is to continue from an earlier step.

    Args:
        number: int. The update that diverged.
        complaint: str. What is wrong with its loss.
    """

    def __init__(self, number: int, complaint: str):
        super().__init__(complaint)
        self.number = number
        self.complaint = complaint


class Trainer:
    """Drives a step over batches; logs, evaluates, saves, stops and rolls back in between.

    Batch k, its masks and its dropout are functions of (seed, k), and a checkpoint holds all other state. So an
    interrupted run continues with exactly the step that would have come next. Every worker of a run makes the same
    calls in the same order; they agree on what only one of them knows (a signal, the time) by `WorkerVotes`.

    Args:
        step: `Step`.
        stream: the training batches: `BatchStream` or `LengthBuckets`.
        cadence: `Cadence`.
        checkpoints: `Checkpoints`; the chief writes them, all workers read them.
        seed: two integers of 32 bits. The seed of dropout.
        signals: `StopSignals`, entered.
        guard: `LossGuard`.
        callbacks: sequence of Keras callbacks.
        events: `TrainerEvents`.
        profile_folder: where a profile is written, if `cadence` asks for one; `None` writes none.

    Attributes:
        done: int. Updates made.
        ended_early: bool. Whether an evaluation ended training before the last planned step.
        best: float or `None`. Lowest loss of an evaluation so far.
        scale, scale_steps: state of the loss scale.
        skipped_batches: int. Batches that rollbacks left out.
    """

    def __init__(
        self,
        step: Step,
        stream: TrainingBatches,
        cadence: Cadence,
        checkpoints: Checkpoints,
        seed,
        signals: StopSignals | None = None,
        guard: LossGuard | None = None,
        callbacks: Sequence = (),
        events: TrainerEvents | None = None,
        profile_folder: Path | None = None,
    ):
        self.step = step
        self.stream = stream
        self.cadence = cadence
        self.checkpoints = checkpoints
        self.seed = seed
        self.signals = signals or StopSignals()
        self.guard = guard or LossGuard(loss_scaling=step.settings.scale_loss)
        self.callbacks = CallbackDriver(callbacks, step.model, step.optimizer)
        self.events = events or TrainerEvents()
        self.profiler = Profiler(step, profile_folder, cadence.profile_steps)
        self.votes = WorkerVotes(step, self.signals, self.callbacks, self._checkpoint_overdue)
        self.done = 0
        self.ended_early = False
        self.best: float | None = None
        self.scale: Any = INITIAL_SCALE if step.settings.scale_loss else 1.0
        self.scale_steps: Any = 0
        self.skipped_batches = 0
        self._dropout_layers = len(seed_generators(step.model))
        self._rollbacks = 0  # since the last checkpoint was written
        self._saved_at = time.monotonic()

    # --- state

    def restore(self) -> int:
        """Loads the last good checkpoint, if any, and returns the number of updates made.

        Raises:
            InputError: no checkpoint is good, it is of another model, or a worker does not find the chief's.
        """
        distribution = self.step.distribution
        self._barrier()
        found = self.checkpoints.restore(self.step.model, self.step.optimizer) if distribution.is_chief else None
        # The chief chooses: on a network file system the others may still see an older state of the folder. The sum
        # carries its choice to all, as step + 1, since 0 means that there is no checkpoint.
        choice = int(distribution.sum(np.array([0.0 if found is None else float(found["step"]) + 1.0]))[0])
        start = max(0, choice - 1)
        if choice and not distribution.is_chief:
            found = self._restore_exactly(start)
        if found is not None:
            self.scale, self.scale_steps = float(found["scale"]), int(found["scale_steps"])
            self.skipped_batches = int(found["skipped_batches"])
            self.guard.mean = found["loss_mean"]
            self.best = found["best"]
        self.done = start
        return start

    def _restore_exactly(self, step: int) -> dict:
        """Loads the checkpoint that the chief chose, once the file system shows it."""
        end = time.monotonic() + VISIBLE_SECONDS
        while step not in self.checkpoints.steps() and time.monotonic() < end:
            time.sleep(0.5)
        return self.checkpoints.restore(self.step.model, self.step.optimizer, step)  # type: ignore[return-value]

    def _barrier(self) -> None:
        """Waits until all workers are here; what the chief wrote before, the others can then read."""
        self.checkpoints.wait()
        self.step.distribution.sum(np.zeros(1))

    def _save(self, done: int, loss: float | None, wait: bool) -> None:
        """Writes a checkpoint, on the chief."""
        # On every worker, not the chief alone: all must count rollbacks alike.
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
        self.checkpoints.save(done, self.step.model, self.step.optimizer, state, loss, wait)

    def _checkpoint_overdue(self) -> bool:
        """Returns whether the last checkpoint is too old; only the chief's clock counts."""
        limit = self.cadence.checkpoint_minutes * 60.0
        return bool(limit) and self.step.distribution.is_chief and time.monotonic() - self._saved_at >= limit

    # --- evaluation

    def evaluate_missed(self, start: int) -> None:
        """Makes the evaluation that was due at step `start` if the signal that stopped the run there prevented it.

        Without it the continued run would have one score less than a run that nothing stopped. To be called between
        `restore` and `run`; afterwards `ended_early` is true if training ends there.
        """
        every, total = self.cadence.evaluate_every, self.cadence.total_steps
        due = every > 0 and 0 < start < total and start % every == 0
        if not due or start in self.checkpoints.scores():
            return
        evaluation = self._evaluate(start)
        self._keep_if_best(evaluation)
        self._save(start, evaluation.loss, wait=True)  # the same state, now with its score

    def _evaluate(self, done: int) -> Evaluation:
        evaluation = self.events.on_evaluate(done)
        self.ended_early = evaluation.end
        return evaluation

    def _keep_if_best(self, evaluation: Evaluation) -> bool:
        """Returns whether an evaluation is the best so far, and remembers its loss if so."""
        loss = evaluation.loss
        if loss is None or not math.isfinite(loss) or (self.best is not None and loss >= self.best):
            return False
        self.best = loss
        return True

    # --- the loop

    def run(self, start: int) -> str:
        """Trains from update `start` to the end; returns `"finished"`, `"interrupted"` or `"preempted"`.

        After a signal the current call is completed and a checkpoint is written.

        Raises:
            InputError: the loss diverged (`LossGuard`), and rolling back is not wanted or does not help.
        """
        self.signals.deferred = True
        self.done = start
        self._saved_at = time.monotonic()
        self.callbacks.begin()
        try:
            while True:
                try:
                    return self._train_until_stop(start)
                except _RolledBack as cause:
                    start = self._roll_back(cause)
        finally:
            self.signals.deferred = False
            self.profiler.stop()
            self.callbacks.end()
            self.checkpoints.wait()

    def _call_ranges(self, done: int) -> Iterator[tuple[int, int]]:
        """Yields (first step, last step + 1) of every call from `done` on."""
        while done < self.cadence.total_steps:
            stop = self.cadence.next_stop(done, self.skipped_batches)
            yield done, stop
            done = stop

    def _load_call(self, call: tuple[int, int]) -> tuple[int, dict[str, np.ndarray]]:
        """Returns a call's last step + 1 and this worker's rows of its batches, stacked."""
        worker, workers = self.step.distribution.worker, self.step.distribution.num_workers
        # A rollback leaves batches out: update n then takes a later batch than batch n.
        parts = [self.stream.part(number + self.skipped_batches, worker, workers) for number in range(*call)]
        return call[1], {key: np.stack([part[key] for part in parts]) for key in parts[0]}

    def _dropout_seeds(self, first: int, stop: int) -> np.ndarray:
        """Returns the dropout seeds of a call: uint32 `(K, local replicas, accumulation steps, layers, 2)`."""
        replicas = self.step.distribution.seed_replicas
        parts, layers = self.step.settings.accumulation_steps, self._dropout_layers

        def of_update(number: int) -> np.ndarray:
            return np.stack([dropout_seeds(self.seed, number, replica, parts, layers) for replica in replicas])

        return np.stack([of_update(number) for number in range(first, stop)])

    def _train_until_stop(self, start: int) -> str:
        """Trains from `start` to the end or a signal, and returns how it ended.

        Raises:
            _RolledBack: training is to continue from the last checkpoint.
        """
        window = LogWindow(start)
        batches = prefetch(self._load_call, self._call_ranges(start), depth=2)
        first = start
        try:
            while first < self.cadence.total_steps:
                waiting = time.perf_counter()
                done, stacked = next(batches)
                window.waited += time.perf_counter() - waiting
                self.profiler.before_call(start, first, self.cadence.steps_per_call)
                self.callbacks.before(first)
                # A call returns before the device has computed it. Results and loss scale stay on the device, so that
                # the next call can be sent at once; they are fetched only when something is due.
                seeds = self._dropout_seeds(first, done)
                results = self.step.train(stacked, seeds, self.scale, self.scale_steps, self.votes.cast())
                self.scale, self.scale_steps = results.pop("scale"), results.pop("scale_steps")
                votes = results.pop("votes")
                window.calls.append((stacked, results))
                self.done = done
                self.events.on_step(done)
                if self.callbacks:
                    self.callbacks.after(done - 1, self.step.to_numpy(results))
                outcome, save = self.votes.decide(votes)
                if outcome:
                    logging.info("Stopping after step %d of %d.", done, self.cadence.total_steps)
                self.profiler.after_call(done, results)
                window = self._run_due_actions(done, window, outcome, save)
                if outcome and done < self.cadence.total_steps:
                    return outcome
                if self.ended_early:
                    return FINISHED
                first = done
        finally:
            batches.close()
        return FINISHED

    def _run_due_actions(self, done: int, window: LogWindow, outcome: str | None, save: bool) -> LogWindow:
        """Logs, evaluates and saves what is due after a call.

        Args:
            done: int. Updates made.
            window: `LogWindow`.
            outcome: how the run stops now, `None` if it does not.
            save: bool. Whether the workers want a checkpoint now.

        Returns:
            The window to continue with.
        """
        cadence = self.cadence
        # The evaluation at the end is the caller's.
        evaluate = bool(cadence.evaluate_every) and done % cadence.evaluate_every == 0 and done < cadence.total_steps
        save = save or bool(outcome) or cadence.due(done, cadence.checkpoint_every)
        encoder = done < cadence.total_steps and cadence.due(done, cadence.encoder_every)
        log = bool(outcome) or cadence.due(done, cadence.log_every)
        if not (evaluate or save or encoder or log):
            return window
        self._check_losses(done, window)  # first: no checkpoint may hold weights that have diverged
        if log:
            self.events.on_log(done, window)
        evaluation, began = Evaluation(), time.perf_counter()
        if evaluate and not outcome:  # the scheduler that sent a signal does not wait for an evaluation
            evaluation = self._evaluate(done)
            self.callbacks.evaluated(done, evaluation.loss)
            save = self._keep_if_best(evaluation) or save
        if save:
            self._save(done, evaluation.loss, wait=bool(outcome) or done == cadence.total_steps)
        if outcome:
            self._barrier()  # no worker leaves before the checkpoint is written
        if encoder:
            self.events.on_encoder(done)
        if log:
            return LogWindow(done)
        window.began += time.perf_counter() - began  # evaluating and saving do not count as training time
        return window

    # --- divergence

    def _check_losses(self, done: int, window: LogWindow) -> None:
        """Fetches the results since the last check; stops the run or rolls it back if a loss diverged."""
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
                self._stop_or_roll_back(number, complaint)
        if self.step.settings.scale_loss:
            scale = float(self.step.to_numpy({"scale": self.scale})["scale"])
            if scale < MINIMUM_SCALE:
                raise InputError(
                    f"The float16 loss scale fell below {MINIMUM_SCALE} at step {done}: gradients overflow at any "
                    "scale. Lower --learning_rate or use --precision=mixed_bfloat16 or float32."
                )

    def _stop_or_roll_back(self, number: int, complaint: str) -> None:
        """Raises what ends the run, or sends it back to the last checkpoint, because update `number` diverged."""
        self._barrier()
        steps = self.checkpoints.steps()
        # Whether there is a checkpoint is for the chief to say, or workers that see different folders would part ways.
        kept = self.step.distribution.sum(np.array([float(len(steps) * self.step.distribution.is_chief)]))[0]
        if self.cadence.on_divergence == "rollback" and kept and self._rollbacks < MAX_ROLLBACKS:
            raise _RolledBack(number, complaint)
        where = f"the last good checkpoint is that of step {steps[-1]}" if steps else "there is no checkpoint yet"
        tried = f" after {self._rollbacks} rollbacks" if self._rollbacks else ""
        raise InputError(f"At step {number}{tried} {complaint}; {where}. In a new --output_dir, {self.cadence.advice}.")

    def _roll_back(self, cause: _RolledBack) -> int:
        """Restores the last checkpoint, leaves out the batches from there to the bad one, and returns its step."""
        # `restore` brings back the numbers of the checkpoint, which may be older than the last rollback.
        rollbacks, skipped = self._rollbacks, self.skipped_batches
        start = self.restore()
        self.skipped_batches = skipped + cause.number - start
        self._rollbacks = rollbacks + 1
        logging.warning(
            "At step %d %s: rolled back to step %d; batches %d to %d are left out.",
            cause.number,
            cause.complaint,
            start,
            start + skipped,
            start + self.skipped_batches - 1,
        )
        self.events.on_rollback(start)
        return start
