"""Held-out evaluation on fixed blocks, whose masks depend only on the seed and the block."""

import dataclasses

import numpy as np

from spanbert_keras.data.batches.batch_stream import BatchStream
from spanbert_keras.pretraining.objective import SCORE_KEYS
from spanbert_keras.pretraining.pair_scores import PairScores
from spanbert_keras.pretraining.piece_scores import PieceScores
from spanbert_keras.training.distributed.distribution import Distribution


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """A fixed set of held-out rows under one masking scheme.

    Attributes:
        name: str. The scheme, e.g. `"span"`.
        stream: `BatchStream` over the held-out split, not shuffled.
        rows: int64 array. Positions in the stream; the same rows with the same masks at every evaluation.
        batch_rows: int. Rows that each worker scores at once.
        add_pairs: bool. Whether rows of one segment get a pair of weight 0, for a model that reads pairs.
    """

    name: str
    stream: BatchStream
    rows: np.ndarray
    batch_rows: int
    add_pairs: bool = False

    def batches(self, worker: int = 0, num_workers: int = 1):
        """Yields one worker's batches of `batch_rows` rows; all workers have as many, filled up with padding."""
        size = self.batch_rows
        for start in range(worker * size, worker * size + len(self.rows), num_workers * size):
            part = self.rows[start : start + size]
            batch = self.stream.rows(np.concatenate([part, np.full(size - len(part), -1, np.int64)]))
            yield batch | _empty_pairs(size) if self.add_pairs else batch


def _empty_pairs(rows: int) -> dict[str, np.ndarray]:
    """Returns one pair of weight 0 per row, `(rows, 1)`."""
    whole, real = np.zeros((rows, 1), np.int32), np.zeros((rows, 1), np.float32)
    return {"pair_positions": whole, "next_sentence_labels": whole, "pair_weights": real}


def with_other_boundaries(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the batch with the boundaries of another span for every target, half a row of targets away.

    What the span boundary head still predicts correctly does not come from the boundaries.
    """
    shifted = dict(batch)
    counts = batch["mask_weights"].sum(1).astype(int)
    for name in ("left_positions", "right_positions"):
        shifted[name] = batch[name].copy()
        for row, count in enumerate(counts.tolist()):
            shifted[name][row, :count] = np.roll(batch[name][row, :count], count // 2)
    return shifted


def evaluate(
    step,
    held_out: HeldOut,
    mask_token_id: int,
    unigram: np.ndarray,
    boundaries: bool = False,
    span_boundary: bool = True,
) -> dict:
    """Returns the mean scores of a held-out set by tag (`PieceScores.summary`, `PairScores.summary`).

    Args:
        step: the backend's step (`make_step`).
        held_out: `HeldOut`.
        mask_token_id: int. Id of [MASK].
        unigram: float `(V,)`. From `unigram_losses`.
        boundaries: bool. Whether `span_boundary/loss_other_boundaries` is returned too: the loss when the head sees
            the boundaries of other spans.
        span_boundary: bool. Whether the span boundary head is trained; otherwise it is not scored.
    """
    boundaries = boundaries and span_boundary
    distribution: Distribution = step.distribution
    scores, pairs = PieceScores(mask_token_id, unigram, span_boundary), PairScores()
    other = PieceScores(mask_token_id, unigram)
    for batch in held_out.batches(distribution.worker, distribution.num_workers):
        found = step.to_numpy(step.evaluate(batch))
        scores.add(batch, found)
        pairs.add(batch, found)
        if boundaries:
            results = step.to_numpy(step.evaluate(with_other_boundaries(batch)))
            other.add(batch, {key: results[key] for key in SCORE_KEYS})
    scores.totals = distribution.sum(scores.totals)
    pairs.totals = distribution.sum(pairs.totals)
    other.totals = distribution.sum(other.totals)
    summary = scores.summary() | pairs.summary()
    if boundaries:
        summary["span_boundary/loss_other_boundaries"] = other.summary()["span_boundary/loss"]
    return summary
