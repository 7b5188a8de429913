"""The loss of coreference resolution against sums written out span by span. B 3, S 6, A 4."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.layers.functional import MASKED
from spanbert_keras.losses.antecedent_loss import PADDING_SCORE, antecedent_losses

B, S, A = 3, 6, 4
NOBODY = MASKED


@pytest.fixture
def batch():
    """Scores of up to four earlier spans each; the last row has only four spans."""
    rng = np.random.default_rng(7)
    antecedents = np.zeros((B, S, A), "int32")
    scores = np.full((B, S, A + 1), NOBODY, "float32")
    scores[:, :, 0] = 0.0
    for b, i in np.ndindex(B, S):
        earlier = rng.permutation(i)[:A]
        antecedents[b, i, : len(earlier)] = earlier
        scores[b, i, 1 : 1 + len(earlier)] = rng.normal(0.0, 3.0, len(earlier))
    return {
        "antecedent_scores": scores,
        "antecedents": antecedents,
        "clusters": np.array([[1, 0, 1, 2, 2, 1], [3, 3, 3, 3, 3, 3], [0, 5, 5, 0, 5, 5]], "int32"),
        "kept": np.array([[1] * 6, [1] * 6, [1] * 4 + [0] * 2], "int32"),
    }


def slow(batch):
    """-log of the share that the gold antecedents of each span have together, added up over the spans."""
    losses = []
    for b in range(B):
        total = 0.0
        for i in np.flatnonzero(batch["kept"][b]):
            scores = batch["antecedent_scores"][b, i].astype("float64")
            options = {None: math.exp(scores[0])}
            for a, j in enumerate(batch["antecedents"][b, i]):
                if scores[a + 1] > -1e8:
                    options[j] = math.exp(scores[a + 1])
            mine = batch["clusters"][b, i]
            gold = [j for j in options if j is not None and mine > 0 and batch["clusters"][b, j] == mine] or [None]
            total -= math.log(sum(options[j] for j in gold) / sum(options.values()))
        losses.append(total)
    return losses


def losses_of(batch):
    losses = antecedent_losses(**batch)
    assert keras.backend.standardize_dtype(losses.dtype) == "float32" and tuple(losses.shape) == (B,)
    return ops.convert_to_numpy(losses)


@pytest.mark.parametrize("tensors", [False, True], ids=["numpy", "tensors"])
@pytest.mark.parametrize("kept", ["int32", "bool"])
def test_it_is_the_negative_log_share_of_all_gold_antecedents_together(batch, tensors, kept):
    expected = slow(batch)
    assert min(expected) > 1
    batch["kept"] = batch["kept"].astype(kept)
    given = {key: ops.convert_to_tensor(value) for key, value in batch.items()} if tensors else batch
    np.testing.assert_allclose(losses_of(given), expected, rtol=1e-5)


def test_it_is_a_sum_over_spans_and_not_a_mean(batch):
    """A document of the same spans, each alone in `kept`: the parts add up to the whole."""
    parts = [losses_of(batch | {"kept": batch["kept"] * (np.arange(S) == i)}) for i in range(S)]
    np.testing.assert_allclose(sum(parts), losses_of(batch), rtol=1e-5)
    flat = batch["antecedent_scores"].copy()
    flat[:, :, 1:] = NOBODY
    flat[:, 1:, 1] = 0.0  # one antecedent and the dummy, equally likely: log 2 for each span but the first
    found = losses_of(batch | {"antecedent_scores": flat, "kept": np.ones((B, S), "int32")})
    np.testing.assert_allclose(found, [5 * math.log(2)] * B, rtol=1e-5)


def test_without_gold_clusters_the_dummy_is_right_everywhere(batch):
    found = losses_of(batch | {"clusters": np.zeros((B, S), "int32")})
    scores = batch["antecedent_scores"].astype("float64")
    each = np.log(np.exp(scores).sum(-1))  # -log of 1 / sum
    np.testing.assert_allclose(found, (each * batch["kept"]).sum(-1), rtol=1e-5)
    sure = np.where(np.arange(A + 1) > 0, scores - 60.0, scores).astype("float32")
    zeros = losses_of(batch | {"clusters": np.zeros((B, S), "int32"), "antecedent_scores": sure})
    np.testing.assert_allclose(zeros, np.zeros(B), atol=1e-6)


def test_mentions_that_were_not_kept_do_not_count(batch):
    """A cluster's other mention was pruned, or is not among the A: the dummy is right."""
    lonely = np.zeros((B, S), "int32")
    lonely[:, 3] = 4
    none = np.zeros((B, S), "int32")
    np.testing.assert_allclose(losses_of(batch | {"clusters": lonely}), losses_of(batch | {"clusters": none}))
    far = np.zeros((B, S), "int32")
    far[0, [0, 5]] = 4  # one of the five before the last span is not among its four
    left_out = set(range(5)) - set(batch["antecedents"][0, 5])
    far[0, 0], far[0, left_out.pop()] = 0, 4
    np.testing.assert_allclose(losses_of(batch | {"clusters": far}), losses_of(batch | {"clusters": none}))


def test_padding_antecedents_are_never_gold_at_any_place(batch):
    expected = losses_of(batch)
    absent = batch["antecedent_scores"][:, :, 1:] < -1e8
    for place in range(S):
        changed = np.where(absent, place, batch["antecedents"]).astype("int32")
        np.testing.assert_array_equal(losses_of(batch | {"antecedents": changed}), expected)


def test_padding_entries_change_nothing(batch):
    expected = losses_of(batch)
    rng = np.random.default_rng(1)
    longer = {
        "antecedent_scores": np.pad(batch["antecedent_scores"], ((0, 0), (0, 3), (0, 0))),
        "antecedents": np.pad(batch["antecedents"], ((0, 0), (0, 3), (0, 0)), constant_values=2),
        "clusters": np.pad(batch["clusters"], ((0, 0), (0, 3)), constant_values=5),
        "kept": np.pad(batch["kept"], ((0, 0), (0, 3))),
    }
    np.testing.assert_allclose(losses_of(longer), expected, rtol=1e-6)
    fill = longer["kept"] == 0
    longer["antecedent_scores"][fill] = rng.normal(0.0, 50.0, (int(fill.sum()), A + 1))
    np.testing.assert_allclose(losses_of(longer), expected, rtol=1e-6)
    wider = batch | {
        "antecedent_scores": np.pad(batch["antecedent_scores"], ((0, 0), (0, 0), (0, 2)), constant_values=NOBODY),
        "antecedents": np.pad(batch["antecedents"], ((0, 0), (0, 0), (0, 2))),
    }
    np.testing.assert_allclose(losses_of(wider), expected, rtol=1e-6)


def test_numbers_of_clusters_are_names(batch):
    renamed = np.array([0, 40, 7, 1, 9, 2])[batch["clusters"]].astype("int32")
    np.testing.assert_array_equal(losses_of(batch | {"clusters": renamed}), losses_of(batch))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_scores_give_float32_losses(batch, dtype):
    """In float16 the score of no antecedent is minus infinity."""
    half = ops.cast(ops.convert_to_tensor(batch["antecedent_scores"]), dtype)
    exact = ops.convert_to_numpy(ops.cast(half, "float32"))
    assert np.isinf(exact).any() == (dtype == "float16")
    found = losses_of(batch | {"antecedent_scores": half})
    np.testing.assert_allclose(found, slow(batch | {"antecedent_scores": exact}), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_extreme_scores_stay_finite(batch, scale):
    real = batch["antecedent_scores"] > -1e8
    found = losses_of(batch | {"antecedent_scores": np.where(real, scale, 1.0) * batch["antecedent_scores"]})
    assert np.isfinite(found).all() and (found > scale / 10).all()


def test_padding_has_the_score_that_the_layers_give_it():
    assert PADDING_SCORE == MASKED
