"""Targets of classifiers, by scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tasks.shared.label_targets import label_targets


def test_plain_targets_are_one_at_the_label():
    targets = label_targets([2, 0], 4)
    assert targets.dtype == np.float32 and targets.tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.75])
def test_smoothing_spreads_a_share_over_all_classes(smoothing):
    labels, classes = [0, 2, 1, 1], 3
    plain = [[float(place == label) for place in range(classes)] for label in labels]
    expected = [[(1 - smoothing) * value + smoothing / classes for value in row] for row in plain]
    targets = label_targets(labels, classes, smoothing)
    np.testing.assert_allclose(targets, expected, rtol=1e-6)
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_balanced_weights_are_scikit_learns(seed, smoothing):
    random = np.random.default_rng(seed)
    classes = 6
    labels = random.choice(classes - 1, 40, p=random.dirichlet(np.ones(classes - 1)))  # the last one never occurs
    there = np.unique(labels)
    weight = dict(zip(there.tolist(), compute_class_weight("balanced", classes=there, y=labels), strict=True))
    expected = label_targets(labels, classes, smoothing) * np.array([[weight[label]] for label in labels.tolist()])
    targets = label_targets(labels, classes, smoothing, "balanced")
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, expected, rtol=1e-5)
    np.testing.assert_allclose(targets.sum(axis=1).mean(), 1.0, rtol=1e-5)


def test_one_class_alone_weighs_one():
    assert label_targets([1, 1], 3, 0.0, "balanced").tolist() == [[0, 1, 0]] * 2
