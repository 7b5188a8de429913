"""Calibration: against sums written out, and probabilities whose truth is known."""

import numpy as np
import pytest
import sklearn.metrics

from tasks.shared import calibration


def test_the_error_is_the_mean_gap_over_bins():
    confidence = np.array([0.61, 0.65, 0.95, 0.97, 1.0, 0.2])
    correct = np.array([True, False, True, True, False, False])
    scores = calibration.calibration_scores(confidence, correct)
    # Fifteen bins: 0.6 to 0.667, 0.933 to 1, 0.2 to 0.267.
    expected = (2 * abs(0.63 - 0.5) + 3 * abs(2.92 / 3 - 2 / 3) + 1 * 0.2) / 6
    assert scores["expected_calibration_error"] == pytest.approx(100 * expected)
    assert scores["brier_score"] == pytest.approx(100 * sklearn.metrics.brier_score_loss(correct, confidence))
    assert scores["mean_confidence"] == pytest.approx(100 * confidence.mean())
    assert scores["share_correct"] == pytest.approx(50.0)
    assert sum(count for *_, count in calibration.reliability(confidence, correct)) == 6


def test_probabilities_that_are_true_have_a_small_error_and_sharpened_ones_a_large_one():
    random = np.random.default_rng(1)
    confidence = random.uniform(0.5, 1.0, 20_000)
    correct = random.random(20_000) < confidence
    assert calibration.calibration_scores(confidence, correct)["expected_calibration_error"] < 1.5
    sharp = confidence**3 / (confidence**3 + (1 - confidence) ** 3)
    assert calibration.calibration_scores(sharp, correct)["expected_calibration_error"] > 8


@pytest.mark.parametrize(
    "correct, precision, expected",
    [
        ([1, 1, 1, 1], 0.95, 1.0),
        ([0, 0, 0, 0], 0.95, 0.0),
        ([1, 1, 0, 0], 0.95, 0.5),
        ([0, 1, 1, 1], 0.75, 1.0),  # the surest is wrong, but all together are good enough
        ([0, 1, 1, 1], 0.8, 0.0),
    ],
)
def test_coverage_takes_the_surest_first(correct, precision, expected):
    assert calibration.coverage_at(np.array([0.9, 0.8, 0.7, 0.6]), np.array(correct), precision) == expected


def test_equally_sure_predictions_are_taken_together():
    confidence = np.array([0.9, 0.5, 0.5])
    for order in ([1, 1, 0], [1, 0, 1]):
        assert calibration.coverage_at(confidence, np.array(order), 0.95) == pytest.approx(1 / 3)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_with_which_labels_were_drawn_is_found(temperature):
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (20_000, 4))
    scaled = np.exp(logits / temperature)
    cumulated = (scaled / scaled.sum(1, keepdims=True)).cumsum(1)
    targets = (random.random((20_000, 1)) > cumulated).sum(1)
    loss = calibration.label_loss(logits, targets)
    assert calibration.fitted_temperature(loss) == pytest.approx(temperature, rel=0.05)
    assert loss(temperature) == pytest.approx(-np.log(np.diff(cumulated, prepend=0)[range(20_000), targets]).mean())
    several = random.random((20_000, 4)) < 1 / (1 + np.exp(-logits / temperature))
    assert calibration.fitted_temperature(calibration.label_loss(logits, several)) == pytest.approx(
        temperature, rel=0.05
    )


def test_the_temperature_of_predictions_that_are_right_or_wrong():
    random = np.random.default_rng(3)
    logits = random.normal(0, 3, 20_000)
    correct = random.random(20_000) < 1 / (1 + np.exp(-logits / 2))
    loss = calibration.prediction_loss(lambda t: 1 / (1 + np.exp(-logits / t)), correct)
    assert calibration.fitted_temperature(loss) == pytest.approx(2.0, rel=0.05)
    assert np.isfinite(calibration.prediction_loss(lambda t: np.array([0.0, 1.0]), np.array([True, False]))(1.0))


@pytest.mark.parametrize("right, size, limit", [(True, 0.1, 0.05), (True, 9.0, None), (False, 2.0, 20.0)])
def test_a_temperature_that_fits_nothing_is_reported(caplog, right, size, limit):
    logits = size * np.array([[2.0, -1.0], [-1.0, 2.0]])
    targets = logits.argmax(1) if right else logits.argmin(1)
    found = calibration.fitted_temperature(calibration.label_loss(logits, targets))
    assert found == limit if limit else 0.05 < found < 1.0
    assert "fits nothing: all or hardly any predictions are right" in caplog.text


def test_of_equal_temperatures_the_one_nearest_to_1_is_taken(caplog):
    assert calibration.fitted_temperature(lambda t: 0.5) == 1.0 and not caplog.records


def test_the_picture_shows_both_lines(tmp_path):
    image = pytest.importorskip("matplotlib.image", reason="pictures are matplotlib's")
    calibration.draw_reliability(tmp_path / "a.png", np.array([0.2, 0.7, 0.95]), np.array([False, True, True]))
    pixels = image.imread(tmp_path / "a.png")[:, :, :3]
    blue = (abs(pixels - np.array([31, 111, 235]) / 255) < 0.02).all(axis=2)
    assert blue[: len(blue) // 2].sum() > 100 and blue[len(blue) // 2 :].sum() > 100
