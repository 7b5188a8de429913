"""Tests of classifiers' training rows: batches, and targets by scikit-learn and by hand."""

import dataclasses

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from tasks.shared.classifier_rows import ClassifierRows, label_targets, logits_of, warn_if_alike


@dataclasses.dataclass(frozen=True)
class Row:
    pieces: tuple
    cut: bool = False

    def __len__(self):
        return len(self.pieces)


def pad(rows, length):
    table = np.zeros((len(rows), length), np.int32)
    for number, row in enumerate(rows):
        table[number, : len(row)] = row.pieces
    return {"token_ids": table}


def test_a_batch_has_inputs_and_targets_of_its_rows():
    rows = [Row((5, 6, 7), cut=True), Row((8,)), Row((9, 9), cut=True)]
    targets = label_targets([0, 1, 1], 2)
    made = ClassifierRows(rows, targets, pad)
    assert made.lengths == [3, 1, 2] and made.cut == 2
    batch = made.batch(np.array([2, 0]), 4, epoch=3)
    assert batch["token_ids"].tolist() == [[9, 9, 0, 0], [5, 6, 7, 0]]
    assert batch["label_targets"].tolist() == [[0, 1], [1, 0]] and set(batch) == {"token_ids", "label_targets"}
    again = made.batch(np.array([2, 0]), 4, epoch=8)
    assert all((again[key] == batch[key]).all() for key in batch)


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


class Model:
    """Gives row i the logits (i, -i)."""

    def compute_rows(self, batch):
        return {"logits": np.stack([batch, -batch], axis=1)}

    def logits_of(self, rows, batch_size, compute):
        parts = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        return np.concatenate([compute(np.array(part))["logits"] for part in parts])


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
