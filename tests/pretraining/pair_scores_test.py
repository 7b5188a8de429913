"""Tests of the scores of next-sentence prediction, against a loop over pairs. B 4, P 3."""

import numpy as np
import pytest

from spanbert_keras.pretraining.pair_scores import PairScores

B, P = 4, 3


def make_batch(seed, random_rate=0.5):
    """Returns a batch of pairs and its scores; those of padding would be seen if they counted."""
    rng = np.random.default_rng(seed)
    weights = (np.arange(P) < rng.integers(1, P + 1, (B, 1))).astype(np.float32)
    batch = {"next_sentence_labels": (rng.random((B, P)) < random_rate).astype(np.int32), "pair_weights": weights}
    scores = {
        "nsp_losses": (rng.exponential(1.0, (B, P)) + 50 * (1 - weights)).astype(np.float32),
        "nsp_correct": (rng.random((B, P)) < 0.7).astype(np.float32),
    }
    batch["next_sentence_labels"][weights == 0] = 1
    return batch, scores


def oracle(pairs):
    """Returns the four means, pair by pair."""
    rows = []
    for batch, scores in pairs:
        for b, p in np.ndindex(B, P):
            if batch["pair_weights"][b, p]:
                of_pair = (scores["nsp_losses"], scores["nsp_correct"], batch["next_sentence_labels"])
                rows.append([float(values[b, p]) for values in of_pair])
    loss, accuracy, share = (sum(column) / len(column) for column in zip(*rows, strict=True))
    names = ("loss", "accuracy", "random_share", "majority_accuracy")
    return dict(zip([f"next_sentence/{n}" for n in names], (loss, accuracy, share, max(share, 1 - share)), strict=True))


@pytest.mark.parametrize("rate", [0.2, 0.8])
def test_means_are_those_of_a_loop_over_pairs(rate):
    pairs, sums = [make_batch(seed, rate) for seed in range(5)], PairScores()
    for batch, scores in pairs:
        sums.add(batch, scores)
    expected = oracle(pairs)
    assert sums.summary() == pytest.approx(expected, rel=1e-6)
    assert (expected["next_sentence/random_share"] > 0.5) == (rate > 0.5)  # each of the two baselines is seen


def test_totals_of_workers_add_up():
    pairs, workers = [make_batch(seed) for seed in range(4)], [PairScores(), PairScores()]
    for number, (batch, scores) in enumerate(pairs):
        workers[number % 2].add(batch, scores)
    workers[0].totals = workers[0].totals + workers[1].totals
    assert workers[0].totals.dtype == np.float64
    assert workers[0].summary() == pytest.approx(oracle(pairs), rel=1e-6)


def test_without_pairs_or_without_the_head_there_are_no_scores():
    batch, scores = make_batch(0)
    empty, headless = PairScores(), PairScores()
    empty.add(batch | {"pair_weights": 0 * batch["pair_weights"]}, scores)
    headless.add(batch, {"mlm_losses": scores["nsp_losses"]})
    assert empty.summary() == headless.summary() == {}
