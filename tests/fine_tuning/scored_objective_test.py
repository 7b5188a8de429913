"""Tests of the objective of `fine_tune`: losses with weights, and the sums that scores are made of."""

import types

import keras
import numpy as np
import pytest

from spanbert_keras.fine_tuning.scored_objective import ScoredObjective

LOGITS = np.float32([[1, 3], [2, 0], [0, 1], [4, 0]])
TARGETS = np.float32([[0, 1], [0, 1], [0, 1], [1, 0]])
WEIGHTS = np.float32([1, 3, 0.5, 0])
BATCH = {"label_targets": TARGETS, "example_weights": np.ones(4, np.float32), "row_weights": WEIGHTS}
LOSSES = np.log(np.exp(LOGITS).sum(1)) - (LOGITS * TARGETS).sum(1)


def make(problem_type, weighted=False):
    def example_losses(outputs, batch):
        return keras.ops.logsumexp(outputs["logits"], axis=1) - keras.ops.sum(
            outputs["logits"] * batch["label_targets"], axis=1
        )

    model = types.SimpleNamespace(
        target_keys=("label_targets",), example_losses=example_losses, problem_type=problem_type
    )
    return ScoredObjective(model, weighted)


def tensors(arrays):
    return {key: keras.ops.convert_to_tensor(value) for key, value in arrays.items()}


def summed(objective):
    found = objective.predict(tensors({"logits": LOGITS}), tensors(BATCH))
    return {name: float(keras.ops.sum(values)) for name, values in found.items()} | {"rows": 4.0}


def test_the_loss_is_the_mean_and_single_labels_have_an_accuracy():
    found = make("single_label").scores(summed(make("single_label")))
    assert found == {"loss": pytest.approx(LOSSES.mean(), rel=1e-5), "accuracy": 0.75}


@pytest.mark.parametrize("problem_type", ["multi_label", "regression", None])
def test_what_has_no_single_label_has_no_accuracy(problem_type):
    objective = make(problem_type)
    assert list(objective.scores(summed(objective))) == ["loss"]


def test_weights_multiply_the_losses_and_the_divisor_stays_the_number_of_rows():
    objective = make("single_label", weighted=True)
    assert "row_weights" in objective.target_keys and objective.evaluation_keys == objective.target_keys
    found = objective.scores(summed(objective))
    assert found == {"loss": pytest.approx((LOSSES * WEIGHTS).sum() / 4, rel=1e-5), "accuracy": 0.75}
    scores = objective.score(tensors({"logits": LOGITS}), tensors(BATCH))
    loss = objective.loss(scores, tensors(BATCH), np.float32([4]))
    assert float(loss) == pytest.approx((LOSSES * WEIGHTS).sum() / 4, rel=1e-5)
