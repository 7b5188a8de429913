"""One fine-tuning run, from a task's examples to the best model on disk."""

import dataclasses
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NotRequired, Protocol

import numpy as np
from absl import logging
from typing_extensions import TypedDict

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.fine_tuning.one_run_settings import OneRunSettings
from spanbert_keras.fine_tuning.weight_groups import groups_beside, indices_of
from spanbert_keras.preprocessing.length_buckets import LengthBuckets
from spanbert_keras.preprocessing.seeds import run_seed
from spanbert_keras.training.backend import has_accelerator, make_step
from spanbert_keras.training.cadence import Cadence
from spanbert_keras.training.loss_guard import LossGuard
from spanbert_keras.training.run import saving
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.run_process import RunProcess
from spanbert_keras.training.run.run_record import RunRecord
from spanbert_keras.training.run.stop_signals import FINISHED
from spanbert_keras.training.steps.objective import Objective, StepSettings
from spanbert_keras.training.steps.optimizers import make_adamw
from spanbert_keras.training.steps.step import Step
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay
from spanbert_keras.training.trainer import Trainer
from spanbert_keras.training.trainer_events import Evaluation, TrainerEvents

EVALUATION_ROWS = 32  # rows of an evaluation batch, at least
CHECKPOINTS = "checkpoints"
KEEP_CHECKPOINTS = 1  # newest checkpoints to keep, besides the best


class TrainingFailed(InputError):
    """Training failed with these settings, e.g. because the loss is not finite; other settings may work."""


class TrainingRows(Protocol):
    """Rows of different lengths; training chooses their order."""

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each row."""

    def batch(self, rows: np.ndarray, length: int, epoch: int) -> dict[str, np.ndarray]:
        """Returns the inputs and targets of some rows `(B,)` in an epoch, padded to `length`."""


class FineTuningTask(Protocol):
    """What a run trains: that of `fine_tune`, or a program's.

    Attributes:
        model_name: str. The model is saved as `<output_dir>/<model_name>.keras`.
        select_by: str. Name of the dev score by which the best model is chosen: the highest, but of `"loss"` the
            lowest. Read after the first evaluation.
        task_learning_rate: float or `None`. Initial learning rate of all layers but the encoder (`groups_beside`).
    """

    model_name: str
    select_by: str

    @property
    def task_learning_rate(self) -> float | None: ...

    def facts(self) -> dict[str, Any]:
        """Returns JSON values that must not change when a run continues, e.g. checksums of the files."""

    def make_model(self):
        """Returns the task model over the encoder."""

    def objective(self, model) -> Objective:
        """Returns the objective to minimise."""

    def training_rows(self, model) -> "TrainingRows":
        """Returns the training rows."""

    def evaluate(self, model, predict: Callable[[dict], dict], rows: int) -> dict[str, float]:
        """Returns dev scores; `predict` takes a batch of exactly `rows` rows of the model's inputs."""

    def finish(self, model, folder: Path, predict: Callable[[dict], dict], rows: int) -> dict[str, Any]:
        """Completes the best model (e.g. sets its threshold), writes predictions, and returns its dev scores."""

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Returns test scores; {} without a test set."""


class _Record(TypedDict):
    """What is needed of the `run.json` of a run that may have finished."""

    finished_steps: NotRequired[int | None]
    best_step: NotRequired[int]
    scores: NotRequired[dict[str, dict[str, Any]]]


@dataclasses.dataclass(frozen=True)
class _Plan:
    """The size of a run, in steps.

    Attributes:
        total_steps: int. Updates of the whole run.
        warmup_steps: int. Updates in which the learning rate rises.
        evaluate_every: int. Updates between two evaluations on dev; 0 makes none.
    """

    total_steps: int
    warmup_steps: int
    evaluate_every: int

    @classmethod
    def of(cls, settings: OneRunSettings, steps_per_epoch: int) -> "_Plan":
        """Returns the plan that follows from the settings, which count in epochs."""
        total = max(1, round(settings.epochs * steps_per_epoch))
        warmup = min(int(settings.warmup_ratio * total), total - 1)
        evaluations = settings.evaluations_per_epoch
        return cls(total, warmup, max(1, round(steps_per_epoch / evaluations)) if evaluations else 0)


class FineTuningRun:
    """Trains one model; the same call continues where an interrupted run stopped.

    The best model by the task's dev score is kept, not the last one; without evaluations, the last one.

    Args:
        settings: `OneRunSettings` (or a program's own, which extend it).
        flags: dict. Every setting as a plain JSON value, for the record.
        task: `FineTuningTask`.
        process: `RunProcess`, entered.
        folder: the directory of this run; within the process's.

    Attributes:
        on_score: called with (number of the evaluation, from 1, and its score); an exception that it raises ends the
            run.
        record: `RunRecord`.
    """

    def __init__(self, settings: OneRunSettings, flags: dict, task: FineTuningTask, process: RunProcess, folder: Path):
        self.settings = settings
        self.flags = flags
        self.task = task
        self.process = process
        self.folder = folder
        self.distribution = process.distribution
        self.record = RunRecord(folder)
        self.on_score: Callable[[int, float], Any] = lambda number, score: None

    @property
    def model_path(self) -> Path:
        """Where the model is saved."""
        return self.folder / f"{self.task.model_name}.keras"

    # --- the record

    def finished(self) -> dict[str, Any] | None:
        """Returns the record of a run that finished in this folder, else `None`."""
        record = self._finished_record()
        return record if record is not None and self.model_path.is_file() else None

    def _finished_record(self) -> dict[str, Any] | None:
        """Returns the record of a run that finished in this folder, even if its model is gone, else `None`."""
        try:
            record = read_json(self.record.path, _Record)
        except (OSError, ValueError):  # missing, or invalid: `run` will reject it, or finish it again
            return None
        return record if record.get("finished_steps") is not None and "scores" in record else None

    def check_same(self) -> None:
        """Raises if the settings differ from those of the run in this folder, except for those that may change.

        Raises:
            InputError: the folder holds another run.
        """
        self._begin_record(self.task.facts(), self.settings.changeable())

    def _begin_record(self, facts: dict[str, Any], changeable: tuple[str, ...]) -> None:
        self.record.begin(self.flags, facts, changeable, self.settings.upgrade)

    # --- the run

    def run(self) -> str:
        """Trains and saves; returns `"finished"`, `"interrupted"` or `"preempted"` (`Trainer.run`).

        Raises:
            InputError: something that the user gave cannot be used; a `TrainingFailed` if training itself failed.
        """
        checkpoints = Checkpoints(self.folder / CHECKPOINTS, KEEP_CHECKPOINTS)
        checkpoints.clean()
        self._start_record(checkpoints)
        with self.distribution.scope():
            self.model = self.task.make_model()
            if self.settings.attention != "auto":
                self.model.encoder.set_attention(self.settings.attention)
            if self.settings.recompute != "none":
                self.model.encoder.set_recompute(self.settings.recompute)
                logging.info("Computed again for the gradient: %s.", self.settings.recompute)
        self.objective = self.task.objective(self.model)
        rows, settings = self.task.training_rows(self.model), self.settings
        self.batches = LengthBuckets(
            rows.lengths, rows.batch, settings.batch_size, run_seed(settings.seed), zeroed=self.objective.count_keys
        )
        self.plan = _Plan.of(settings, self.batches.steps_per_epoch)
        self._log_size()
        rate = WarmupLinearDecay(settings.learning_rate, self.plan.warmup_steps, self.plan.total_steps)
        self.step = self._make_step(rate)
        self.monitor = FineTuningMonitor(
            self.folder, self.plan.total_steps, rate, self.batches.steps_per_epoch, self.distribution
        )
        checkpoints.on_written = self.monitor.on_checkpoint
        trainer = self._make_trainer(checkpoints)
        start = trainer.restore()
        self.monitor.resume_at(start)
        self._best = checkpoints.best()
        if start:
            logging.info("Continuing after step %d of %d.", start, self.plan.total_steps)
        with self.monitor:
            trainer.evaluate_missed(start)
            try:
                outcome = FINISHED if trainer.ended_early else trainer.run(start)
            except InputError as error:
                raise TrainingFailed(str(error)) from error
            if outcome != FINISHED:
                return outcome
            best_step = self._restore_best(trainer, checkpoints)
        self._finish(trainer.done, best_step)
        return outcome

    def _start_record(self, checkpoints: Checkpoints) -> None:
        """Writes the record, or checks that the one in the folder is of the same run."""
        facts = self.task.facts()
        # Without a checkpoint there is nothing to lose: a first attempt may be corrected in its own folder.
        has_begun = checkpoints.steps() or self._finished_record() is not None
        self._begin_record(facts, self.settings.changeable() if has_begun else (*self.flags, *facts))
        self.record.update(facts=facts, scores={}, finished_steps=None)

    def _log_size(self) -> None:
        batches = self.batches
        logging.info(
            "%d training rows of %s tokens (%.0f %% padding), %d steps of %d rows per epoch, %d in all.",
            len(batches.lengths),
            "/".join(map(str, batches.row_lengths)),
            100 * batches.padding_share,
            batches.steps_per_epoch,
            batches.batch_rows,
            self.plan.total_steps,
        )

    @property
    def _scale_loss(self) -> bool:
        """Whether the model's precision needs loss scaling."""
        return self.model.dtype_policy.compute_dtype == "float16"

    def _make_step(self, rate: WarmupLinearDecay) -> Step:
        settings = self.settings
        with self.distribution.scope():
            variables = self.model.trainable_variables
            groups = groups_beside(self.model, self.task.task_learning_rate, self.plan.total_steps)
            optimizer = make_adamw(variables, rate, weight_decay=settings.weight_decay, groups=groups)
            step_settings = StepSettings(
                objective=self.objective,
                clip_norm=settings.clip_norm,
                clip_groups=indices_of(groups, variables),
                accumulation_steps=settings.accumulation_steps,
                compile=has_accelerator() if settings.compile == "auto" else settings.compile == "on",
                scale_loss=self._scale_loss,
                static_shapes=self.model.static_shapes,
            )
            return make_step(self.model, optimizer, step_settings, self.distribution)

    def _make_trainer(self, checkpoints: Checkpoints) -> Trainer:
        plan, settings = self.plan, self.settings
        cadence = Cadence(
            total_steps=plan.total_steps,
            log_every=settings.log_every,
            evaluate_every=plan.evaluate_every,
            checkpoint_every=plan.total_steps,
            checkpoint_minutes=settings.checkpoint_minutes,
            advice=settings.divergence_advice,
        )
        events = TrainerEvents(on_log=self.monitor.on_log, on_step=self.monitor.on_step, on_evaluate=self._judge)
        return Trainer(
            self.step,
            self.batches,
            cadence,
            checkpoints,
            run_seed(settings.seed),
            self.process.signals,
            LossGuard(loss_scaling=self._scale_loss),
            events=events,
        )

    # --- evaluation

    @property
    def _evaluation_rows(self) -> int:
        """Rows of an evaluation batch: a multiple of the replicas."""
        return -(-EVALUATION_ROWS // self.distribution.replicas) * self.distribution.replicas

    def _predict(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.step.to_numpy(self.step.evaluate(batch))

    def _score(self, done: int) -> float:
        """Evaluates on dev, shows the scores, and returns the one that models are chosen by: higher is better."""
        scores = self.task.evaluate(self.model, self._predict, self._evaluation_rows)
        self.monitor.on_scores(done, scores)
        score = scores[self.task.select_by]
        score = -score if self.task.select_by == "loss" else score
        self.on_score(math.ceil(done / self.plan.evaluate_every), score)
        return score

    def _judge(self, done: int) -> Evaluation:
        """Evaluates on dev; asks to end training when the patience is used up."""
        loss = -self._score(done)
        if self._best is None or loss < self._best[1]:
            self._best = (done, loss)
        patience, without_progress = self.settings.patience, (done - self._best[0]) // self.plan.evaluate_every
        end = bool(patience) and without_progress >= patience
        if end:
            logging.info("Ended after step %d: no better dev score in %d evaluations.", done, without_progress)
        return Evaluation(loss, end)

    def _restore_best(self, trainer: Trainer, checkpoints: Checkpoints) -> int:
        """Leaves the weights of the best evaluation in the model, and returns their step.

        They are those of the last step, which are there already, or those of a checkpoint.
        """
        best_step, best = trainer.done, checkpoints.best()
        if not self.plan.evaluate_every:
            return best_step
        # At the planned end the last model has no score yet. A run that ended early has just scored it, and lost.
        if best is not None and (trainer.ended_early or best[1] < -self._score(trainer.done)):
            try:
                checkpoints.restore(self.model, self.step.optimizer, best[0])
                best_step = best[0]
            except InputError as error:  # damaged since it was written: the last model is better than none
                logging.error("%s The last model is kept instead.", error)
        logging.info("The best model on dev is that of step %d.", best_step)
        return best_step

    # --- the end

    def _finish(self, steps: int, best_step: int) -> None:
        """Saves the model, completes the record, and removes the checkpoints, which are three times as large."""
        try:
            scores = {"dev": self.task.finish(self.model, self.folder, self._predict, self._evaluation_rows)}
        except (InputError, OSError):
            if self.distribution.is_chief:  # a file that cannot be written must not cost the trained model
                saving.save_model(self.model, self.model_path)
            raise
        if self.distribution.is_chief:
            saving.save_model(self.model, self.model_path)
            self.record.update(scores=scores, finished_steps=steps, best_step=best_step, select_by=self.task.select_by)
            logging.info("Saved %s.", self.model_path)
            self.remove_checkpoints()

    def remove_checkpoints(self) -> None:
        """Removes the checkpoints of a run that will not continue."""
        shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)
