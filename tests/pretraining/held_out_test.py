"""Tests of held-out evaluation: fixed rows, fixed masks, the test of the boundaries."""

import numpy as np
import pytest

from spanbert_keras.pretraining.held_out import HeldOut, evaluate, with_other_boundaries
from spanbert_keras.pretraining.piece_scores import PieceScores, unigram_losses
from spanbert_keras.training.distributed.distribution import Distribution

UNIGRAM = unigram_losses(np.arange(64))


@pytest.fixture
def held_out(stream_of):
    return HeldOut("span", stream_of(shuffle=False), np.array([0, 3, 5, 6, 9, 11]), 4)


def test_batches_hold_the_rows_in_order_and_the_last_is_filled_up_with_padding(held_out):
    batches = list(held_out.batches())
    assert [b["token_ids"].shape for b in batches] == [(4, 24), (4, 24)]
    direct = held_out.stream.rows(held_out.rows)
    for name in direct:
        together = np.concatenate([b[name] for b in batches])
        assert (together[:6] == direct[name]).all()
        assert not together[6:].any()


def test_every_call_scores_the_same_rows_with_the_same_masks(held_out, make_training_step):
    step = make_training_step(dropout=0.4)
    first = evaluate(step, held_out, 4, UNIGRAM, boundaries=True)
    assert evaluate(step, held_out, 4, UNIGRAM, boundaries=True) == first
    assert abs(first["masked_lm/loss"] - np.log(64)) < 0.3


def test_scores_are_those_of_all_rows_together(held_out, make_training_step):
    step = make_training_step()
    whole = held_out.stream.rows(held_out.rows)
    scores = PieceScores(4, UNIGRAM)
    for row in range(6):  # one row at a time, without any padding row
        part = {name: value[row : row + 1] for name, value in whole.items()}
        scores.add(part, step.to_numpy(step.evaluate(part)))
    found = evaluate(step, held_out, 4, UNIGRAM)
    assert found == pytest.approx(scores.summary(), rel=1e-4)
    assert "span_boundary/loss_other_boundaries" not in found


def test_other_boundaries_are_those_of_another_span(batch):
    shifted = with_other_boundaries(batch)
    for row in range(len(batch["token_ids"])):
        count = int(batch["mask_weights"][row].sum())
        for name in ("left_positions", "right_positions"):
            own, other = batch[name][row, :count], shifted[name][row, :count]
            assert sorted(own.tolist()) == sorted(other.tolist())
            assert other.tolist() == [own[(i - count // 2) % count] for i in range(count)]
            assert not shifted[name][row, count:].any()
    changed = {name for name in batch if (batch[name] != shifted[name]).any()}
    assert changed == {"left_positions", "right_positions"}


def test_other_boundaries_change_only_the_span_boundary_loss(held_out, make_training_step):
    step = make_training_step()
    found = evaluate(step, held_out, 4, UNIGRAM, boundaries=True)
    assert found["span_boundary/loss_other_boundaries"] != found["span_boundary/loss"]
    plain = evaluate(step, held_out, 4, UNIGRAM)
    assert {k: v for k, v in found.items() if k != "span_boundary/loss_other_boundaries"} == plain


@pytest.mark.parametrize("num_workers, size, count", [(2, 4, 6), (3, 2, 11), (4, 4, 3), (1, 5, 11), (3, 3, 9)])
def test_workers_share_the_rows_and_take_as_many_batches(stream_of, num_workers, size, count):
    rows = np.arange(count) * 2 + 1
    held_out = HeldOut("span", stream_of(shuffle=False), rows, size)
    shares = [list(held_out.batches(worker, num_workers)) for worker in range(num_workers)]
    assert len({len(share) for share in shares}) == 1
    assert len(shares[0]) == -(-count // (num_workers * size))
    assert all(batch["token_ids"].shape == (size, 24) for share in shares for batch in share)
    in_turn = [batch for batches in zip(*shares, strict=True) for batch in batches]
    direct = held_out.stream.rows(rows)
    for name, expected in direct.items():
        together = np.concatenate([batch[name] for batch in in_turn])
        np.testing.assert_array_equal(together[:count], expected)
        assert not together[count:].any()


def test_several_workers_score_exactly_the_rows_of_one(held_out, make_training_step):
    step = make_training_step()
    totals = 0.0
    for worker in range(3):
        scores = PieceScores(4, UNIGRAM)
        for batch in held_out.batches(worker, 3):
            scores.add(batch, step.to_numpy(step.evaluate(batch)))
        totals = totals + scores.totals
    together = PieceScores(4, UNIGRAM)
    together.totals = totals
    expected = evaluate(step, held_out, 4, UNIGRAM)
    assert together.summary() == pytest.approx(expected, rel=1e-5)


def test_scores_are_added_up_over_the_workers(held_out, make_training_step, monkeypatch):
    class Two(Distribution):
        def sum(self, values):
            summed.append(values.shape)
            return 2.0 * values  # the other worker saw the same

    summed = []
    step = make_training_step()
    own = [PieceScores(4, UNIGRAM), PieceScores(4, UNIGRAM)]
    for batch in held_out.batches(1, 2):
        own[0].add(batch, step.to_numpy(step.evaluate(batch)))
        own[1].add(batch, step.to_numpy(step.evaluate(with_other_boundaries(batch))))
    monkeypatch.setattr(step, "distribution", Two(worker=1, num_workers=2))
    found = evaluate(step, held_out, 4, UNIGRAM, boundaries=True)
    other = found.pop("span_boundary/loss_other_boundaries")
    assert found == pytest.approx(own[0].summary(), rel=1e-6)
    assert other == pytest.approx(own[1].summary()["span_boundary/loss"], rel=1e-6)
    assert summed == [own[0].totals.shape, (4,), own[0].totals.shape]  # the second: those of pairs
