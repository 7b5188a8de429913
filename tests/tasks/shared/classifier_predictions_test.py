"""Predictions of classifiers: progress, and a warning about models that distinguish nothing."""

import numpy as np
import pytest

from tasks.shared.classifier_predictions import calibrate, logits_of, warn_if_alike


class Model:
    """Gives row i the logits (i, -i)."""

    def logits_of(self, rows, batch_size, advance):
        parts = [np.array(rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)]
        for part in parts:
            advance(len(part))
        return np.concatenate([np.stack([part, -part], axis=1) for part in parts])


def test_logits_come_with_progress_in_the_log(caplog):
    caplog.set_level("INFO")
    found = logits_of(Model(), list(range(7)), 3)
    assert found[:, 0].tolist() == list(range(7)) and found[:, 1].tolist() == [-i for i in range(7)]
    assert [one.getMessage().split(",")[0] for one in caplog.records] == [f"{n} of 7 rows" for n in (3, 6, 7)]


@pytest.mark.parametrize(
    "found, is_logged",
    [(["a"] * 3, True), (["a"], False), ([], False), (["a", "b"], False), ([1.0, 1.0], True), ([("a",), ("a",)], True)],
)
def test_identical_predictions_are_reported(found, is_logged, caplog):
    warn_if_alike(found, "texts")
    assert ("get the same prediction" in caplog.text) == is_logged


class Calibration:
    """Takes the place of a program's settings."""

    def calibrate(self, model, folder, predicted, loss, set_temperature):
        set_temperature(2.0)
        return {"predicted": predicted(2.0), "loss": loss(2.0)}


class Classifier:
    """Has three labels, and a temperature."""

    labels = ("a", "b", "c")
    temperature = 1.0
    threshold = 0.3

    def __init__(self, problem_type):
        self.problem_type = problem_type

    def probabilities(self, logits, temperature=None):
        temperature = self.temperature if temperature is None else temperature
        weights = np.exp(logits / temperature)
        return (
            weights / (1 + weights) if self.problem_type == "multi_label" else weights / weights.sum(1, keepdims=True)
        )


LOGITS = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0], [1.0, 0.5, 0.0]])


def test_the_best_label_is_calibrated_and_unknown_gold_labels_are_wrong():
    model = Classifier("single_label")
    found = calibrate(Calibration(), model, None, LOGITS, ["a", "b", "unknown"])
    shares = model.probabilities(LOGITS, 2.0)
    confidence, correct = found["predicted"]
    assert correct.tolist() == [True, False, False]
    np.testing.assert_allclose(confidence, shares.max(1))
    assert found["loss"] == pytest.approx(-np.log([shares[0, 0], shares[1, 1]]).mean())


def test_each_decision_about_a_label_is_calibrated_if_a_text_may_have_several():
    model = Classifier("multi_label")
    found = calibrate(Calibration(), model, None, LOGITS, [("a", "c"), (), ("b",)])
    assert model.temperature == 2.0
    given = model.probabilities(LOGITS, 1.0) >= 0.3
    assert given.any() and not given.all()
    assert (given == (model.probabilities(LOGITS) >= model.threshold)).all() and model.threshold != 0.3
    shares, targets = model.probabilities(LOGITS, 2.0), np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], bool)
    confidence, correct = found["predicted"]
    np.testing.assert_allclose(confidence, np.where(given, shares, 1 - shares).ravel())
    assert correct.tolist() == (given == targets).ravel().tolist()
    assert found["loss"] == pytest.approx(-np.log(np.where(targets, shares, 1 - shares)).mean())
