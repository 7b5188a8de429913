"""The trials of a sweep in `sweep.json`; `FineTuningSettings.sweep_grid` gives the combinations to try."""

import dataclasses
import math
import statistics
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json

FILE_NAME = "sweep.json"
OPTUNA_FILE = "sweep.db"  # written by earlier versions
STARTUP_TRIALS = 3  # complete trials before any is pruned
RUNNING, COMPLETE, PRUNED = "running", "complete", "pruned"


@dataclasses.dataclass
class Trial:
    """One combination of settings.

    Attributes:
        parameters: dict from the name of a setting to its value.
        state: str. `"running"` (also if it was interrupted), `"complete"`, or `"pruned"`: ended early, or its training
            failed.
        dev: float or `None`. The dev score: of the best model, or of the last evaluation of a pruned trial.
        evaluations: dict from the number of an evaluation, from 1, to its dev score, `None` if that was not finite.
    """

    parameters: dict[str, Any]
    state: str = RUNNING
    dev: float | None = None
    evaluations: dict[int, float | None] = dataclasses.field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the trial as `sweep.json` holds it."""
        return self.parameters | {"dev": self.dev, "state": self.state, "evaluations": self.evaluations}


class _Entry(TypedDict):
    """A trial in `sweep.json`, besides its parameters."""

    state: Literal["running", "complete", "pruned"]
    dev: float | None
    evaluations: NotRequired[dict[str, float | None]]


class _Record(TypedDict):
    """The content of `sweep.json`; the last three once the sweep is finished."""

    trials: list[_Entry]
    chosen: NotRequired[dict[str, Any]]
    folder: NotRequired[str]
    scores: NotRequired[dict[str, Any]]


class Sweep:
    """The trials of a sweep: scores, median rule and choice. Every change is written at once, so a sweep can resume.

    A trial is pruned if its best score so far is below the median of the complete trials' scores at the same
    evaluation. That is the median rule of Golovin et al., 2017, section 3.2.2, with scores in place of their running
    averages. A trial whose scores are all not finite is pruned too.

    Args:
        folder: `Path` of the sweep, in which `sweep.json` is read or made.
        warmup_evaluations: int. A trial is never pruned before this evaluation, counted from 1.

    Attributes:
        trials: list of `Trial`, in the order in which they were begun.

    Raises:
        InputError: the folder holds a file that is not a sweep's, or an unfinished sweep of an earlier version.
    """

    def __init__(self, folder: Path, warmup_evaluations: int):
        self.path = folder / FILE_NAME
        self.warmup_evaluations = warmup_evaluations
        self._result: dict[str, Any] = {}  # the chosen trial, once the sweep is finished
        self.trials: list[Trial] = []
        if self.path.exists():
            self._read()
        elif (folder / OPTUNA_FILE).exists():
            raise InputError(
                f"{folder / OPTUNA_FILE} is an unfinished sweep of an earlier version, which cannot be continued. Give "
                "another --output_dir, or remove that file to start over (finished runs in the folder are kept)."
            )

    def _read(self) -> None:
        """Reads `sweep.json`. Earlier versions wrote it, without evaluations, when the sweep was finished."""
        try:
            found: Any = read_json(self.path, _Record)
            for entry in found.pop("trials"):
                state, dev, evaluations = entry.pop("state"), entry.pop("dev"), entry.pop("evaluations", {})
                if state == COMPLETE and dev is None:
                    raise ValueError("a complete trial has no score")
                self.trials.append(Trial(entry, state, dev, {int(number): x for number, x in evaluations.items()}))
            self._result = found
        except (OSError, ValueError) as error:
            raise InputError(
                f"The file {self.path} is not the record of a sweep: {error}. Give another --output_dir, or remove it."
            ) from error

    def write(self) -> None:
        """Writes `sweep.json`.

        Raises:
            InputError: it cannot be written, e.g. the disk is full; the file of before is unchanged.
        """
        try:
            write_json(self.path, {"trials": [trial.to_json() for trial in self.trials]} | self._result, checksum=True)
        except OSError as error:
            raise InputError(
                f"The file {self.path} cannot be written: {error}. Free some space, and run the same command again."
            ) from error

    @property
    def begun(self) -> bool:
        """Whether a trial has ended. Later trials must then have the same settings, so that they can be compared."""
        return any(trial.state != RUNNING for trial in self.trials)

    def trial(self, parameters: dict[str, Any]) -> Trial:
        """Returns the trial of a combination, and begins it if it does not exist."""
        for trial in self.trials:
            if trial.parameters == parameters:
                return trial
        self.trials.append(Trial(parameters))
        self.write()
        return self.trials[-1]

    def report(self, trial: Trial, number: int, score: float) -> bool:
        """Records the score of an evaluation, and returns whether the trial should be pruned.

        An evaluation that is repeated, because a run resumed from an earlier checkpoint, keeps its first score.
        """
        if number not in trial.evaluations:
            trial.evaluations[number] = float(score) if math.isfinite(score) else None
            self.write()
        complete = [other for other in self.trials if other.state == COMPLETE]
        if len(complete) < STARTUP_TRIALS or number < self.warmup_evaluations:
            return False
        scores = [x for x in trial.evaluations.values() if x is not None]
        others = [x for other in complete if (x := other.evaluations.get(number)) is not None]
        return not scores or (bool(others) and max(scores) < statistics.median(others))

    def end(self, trial: Trial, state: str, dev: float | None = None) -> None:
        """Records how a trial ended; a pruned one has the score of its last evaluation."""
        trial.state, trial.dev = state, dev
        if state == PRUNED and trial.evaluations:
            trial.dev = trial.evaluations[max(trial.evaluations)]
        self.write()

    def best(self) -> Trial | None:
        """Returns the first complete trial with the highest dev score; `None` if no trial is complete."""
        complete = [trial for trial in self.trials if trial.state == COMPLETE]
        return max(complete, key=lambda trial: trial.dev, default=None)  # type: ignore[arg-type, return-value]

    def finish(self, chosen: Trial, folder: str, scores: dict[str, Any]) -> None:
        """Records the chosen trial, the name of its folder, and its scores."""
        self._result = {"chosen": chosen.parameters, "folder": folder, "scores": scores}
        self.write()
