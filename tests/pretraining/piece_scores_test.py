"""Tests of scores by kind of piece and length of span, against a loop over pieces."""

import math

import numpy as np
import pytest

from spanbert_keras.pretraining.piece_scores import (
    GROUPS,
    HEADS,
    LENGTH_BINS,
    PieceScores,
    length_name,
    piece_kinds,
    span_lengths,
    unigram_losses,
)

MASK = 4
UNIGRAM = unigram_losses(np.arange(64))


def random_scores(batch, seed):
    random = np.random.default_rng(seed)
    shape = batch["mask_ids"].shape
    scores = {f"{head}_losses": random.random(shape).astype(np.float32) * 9 for head in ("mlm", "sbo")}
    return scores | {f"{head}_correct": (random.random(shape) < 0.4).astype(np.float32) for head in ("mlm", "sbo")}


def oracle(batches, scores):
    """Returns {tag: mean}, piece by piece."""
    sums = {}
    for batch, score in zip(batches, scores, strict=True):
        for r, m in np.ndindex(batch["mask_ids"].shape):
            place, truth = batch["mask_positions"][r, m], batch["mask_ids"][r, m]
            seen = batch["token_ids"][r, place]
            length = batch["right_positions"][r, m] - batch["left_positions"][r, m] - 1
            groups = ["", "_masked" if seen == MASK else "_kept" if seen == truth else "_replaced"]
            groups += [f"_length_{length_name(a, b)}" for a, b in LENGTH_BINS if a <= length <= (b or math.inf)]
            for head, short, weight in (("masked_lm", "mlm", "mask"), ("span_boundary", "sbo", "span")):
                if batch[f"{weight}_weights"][r, m]:
                    for group in groups:
                        values = (score[f"{short}_losses"][r, m], score[f"{short}_correct"][r, m], UNIGRAM[truth])
                        for name, value in zip(("loss", "accuracy", "unigram_loss"), values, strict=True):
                            sums.setdefault(f"{head}/{name}{group}", []).append(float(value))
    return {tag: sum(values) / len(values) for tag, values in sums.items()}


def test_means_are_those_of_a_loop_over_pieces(stream_of):
    stream = stream_of()
    batches = [stream.batch(k) for k in range(12)]
    scores = [random_scores(batch, k) for k, batch in enumerate(batches)]
    sums = PieceScores(MASK, UNIGRAM)
    for batch, score in zip(batches, scores, strict=True):
        sums.add(batch, score)
    expected = oracle(batches, scores)
    assert sums.summary() == pytest.approx(expected, rel=1e-5)
    assert {"masked_lm/loss_masked", "masked_lm/loss_kept", "masked_lm/loss_replaced", "span_boundary/accuracy"} <= set(
        expected
    )
    assert len([tag for tag in expected if "length" in tag]) >= 12


def test_totals_of_workers_add_up(stream_of):
    batches = [stream_of().batch(k) for k in range(4)]
    scores = [random_scores(batch, k) for k, batch in enumerate(batches)]
    sums = [PieceScores(MASK, UNIGRAM) for _ in range(2)]
    for k, batch in enumerate(batches):
        sums[k % 2].add(batch, scores[k])
    assert sums[0].totals.shape == (len(HEADS), len(GROUPS), 4) and sums[0].totals.dtype == np.float64
    sums[0].totals = sums[0].totals + sums[1].totals
    assert sums[0].summary() == pytest.approx(oracle(batches, scores), rel=1e-5)
    assert sums[0].totals[0, 0, 0] == sum(batch["mask_weights"].sum() for batch in batches)


def test_kinds_are_disjoint_and_cover_all_pieces(batch):
    kinds = piece_kinds(batch, MASK)
    assert (sum(kind.astype(int) for kind in kinds.values()) == 1).all()
    assert kinds["masked"][batch["mask_weights"] > 0].mean() > 0.5


def test_groups_without_pieces_are_left_out(batch):
    sums = PieceScores(MASK, UNIGRAM)
    silent = batch | {"span_weights": np.zeros_like(batch["span_weights"])}
    sums.add(silent, random_scores(batch, 0))
    assert "masked_lm/loss" in sums.summary()
    assert not any(tag.startswith("span_boundary") for tag in sums.summary())


def test_span_lengths_are_counted_in_the_row(batch):
    lengths = span_lengths(batch)
    for r in range(len(lengths)):
        count = int(batch["mask_weights"][r].sum())
        places = batch["mask_positions"][r, :count]
        runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
        assert lengths[r, :count].tolist() == [len(run) for run in runs for _ in run]


def test_bins_have_readable_names():
    assert [length_name(*b) for b in LENGTH_BINS] == ["1", "2", "3-4", "5-8", "9-16", "17+"]
    assert all(high is None or high + 1 == LENGTH_BINS[i + 1][0] for i, (_, high) in enumerate(LENGTH_BINS))


def test_unigram_losses_add_one_to_every_count():
    losses = unigram_losses(np.array([0, 3, 4]))
    assert losses == pytest.approx([math.log(10), math.log(10 / 4), math.log(2)])
    assert np.exp(-losses).sum() == pytest.approx(1)
