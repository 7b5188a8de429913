"""Settings and steps of the evaluations of models whose predictions have probabilities."""

import dataclasses
import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np

from spanbert_keras.files.keras_files import save_model
from spanbert_keras.files.writing import input_error_if_unwritable, write_atomically
from spanbert_keras.program import InputError, setting
from tasks.shared.calibration import calibration_scores, draw_reliability, fitted_temperature
from tasks.shared.evaluation_settings import EvaluationSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibratedEvaluation(EvaluationSettings):
    """Settings of an evaluation that scores probabilities, too, and may calibrate them."""

    needs_gold = ("calibrated_model",)

    calibrated_model: str | None = setting(
        "File to write (.keras): the model with the temperature fitted on --data.", default=None, path=True
    )

    def check(self) -> None:
        super().check()
        path = self.calibrated_model
        if path is None:
            return
        if Path(path).suffix != ".keras" or Path(path).is_dir():
            raise InputError(f"--calibrated_model must be the name of a .keras file. Received: {path}.")
        if not Path(path).resolve().parent.is_dir():
            raise InputError(f"--calibrated_model={path}: its folder does not exist. Create it first.")
        if self.precision != "float32":
            raise InputError(f"--calibrated_model needs --precision=float32. Received: {self.precision}.")

    def calibrate(
        self,
        model,
        folder: Path,
        predicted: Callable[[float], tuple[np.ndarray, np.ndarray]],
        loss: Callable[[float], float],
        set_temperature: Callable[[float], None] | None = None,
    ) -> dict[str, float]:
        """Returns the calibration of a model's probabilities, and draws it; writes the calibrated model if asked for.

        The model itself has its former temperature afterwards.

        Args:
            model: a model with a `temperature`.
            folder: path. `reliability.png` is drawn there if matplotlib is installed (extra `classification`).
            predicted: function from a temperature to the probability of each prediction, float `(N,)`, and whether it
                is right, bool `(N,)`.
            loss: see `fitted_temperature`.
            set_temperature: function that gives the model a temperature. `None`: it has no other settings that change
                with it.

        Raises:
            InputError: the calibrated model cannot be written.
        """
        before = model.temperature
        scores = calibration_scores(*predicted(before))
        if importlib.util.find_spec("matplotlib") is not None:
            draw_reliability(folder / "reliability.png", *predicted(before))
        if self.calibrated_model is not None:
            fitted = fitted_temperature(loss)
            assign = set_temperature or functools.partial(setattr, model, "temperature")
            try:
                assign(fitted)
                with input_error_if_unwritable(self.calibrated_model):
                    write_atomically(self.calibrated_model, functools.partial(save_model, model))
            finally:
                assign(before)
            after = calibration_scores(*predicted(fitted))
            errors = [found["expected_calibration_error"] for found in (scores, after)]
            print(
                f"Temperature {fitted:.3g}: expected calibration error {errors[0]:.2f} -> {errors[1]:.2f}, "
                f"both on these very examples. Wrote {self.calibrated_model}."
            )
        return scores | {"temperature": before}


def print_calibration(scores: dict[str, float]) -> None:
    """Prints how well probabilities agree with how often predictions are right."""
    print("\nprobabilities of predictions")
    for name, value in scores.items():
        print(f"  {name:26} {value:.2f}")
