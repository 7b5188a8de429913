"""Tests of the pretrainer's objective: parts add up to the loss of the whole batch, with the weights of its rows."""

import types

import keras
import numpy as np
import pytest

from spanbert_keras.fine_tuning.pretrainer_objective import PretrainerObjective
from spanbert_keras.training.steps.objective import target_counts

B, M, V = 4, 3, 7
RANDOM = np.random.default_rng(3)
OUTPUTS = {name: RANDOM.normal(size=(B, M, V)).astype("float32") for name in ("masked_lm", "span_boundary")}
MASKS = np.float32([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
BATCH = {
    "mask_ids": RANDOM.integers(0, V, (B, M)).astype("int32"),
    "mask_weights": MASKS,
    "span_weights": MASKS * np.float32([[1], [0], [1], [1]]),
    "row_weights": np.float32([2, 1, 5, 0.5]),
}


def make(normalization="targets", weighted=True, sbo_weight=0.5):
    keys = ("mask_ids", "mask_weights", "span_weights")
    model = types.SimpleNamespace(target_keys=keys, sbo_weight=sbo_weight, loss_normalization=normalization)
    return PretrainerObjective(model, weighted)


def part(arrays, rows=slice(None)):
    return {key: keras.ops.convert_to_tensor(value[rows]) for key, value in arrays.items()}


def expected(normalization, weighted, sbo_weight=0.5):
    """Returns the loss in NumPy, float64."""
    sums = []
    for head, key in (("masked_lm", "mask_weights"), ("span_boundary", "span_weights")):
        logits = OUTPUTS[head].astype("float64")
        picked = np.take_along_axis(logits, BATCH["mask_ids"][..., None].astype(int), -1)[..., 0]
        losses = np.log(np.exp(logits).sum(-1)) - picked
        rows = BATCH["row_weights"][:, None] if weighted else 1.0
        sums.append((losses * rows * BATCH[key]).sum())
    masks, spans = BATCH["mask_weights"].sum(), BATCH["span_weights"].sum()
    if normalization == "targets":
        return (sums[0] + sbo_weight * sums[1]) / masks
    return sums[0] / masks + sbo_weight * sums[1] / (spans + 1)


@pytest.mark.parametrize("normalization", ["targets", "separate"])
@pytest.mark.parametrize("weighted", [False, True])
def test_parts_add_up_to_the_loss_and_validation_gives_the_same(normalization, weighted):
    objective = make(normalization, weighted)
    counts = target_counts(BATCH, objective)

    def loss_of(rows):
        return float(objective.loss(objective.score(part(OUTPUTS, rows), part(BATCH, rows)), part(BATCH, rows), counts))

    wanted = expected(normalization, weighted)
    assert loss_of(slice(None)) == pytest.approx(wanted, rel=1e-5)
    assert loss_of(slice(0, 1)) + loss_of(slice(1, 4)) == pytest.approx(wanted, rel=1e-5)
    found = objective.predict(part(OUTPUTS), part(BATCH))
    sums = {name: float(keras.ops.sum(values)) for name, values in found.items()}
    assert objective.scores(sums)["loss"] == pytest.approx(wanted, rel=1e-5)


def test_scores_have_loss_and_accuracy_of_each_head():
    objective = make(weighted=False)
    found = objective.predict(part(OUTPUTS), part(BATCH))
    scores = objective.scores({name: float(keras.ops.sum(values)) for name, values in found.items()})
    right = (OUTPUTS["masked_lm"].argmax(-1) == BATCH["mask_ids"]) * MASKS
    assert scores["masked_lm_accuracy"] == pytest.approx(right.sum() / MASKS.sum())
    assert scores["loss"] == pytest.approx(
        scores["masked_lm_loss"]
        + 0.5 * scores["span_boundary_loss"] * BATCH["span_weights"].sum() / BATCH["mask_weights"].sum(),
        rel=1e-5,
    )


def test_without_targets_all_scores_are_0():
    objective, batch = make(), BATCH | dict.fromkeys(("mask_weights", "span_weights"), np.zeros((B, M), np.float32))
    found = objective.predict(part(OUTPUTS), part(batch))
    assert set(objective.scores({name: float(keras.ops.sum(values)) for name, values in found.items()}).values()) == {0}


@pytest.mark.parametrize("normalization", ["targets", "separate"])
@pytest.mark.parametrize("weighted", [False, True])
def test_pairs_add_their_mean_loss(normalization, weighted):
    logits = np.float32([[[0, 0]], [[2, 0]], [[2, 0]], [[9, 9]]])
    losses, labels = np.array([0.693147, 0.126928, 2.126928, 0.0]), np.int32([[1], [0], [1], [0]])
    outputs = OUTPUTS | {"next_sentence": logits}
    batch = BATCH | {"next_sentence_labels": labels, "pair_weights": np.float32([[1], [1], [1], [0]])}
    keys = ("mask_ids", "mask_weights", "span_weights", "next_sentence_labels", "pair_weights")
    settings = {"sbo_weight": 0.5, "loss_normalization": normalization, "nsp_weight": 0.25}
    objective = PretrainerObjective(types.SimpleNamespace(target_keys=keys, **settings), weighted)
    counts = target_counts(batch, objective)
    found = objective.predict(part(outputs), part(batch))
    scores = objective.scores({name: float(keras.ops.sum(values)) for name, values in found.items()})
    rows = BATCH["row_weights"] if weighted else np.ones(B)
    wanted = expected(normalization, weighted) + 0.25 * (losses * rows)[:3].sum() / 3
    assert float(objective.loss(objective.score(part(outputs), part(batch)), part(batch), counts)) == pytest.approx(
        wanted, rel=1e-5
    )
    assert scores["loss"] == pytest.approx(wanted, rel=1e-5)
    right = logits.argmax(-1)[:3] == labels[:3]
    assert scores["next_sentence_accuracy"] == pytest.approx(right.mean()) and 0 < right.mean() < 1
