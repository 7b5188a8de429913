"""Tests of the loss and the scores that every backend's step computes, against NumPy in float64."""

import keras
import numpy as np
import pytest

from spanbert_keras.training.objective import (
    SCORE_KEYS,
    StepSettings,
    batch_keys,
    loss_of,
    score,
    seed_generators,
    target_counts,
)  # fmt: skip

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


def scores_of(outputs, batch):
    tensors = {key: keras.ops.convert_to_tensor(value) for key, value in outputs.items()}
    return {k: np.array(keras.ops.convert_to_numpy(v)) for k, v in score(tensors, batch).items()}


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


@pytest.mark.parametrize("normalization", ["targets", "separate"])
def test_losses_of_parts_add_up_to_the_loss_of_the_whole(case, normalization):
    outputs, batch = case
    settings = StepSettings(sbo_weight=0.5, loss_normalization=normalization)
    counts = target_counts(batch)
    assert counts.tolist() == [5, 3]
    whole = float(loss_of(score(outputs, batch), batch, counts, settings))
    parts = 0.0
    for row in range(B):
        part = {key: value[row : row + 1] for key, value in batch.items()}
        parts += float(loss_of(score({k: v[row : row + 1] for k, v in outputs.items()}, part), part, counts, settings))
    scores = scores_of(outputs, batch)
    mlm = (scores["mlm_losses"] * batch["mask_weights"]).sum()
    sbo = 0.5 * (scores["sbo_losses"] * batch["span_weights"]).sum()
    expected = (mlm + sbo) / 5 if normalization == "targets" else mlm / 5 + sbo / 4  # the released code adds one
    assert whole == pytest.approx(expected, rel=1e-5)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_a_step_reads_inputs_and_targets(make_model):
    keys = batch_keys(make_model())
    assert set(keys) == {
        "token_ids", "segment_ids", "padding_mask", "mask_positions", "left_positions", "right_positions",
        "span_offsets", "mask_ids", "mask_weights", "span_weights",
    }  # fmt: skip
    assert len(keys) == 10


def test_every_dropout_layer_has_its_seed_generator_in_a_fixed_order(make_model):
    assert seed_generators(make_model(dropout=0.0)) == []
    one, two = seed_generators(make_model(dropout=0.1)), seed_generators(make_model(dropout=0.1, num_layers=2))
    assert len({id(g) for g in two}) == len(two)
    per_layer = len(two) - len(one)
    assert per_layer == 3  # attention weights, after attention, after the feed-forward network
    assert len(one) == per_layer + 1  # and the embeddings
