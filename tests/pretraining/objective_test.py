"""Tests of the pre-training objective that every backend's step computes, against NumPy in float64."""

import keras
import numpy as np
import pytest

from spanbert_keras.pretraining.objective import PAIR_SCORE_KEYS, SCORE_KEYS, PretrainingObjective
from spanbert_keras.training.steps.objective import target_counts

B, M, V = 2, 3, 7


@pytest.fixture
def case():
    random = np.random.default_rng(0)
    outputs = {name: random.normal(size=(B, M, V)).astype(np.float32) for name in ("masked_lm", "span_boundary")}
    batch = {
        "mask_ids": random.integers(0, V, (B, M)).astype(np.int32),
        "mask_weights": np.float32([[1, 1, 0], [1, 1, 1]]),
        "span_weights": np.float32([[1, 0, 0], [1, 1, 0]]),
    }
    batch["mask_ids"][0, 0] = outputs["masked_lm"][0, 0].argmax()
    return outputs, batch


def as_numpy(scores):
    return {k: np.array(keras.ops.convert_to_numpy(v)) for k, v in scores.items()}


def scores_of(outputs, batch, **settings):
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in outputs.items()}
    return as_numpy(PretrainingObjective(**settings).score(tensors, batch))


def test_scores_are_cross_entropies_and_hits_of_every_position(case):
    outputs, batch = case
    scores = scores_of(outputs, batch)
    assert set(scores) == set(SCORE_KEYS)
    for short, name in (("mlm", "masked_lm"), ("sbo", "span_boundary")):
        logits = outputs[name].astype(np.float64)
        expected = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, batch["mask_ids"][..., None], -1)[..., 0]
        np.testing.assert_allclose(scores[f"{short}_losses"], expected, rtol=1e-5)
        assert (scores[f"{short}_correct"] == (logits.argmax(-1) == batch["mask_ids"])).all()
    assert scores["mlm_correct"][0, 0] == 1.0


def test_a_head_that_is_not_trained_is_scored_only_in_evaluation(case):
    outputs, batch = case
    assert not scores_of(outputs, batch, sbo_weight=0.0)["sbo_losses"].any()
    predictions = as_numpy(PretrainingObjective(0.0).predict(outputs, batch))
    np.testing.assert_array_equal(predictions["sbo_losses"], scores_of(outputs, batch)["sbo_losses"])
    np.testing.assert_array_equal(predictions["sbo_best"], outputs["span_boundary"].argmax(-1))


@pytest.mark.parametrize("normalization", ["targets", "separate"])
def test_losses_of_parts_add_up_to_the_loss_of_the_whole(case, normalization):
    outputs, batch = case
    objective = PretrainingObjective(sbo_weight=0.5, loss_normalization=normalization)
    counts = target_counts(batch, objective)
    assert counts.tolist() == [5, 3]
    whole = float(objective.loss(objective.score(outputs, batch), batch, counts))
    parts = 0.0
    for row in range(B):
        part = {key: value[row : row + 1] for key, value in batch.items()}
        of_part = objective.score({key: value[row : row + 1] for key, value in outputs.items()}, part)
        parts += float(objective.loss(of_part, part, counts))
    scores = scores_of(outputs, batch)
    mlm = (scores["mlm_losses"] * batch["mask_weights"]).sum()
    sbo = 0.5 * (scores["sbo_losses"] * batch["span_weights"]).sum()
    expected = (mlm + sbo) / 5 if normalization == "targets" else mlm / 5 + sbo / 4  # the released code adds one
    assert whole == pytest.approx(expected, rel=1e-5)
    assert parts == pytest.approx(whole, rel=1e-5)


@pytest.fixture
def case_of_pairs(case):
    """The case with pairs; the second row has one pair, whose padding would be seen if it counted."""
    outputs, batch = case
    logits = np.float32([[[2, 0], [2, 0]], [[1, 3], [-9, 9]]])
    pairs = {"next_sentence_labels": np.int32([[0, 1], [1, 0]]), "pair_weights": np.float32([[1, 1], [1, 0]])}
    return outputs | {"next_sentence": logits}, batch | pairs


def test_next_sentence_prediction_is_left_out_of_the_objective_unless_it_has_a_weight(case):
    outputs, batch = case
    plain, paired = PretrainingObjective(), PretrainingObjective(nsp_weight=0.5)
    assert plain.target_keys == plain.evaluation_keys == ("mask_ids", "mask_weights", "span_weights")
    assert plain.count_keys == ("mask_weights", "span_weights") and plain.score_keys == SCORE_KEYS
    assert paired.target_keys == paired.evaluation_keys
    assert paired.target_keys == (*plain.target_keys, "next_sentence_labels", "pair_weights")
    assert paired.count_keys == (*plain.count_keys, "pair_weights")
    assert paired.score_keys == (*SCORE_KEYS, *PAIR_SCORE_KEYS)
    assert set(scores_of(outputs, batch)) == set(SCORE_KEYS)


def test_scores_of_pairs_are_their_cross_entropies_and_hits(case_of_pairs):
    outputs, batch = case_of_pairs
    scores = scores_of(outputs, batch, nsp_weight=1.0)
    assert set(scores) == {*SCORE_KEYS, *PAIR_SCORE_KEYS}
    np.testing.assert_allclose(scores["nsp_losses"], [[0.126928, 2.126928], [0.126928, 18.0]], rtol=1e-5)
    assert scores["nsp_correct"].tolist() == [[1, 0], [1, 0]]
    predictions = as_numpy(PretrainingObjective(nsp_weight=1.0).predict(outputs, batch))
    np.testing.assert_array_equal(predictions["nsp_losses"], scores["nsp_losses"])


@pytest.mark.parametrize("normalization", ["targets", "separate"])
def test_losses_of_parts_with_pairs_add_up_to_the_loss_of_the_whole(case_of_pairs, normalization):
    outputs, batch = case_of_pairs
    objective = PretrainingObjective(0.5, normalization, nsp_weight=0.25)
    counts = target_counts(batch, objective)
    assert counts.tolist() == [5, 3, 3]
    whole = float(objective.loss(objective.score(outputs, batch), batch, counts))
    parts = 0.0
    for row in range(B):
        part = {key: value[row : row + 1] for key, value in batch.items()}
        of_part = objective.score({key: value[row : row + 1] for key, value in outputs.items()}, part)
        parts += float(objective.loss(of_part, part, counts))
    assert parts == pytest.approx(whole, rel=1e-5)
    plain = PretrainingObjective(0.5, normalization)
    without = float(plain.loss(plain.score(outputs, batch), batch, counts[:2]))
    assert whole - without == pytest.approx(0.25 * (0.126928 + 2.126928 + 0.126928) / 3, rel=1e-4)
