"""One fine-tuning run, from a task's examples to the best model on disk."""

import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
from absl import logging

from spanbert_keras.data.seeds import run_seed
from spanbert_keras.errors import InputError
from spanbert_keras.files.writing import read_json
from spanbert_keras.fine_tuning.length_buckets import LengthBuckets
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.fine_tuning.objective import ExampleObjective
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.training.backend import has_accelerator, make_step
from spanbert_keras.training.cadence import Cadence
from spanbert_keras.training.loss_guard import LossGuard
from spanbert_keras.training.run import saving
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.run.run_process import RunProcess
from spanbert_keras.training.run.run_record import RunRecord
from spanbert_keras.training.steps.objective import StepSettings
from spanbert_keras.training.steps.optimizers import VariableGroup, make_adamw
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay
from spanbert_keras.training.trainer import FINISHED, Trainer

EVALUATION_ROWS = 32  # of a batch, at least
CHECKPOINTS = "checkpoints"
KEPT = 1  # newest checkpoints, besides the best


class TrainingFailed(InputError):
    """Training must not go on with these settings, e.g. because the loss is not finite; others may do."""


class TrainingRows(Protocol):
    """Rows of different lengths; the order of training is not theirs to choose."""

    @property
    def lengths(self) -> Sequence[int]:
        """Pieces of each row."""

    def batch(self, rows: np.ndarray, length: int, epoch: int) -> dict[str, np.ndarray]:
        """Returns the inputs and targets of some rows `(B,)`, padded to `length`, as this epoch has them."""


class FineTuningTask(Protocol):
    """What a task program brings.

    Attributes:
        model_name: str. The model is saved as `<output_dir>/<model_name>.keras`.
        select_by: str. The dev score, higher is better, that the best model is chosen by.
    """

    model_name: str
    select_by: str

    def facts(self) -> dict[str, Any]:
        """Returns JSON values that must not change when a run continues, e.g. checksums of the files."""

    def make_model(self):
        """Returns the task model over the encoder; it has `example_losses` and `target_keys`."""

    def training_rows(self, model) -> "TrainingRows":
        """Returns the training rows."""

    def variable_groups(self, model, total_steps: int) -> Sequence[VariableGroup]:
        """Returns the weights with a learning rate of their own; they are clipped by themselves. () for none."""

    def evaluate(self, model, predict: Callable[[dict], dict], rows: int) -> dict[str, float]:
        """Returns dev scores; `predict` takes a batch of exactly `rows` rows of the model's inputs."""

    def finish(self, model, folder: Path, predict: Callable[[dict], dict], rows: int) -> dict[str, Any]:
        """Settles what the best model still needs (a threshold), writes predictions, and returns its dev scores."""

    def test(self, model, folder: Path) -> dict[str, Any]:
        """Returns test scores, {} without a test set."""


class FineTuningRun:
    """Trains one model; the same call continues where an interrupted one stopped.

    The best model by the task's dev score is kept, not the last one.

    Args:
        settings: `FineTuningSettings` (or a program's own, which extend it).
        flags: every setting as plain JSON values, for the record.
        task: `FineTuningTask`.
        process: `RunProcess`, entered.
        folder: where this run lives; within the process's.

    Attributes:
        on_score: called with (number of the evaluation, from 1, and its score); what it raises ends the run.
    """

    def __init__(
        self, settings: FineTuningSettings, flags: dict, task: FineTuningTask, process: RunProcess, folder: Path
    ):
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

    def finished(self) -> dict[str, Any] | None:
        """Returns the record of a run that was finished here, else `None`."""
        record = self._finished_record()
        return record if record is not None and self.model_path.is_file() else None

    def _finished_record(self) -> dict[str, Any] | None:
        """Returns the record of a run that was finished here, though its model may be gone, else `None`."""
        try:
            record = read_json(self.record.path)
        except (OSError, ValueError):  # there is none, or one that `run` will refuse
            return None
        return record if isinstance(record, dict) and record.get("finished_steps") is not None else None

    def check_same(self) -> None:
        """Refuses settings that are not those of the run found here, but for those that may change."""
        self._begin_record(self.task.facts(), self.settings.changeable())

    def _begin_record(self, facts: dict[str, Any], changeable: tuple[str, ...]) -> None:
        self.record.begin(self.flags, facts, changeable, self.settings.former_names())

    def run(self) -> str:
        """Trains and saves; returns `"finished"`, `"interrupted"` or `"preempted"` (`Trainer.run`).

        Raises:
            InputError: something that the user gave cannot be used; a `TrainingFailed` where it is the training.
        """
        settings = self.settings
        keras.backend.clear_session()
        keras.utils.set_random_seed(settings.seed)
        half = "mixed_float16" if has_accelerator() else "float32"
        keras.mixed_precision.set_dtype_policy(half if settings.precision == "auto" else settings.precision)
        checkpoints = Checkpoints(self.folder / CHECKPOINTS, KEPT)
        checkpoints.clean()
        facts = self.task.facts()
        # Without a checkpoint nothing was learnt yet, and a first attempt may be mended in its own folder.
        begun = checkpoints.steps() or self._finished_record() is not None
        changeable = self.settings.changeable() if begun else (*self.flags, *facts)
        self._begin_record(facts, changeable)
        self.record.update(facts=facts, scores={}, finished_steps=None)
        with self.distribution.scope():
            self.model = self.task.make_model()
        rows = self.task.training_rows(self.model)
        self.batches = LengthBuckets(rows.lengths, rows.batch, settings.batch_size, run_seed(settings.seed))
        self._say_what()
        trainer = self._trainer(checkpoints)
        trainer.done = start = trainer.restore()
        self._best = checkpoints.best()
        if start:
            logging.info("Continuing after step %d of %d.", start, self.total_steps)
        self.monitor = FineTuningMonitor(
            self.folder, self.total_steps, start, self.rate, self.batches.steps_per_epoch, self.distribution
        )
        with self.monitor:
            trainer.on_log, trainer.on_step = self.monitor.on_log, self.monitor.on_step
            checkpoints.on_written = self.monitor.on_checkpoint
            trainer.on_evaluate = lambda step: self._judge(trainer, step)
            self._catch_up(trainer, checkpoints, start)
            try:
                outcome = FINISHED if trainer.enough else trainer.run(start)
            except InputError as error:
                raise TrainingFailed(str(error)) from error
            if outcome == FINISHED:
                self._take_best(trainer, checkpoints)
        if outcome == FINISHED:
            self._finish(trainer)
        return outcome

    def _say_what(self) -> None:
        """Logs the size of the run."""
        batches, settings = self.batches, self.settings
        self.total_steps = max(1, round(settings.epochs * batches.steps_per_epoch))
        self.evaluate_every = max(1, round(batches.steps_per_epoch / settings.evaluations_per_epoch))
        logging.info(
            "%d training rows of %s pieces (%.0f %% padding), %d steps of %d rows an epoch, %d in all.",
            len(batches.lengths), "/".join(map(str, batches.row_lengths)), 100 * batches.padding_share,
            batches.steps_per_epoch, batches.batch_rows, self.total_steps,
        )  # fmt: skip

    def _trainer(self, checkpoints: Checkpoints) -> Trainer:
        settings = self.settings
        warmup = min(int(settings.warmup_ratio * self.total_steps), self.total_steps - 1)
        self.rate = WarmupLinearDecay(settings.learning_rate, warmup, self.total_steps)
        scale_loss = keras.mixed_precision.dtype_policy().name == "mixed_float16"
        with self.distribution.scope():
            variables = self.model.trainable_variables
            groups = self.task.variable_groups(self.model, self.total_steps)
            optimizer = make_adamw(variables, self.rate, weight_decay=settings.weight_decay, groups=groups)
            self.step = make_step(
                self.model,
                optimizer,
                StepSettings(
                    objective=ExampleObjective(self.model),
                    clip_norm=settings.clip_norm,
                    clip_groups=_places(variables, groups),
                    accumulation_steps=settings.accumulation_steps,
                    compile=has_accelerator() if settings.compile == "auto" else settings.compile == "on",
                    scale_loss=scale_loss,
                    static_shapes=self.model.static_shapes,
                ),
                self.distribution,
            )
        cadence = Cadence(
            total_steps=self.total_steps,
            log_every=settings.log_every,
            evaluate_every=self.evaluate_every,
            checkpoint_every=self.total_steps,
            checkpoint_minutes=settings.checkpoint_minutes,
            advice="lower --learning_rate, raise --warmup_ratio or use --precision=float32",
        )
        return Trainer(
            self.step, self.batches, cadence, checkpoints, run_seed(settings.seed), self.process.signals,
            LossGuard(loss_scaling=scale_loss),
        )  # fmt: skip

    @property
    def _rows(self) -> int:
        """Rows of an evaluation's batch: the replicas share them evenly."""
        return -(-EVALUATION_ROWS // self.distribution.replicas) * self.distribution.replicas

    def _predict(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.step.to_numpy(self.step.evaluate(batch))

    def _evaluate(self, done: int) -> float:
        """Scores dev, shows the scores, and returns the one that counts."""
        scores = self.task.evaluate(self.model, self._predict, self._rows)
        self.monitor.on_scores(done, scores)
        self.on_score(math.ceil(done / self.evaluate_every), scores[self.task.select_by])
        return scores[self.task.select_by]

    def _judge(self, trainer: Trainer, done: int) -> float:
        """Returns dev's score as a loss, and ends training where nothing has become better for long."""
        loss = -self._evaluate(done)
        if self._best is None or loss < self._best[1]:
            self._best = (done, loss)
        patience, vain = self.settings.patience, (done - self._best[0]) // self.evaluate_every
        if patience and vain >= patience:
            logging.info("Ended after step %d: no better dev score in %d evaluations.", done, vain)
            trainer.enough = True
        return loss

    def _catch_up(self, trainer: Trainer, checkpoints: Checkpoints, start: int) -> None:
        """Makes the evaluation of step `start` if the signal that ended the run there prevented it."""
        due = 0 < start < self.total_steps and start % self.evaluate_every == 0
        if not due or start in checkpoints.scores():
            return
        score = self._judge(trainer, start)
        trainer.best = score if trainer.best is None else min(score, trainer.best)
        state = dict(checkpoints.restore(self.model, self.step.optimizer, start) or {}, best=trainer.best)
        state.pop("step")
        checkpoints.save(start, self.model, self.step.optimizer, state, score, wait=True)

    def _take_best(self, trainer: Trainer, checkpoints: Checkpoints) -> None:
        """Leaves the weights of the best evaluation in the model: the last step's, or an earlier checkpoint's."""
        self.best_step = trainer.done
        best = checkpoints.best()
        if best is not None and (trainer.enough or best[1] < -self._evaluate(self.total_steps)):
            try:
                checkpoints.restore(self.model, self.step.optimizer, best[0])
                self.best_step = best[0]
            except InputError as error:  # damaged since: the last model is worth more than none
                logging.error("%s The last model is kept instead.", error)
        logging.info("The best model on dev is that of step %d.", self.best_step)

    def _finish(self, trainer: Trainer) -> None:
        """Saves the model and completes the record; the checkpoints, three times as large, are then removed."""
        try:
            scores = {"dev": self.task.finish(self.model, self.folder, self._predict, self._rows)}
        except (InputError, OSError):
            if self.distribution.is_chief:  # what was learnt is not lost with a file that cannot be written
                saving.save_model(self.model, self.model_path)
            raise
        if self.distribution.is_chief:
            saving.save_model(self.model, self.model_path)
            self.record.update(
                scores=scores, finished_steps=trainer.done, best_step=self.best_step, select_by=self.task.select_by
            )
            logging.info("Saved %s.", self.model_path)
            self.remove_checkpoints()

    def remove_checkpoints(self) -> None:
        """Removes the checkpoints of a run that will not go on."""
        shutil.rmtree(self.folder / CHECKPOINTS, ignore_errors=True)


def _places(variables, groups: Sequence[VariableGroup]) -> tuple[tuple[int, ...], ...]:
    """Returns the places among the weights of each group's, and of those in none; () without groups."""
    if not groups:
        return ()
    place_of = {id(variable): place for place, variable in enumerate(variables)}
    grouped = [tuple(place_of[id(variable)] for variable in group.variables) for group in groups]
    rest = tuple(sorted(set(place_of.values()).difference(*grouped)))
    return tuple(group for group in (rest, *grouped) if group)
