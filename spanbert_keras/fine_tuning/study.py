"""What a fine-tuning program does with its settings: one run, runs with several seeds, or a sweep."""

import dataclasses
import functools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from absl import logging

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import write_json
from spanbert_keras.files.writing import write_atomically
from spanbert_keras.fine_tuning.run import CHECKPOINTS, FineTuningRun, FineTuningTask, TrainingFailed
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.fine_tuning.sweep import COMPLETE, PRUNED, RUNNING, Sweep, Trial
from spanbert_keras.training.backend import has_accelerator
from spanbert_keras.training.run.run_process import RunProcess
from spanbert_keras.training.run.run_record import RunRecord
from spanbert_keras.training.trainer import FINISHED

SHORT = {"learning_rate": "rate", "batch_size": "batch"}  # in the names of folders


class FineTuningStudy:
    """One fine-tuning run, runs with several seeds (`--seeds`), or a sweep (`--sweep`).

    A single run is written to the output directory itself. Several runs are written to one folder each inside of it,
    and the best model on dev is copied to the output directory. Finished parts are not repeated when the same command
    is given again. The combinations of a sweep are `FineTuningSettings.sweep_grid`; its results are in `Sweep`.

    Args:
        settings: `FineTuningSettings`, or a program's own.
        make_task: function of settings that returns the `FineTuningTask`.
        to_flags: function of settings that returns every one of them as plain JSON values.
    """

    def __init__(
        self,
        settings: FineTuningSettings,
        make_task: Callable[[Any], FineTuningTask],
        to_flags: Callable[[Any], dict[str, Any]],
    ):
        self.settings = settings
        self.make_task = make_task
        self.to_flags = to_flags
        self.folder = Path(settings.output_dir)

    @functools.cached_property
    def task(self) -> FineTuningTask:
        """The task of the shared settings: the same names and facts of the data for all runs."""
        return self.make_task(self.settings)

    def run(self) -> int:
        """Trains, tests and writes the results; returns 0, or the exit code of what stopped it.

        A stopped study continues when the same command is given again.

        Raises:
            InputError: a setting, a file or an output directory cannot be used.
        """
        settings = self.settings
        with RunProcess(
            settings.output_dir, settings.distribution, settings.replicas, settings.preemption_exit_code
        ) as process:
            self.process = process
            if settings.sweep:
                outcome = self._run_sweep()
            elif settings.seeds > 1:
                outcome = self._run_seeds()
            else:
                outcome = self._run_one(settings, self.folder, test=True)[0]
            return 0 if outcome == FINISHED else process.signals.exit_code(outcome)

    # --- one run

    def _run_one(self, settings, folder: Path, test: bool, on_score=None) -> tuple[str, dict]:
        """Trains one run, unless it is finished; returns how it ended and the scores in its record."""
        task = self.make_task(settings)
        run = FineTuningRun(settings, self.to_flags(settings), task, self.process, folder)
        if on_score is not None:
            run.on_score = on_score
        record = run.finished()
        if record is not None:
            run.check_same()
            logging.info("%s is finished.", folder)
        else:
            prepare_keras(settings.seed, settings.precision)
            outcome = run.run()
            if outcome != FINISHED:
                return outcome, {}
            record = run.finished()
        scores = record["scores"]  # type: ignore[index]
        if test and "test" not in scores:
            scores = self._score_on_test(run, task, scores)
        for split, of_split in scores.items():
            shown = ", ".join(f"{key} {value:.2f}" for key, value in of_split.items() if isinstance(value, float))
            logging.info("%s, %s: %s", folder, split, shown)
        return FINISHED, scores

    def _score_on_test(self, run: FineTuningRun, task: FineTuningTask, scores: dict) -> dict:
        """Scores the saved model on test, once."""
        found = task.test(keras.saving.load_model(run.model_path), run.folder)
        if found:
            scores = scores | {"test": found}
            run.record.update(scores=scores)
        return scores

    # --- seeds

    def _run_seeds(self) -> str:
        """Trains one run per seed, and reports means and standard deviations."""
        every: dict[str, dict] = {}
        for seed in range(self.settings.seed, self.settings.seed + self.settings.seeds):
            settings = dataclasses.replace(self.settings, seed=seed, seeds=1)
            outcome, scores = self._run_one(settings, self.folder / f"seed_{seed}", test=True)
            if outcome != FINISHED:
                return outcome
            every[f"seed_{seed}"] = scores
        task = self.task
        best = max(every, key=lambda name: every[name]["dev"][task.select_by])
        summary = {split: mean_and_deviation([one[split] for one in every.values()]) for split in every[best]}
        write_json(self.folder / "seeds.json", {"summary": summary, "runs": every, "best": best}, checksum=True)
        for split, of_split in summary.items():
            for name, (mean, deviation) in of_split.items():
                logging.info("%s %s: %.2f +- %.2f (%d seeds)", split, name, mean, deviation, len(every))
        self._copy_model(self.folder / best, task)
        return FINISHED

    def _copy_model(self, folder: Path, task: FineTuningTask) -> None:
        """Copies a run's model to the output directory."""
        name = f"{task.model_name}.keras"

        def write(temporary: Path) -> None:
            shutil.copyfile(folder / name, temporary)

        write_atomically(self.folder / name, write)
        logging.info("Copied the model of %s, the best on dev, to %s.", folder.name, self.folder / name)

    # --- sweep

    def _run_sweep(self) -> str:
        """Tries the grid. The dev score chooses a run, and only that run is scored on test."""
        grid = self.settings.sweep_grid()
        for combination in grid:
            self._trial_settings(combination)  # raises for an invalid combination, before anything is trained
        self.folder.mkdir(parents=True, exist_ok=True)
        sweep = Sweep(self.folder, self.settings.evaluations_per_epoch)
        self._begin_record(sweep.begun, tuple(grid[0]))
        for combination in grid:
            outcome = self._run_trial(sweep, sweep.trial(combination))
            if outcome != FINISHED:
                return outcome
        best = sweep.best()
        if best is None:
            raise InputError(f"No combination of the sweep in {self.folder} could be trained; the log says why.")
        logging.info("The sweep chose %s: dev %.2f.", best.parameters, best.dev)
        folder = self._trial_folder(best.parameters)
        outcome, scores = self._run_one(self._trial_settings(best.parameters), folder, test=True)
        if outcome != FINISHED:
            return outcome
        sweep.finish(best, folder.name, scores)
        self._copy_model(folder, self.task)
        return FINISHED

    def _begin_record(self, begun: bool, tried: tuple[str, ...]) -> None:
        """Raises if settings differ from those of the ended trials, with which new ones could not be compared."""
        flags, task = self.to_flags(self.settings), self.task
        facts = task.facts()
        # Before the first trial has ended there is nothing to compare with: everything may still change.
        changeable = (*self.settings.changeable(), *tried) if begun else (*flags, *facts)
        record = RunRecord(self.folder)
        record.begin(flags, facts, changeable, self.settings.upgrade)
        record.update(facts=facts)

    def _trial_settings(self, combination: dict[str, Any]) -> FineTuningSettings:
        """Returns the settings of the run that tries a combination."""
        return dataclasses.replace(self.settings, **combination, sweep=False, seeds=1)

    def _trial_folder(self, combination: dict[str, Any]) -> Path:
        """Returns the folder of that run, e.g. `rate_2e-05_batch_32`."""
        return self.folder / "_".join(f"{SHORT.get(name, name)}_{value:g}" for name, value in combination.items())

    def _run_trial(self, sweep: Sweep, trial: Trial) -> str:
        """Trains one combination, unless the sweep has its result; an interrupted run continues in its folder."""
        if trial.state != RUNNING:
            return FINISHED
        folder, settings = self._trial_folder(trial.parameters), self._trial_settings(trial.parameters)

        def on_score(number: int, score: float) -> None:
            try:
                is_pruned = sweep.report(trial, number, score)
            except InputError as error:  # a full disk says nothing about the combination: it is tried again
                raise _NotRecorded(str(error)) from error
            if is_pruned:
                raise _Pruned(f"{trial.parameters} at {score:.2f}")

        logging.info("Sweep: %s.", trial.parameters)
        try:
            outcome, scores = self._run_one(settings, folder, test=False, on_score=on_score)
        except _NotRecorded as error:
            raise InputError(str(error)) from error
        except _Pruned as error:
            logging.info("Sweep: pruned %s.", error)
            shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # a pruned run never continues
            sweep.end(trial, PRUNED)
            return FINISHED
        except TrainingFailed as error:  # e.g. a loss that is not finite at the highest rate
            logging.error("Sweep: %s failed: %s", trial.parameters, error)
            sweep.end(trial, PRUNED)
            return FINISHED
        if outcome == FINISHED:
            dev = scores["dev"][self.task.select_by]
            sweep.end(trial, COMPLETE if math.isfinite(dev) else PRUNED, dev)
        return outcome


class _Pruned(Exception):
    """Raised to end a run whose scores are below the median."""


class _NotRecorded(Exception):
    """Raised to end a run whose score could not be written; not an `InputError`, which ends a run as failed."""


def prepare_keras(seed: int, precision: str) -> None:
    """Sets Keras' seed and precision, after what an earlier run of this process left there.

    Args:
        seed: int.
        precision: name of a dtype policy, or `"auto"`: mixed_float16 on a GPU, float32 on a CPU.
    """
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    if precision == "auto":
        precision = "mixed_float16" if has_accelerator() else "float32"
    keras.mixed_precision.set_dtype_policy(precision)


def mean_and_deviation(scores: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Returns the mean and the sample standard deviation of every number that is in all of the dicts."""
    found = {}
    for name in scores[0]:
        values: list[Any] = [one.get(name) for one in scores]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            mean = sum(values) / len(values)
            squares = sum((value - mean) ** 2 for value in values)
            found[name] = (mean, math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else 0.0)
    return found
