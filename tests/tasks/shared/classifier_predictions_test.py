"""Predictions of classifiers: progress, and a warning about models that distinguish nothing."""

import numpy as np
import pytest

from tasks.shared.classifier_predictions import logits_of, warn_if_alike


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
