"""Tests of held-out evaluation: fixed rows, fixed masks, the test of the boundaries."""

import numpy as np
import pytest

from spanbert_keras.training.evaluation import HeldOut, evaluate, to_numpy, with_other_boundaries
from spanbert_keras.training.piece_scores import PieceScores, unigram_losses

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
        scores.add(part, to_numpy(step.evaluate(part)))
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


def test_other_boundaries_change_the_span_boundary_loss_alone(held_out, make_training_step):
    step = make_training_step()
    found = evaluate(step, held_out, 4, UNIGRAM, boundaries=True)
    assert found["span_boundary/loss_other_boundaries"] != found["span_boundary/loss"]
    plain = evaluate(step, held_out, 4, UNIGRAM)
    assert {k: v for k, v in found.items() if k != "span_boundary/loss_other_boundaries"} == plain


def test_results_become_arrays(make_training_step, batch):
    found = to_numpy(make_training_step().evaluate(batch))
    assert all(isinstance(value, np.ndarray) for value in found.values())
