"""Settings and steps of an evaluation that calibrates."""

import dataclasses
import sys

import numpy as np
import pytest

from spanbert_keras.program import InputError
from tasks.shared import calibrated_evaluation
from tasks.shared.calibrated_evaluation import CalibratedEvaluation, print_calibration


@dataclasses.dataclass
class Model:
    """A model whose only state is its temperature."""

    temperature: float = 1.0


LOGITS = np.array([4.0, 3.0, -1.0, 2.0])
CORRECT = np.array([True, False, True, True])


def predicted(temperature):
    return 1 / (1 + np.exp(-LOGITS / temperature)), CORRECT


def evaluation(**settings):
    return CalibratedEvaluation(model="a.keras", data="b", **settings)


def test_a_model_is_scored_and_left_as_it_is(tmp_path):
    model = Model(2.0)
    scores = evaluation().calibrate(model, tmp_path, predicted, lambda t: 1 / 0)
    assert scores["temperature"] == model.temperature == 2.0
    assert scores["mean_confidence"] == pytest.approx(100 * predicted(2.0)[0].mean())
    assert [path.name for path in tmp_path.iterdir()] == ["reliability.png"]


def test_the_fitted_temperature_is_saved(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        calibrated_evaluation, "save_model", lambda model, path: path.write_text(str(model.temperature))
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    model, path = Model(), tmp_path / "calibrated.keras"
    scores = evaluation(calibrated_model=str(path)).calibrate(model, tmp_path, predicted, lambda t: (t - 3) ** 2)
    assert model.temperature == 1.0 and float(path.read_text()) == pytest.approx(3, rel=0.01)
    assert scores["temperature"] == 1.0
    assert f"Temperature {path.read_text()}: expected calibration error" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["calibrated.keras"]


def test_a_model_that_cannot_be_written_keeps_its_temperature(tmp_path, monkeypatch):
    def fail(model, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(calibrated_evaluation, "save_model", fail)
    model = Model()
    with pytest.raises(InputError, match="No space left on device"):
        evaluation(calibrated_model=str(tmp_path / "a.keras")).calibrate(
            model, tmp_path, predicted, lambda t: (t - 3) ** 2
        )
    assert model.temperature == 1.0


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"calibrated_model": "a.h5"}, r"must be the name of a \.keras file"),
        ({"calibrated_model": "none/a.keras"}, "its folder does not exist"),
        ({"calibrated_model": "a.keras", "precision": "mixed_bfloat16"}, "needs --precision=float32"),
        ({"calibrated_model": "a.keras", "predict_only": True}, "--calibrated_model needs"),
    ],
)
def test_settings_that_do_not_fit_are_rejected_at_once(settings, message):
    with pytest.raises(InputError, match=message):
        evaluation(**settings)


def test_the_scores_are_printed(capsys):
    print_calibration({"brier_score": 12.345})
    assert capsys.readouterr().out == "\nprobabilities of predictions\n  brier_score                12.35\n"
