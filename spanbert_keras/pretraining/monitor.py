"""Progress bar and TensorBoard of pre-training."""

import dataclasses
import os
import time

import numpy as np
from absl import logging

from spanbert_keras.pretraining.objective import PAIR_SCORE_KEYS, SCORE_KEYS
from spanbert_keras.pretraining.pair_scores import PairScores
from spanbert_keras.pretraining.piece_scores import PieceScores, span_lengths
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.monitoring.flops import Performance, Work, attended_pairs
from spanbert_keras.training.monitoring.run_monitor import RunMonitor

# What is counted in batches, in this order.
COUNTED = "positions tokens masked with_boundary blocks rows position_pairs attended pairs".split()
LONGEST_SPAN_SHOWN = 64  # tokens; longer spans are counted in the last bar


def data_totals(batches: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Returns counts over batches, to be summed over workers: float64 `(len(COUNTED) + LONGEST_SPAN_SHOWN + 1,)`.

    Positions, tokens, masked tokens, masked tokens with an SBO target, blocks, rows, pairs of positions of a row, pairs
    of tokens that see each other, pairs of segments, and the spans of each length.
    """
    counts = np.zeros(len(COUNTED) + LONGEST_SPAN_SHOWN + 1)
    for batch in batches:
        mask, weights = batch["padding_mask"], batch["mask_weights"]
        counts[: len(COUNTED)] += (
            mask.size,
            (mask > 0).sum(),
            weights.sum(),
            batch["span_weights"].sum(),
            mask.max(1).sum(),  # the mask numbers the blocks of a row from 1
            len(mask),
            mask.size * mask.shape[1],
            attended_pairs(mask),
            batch["pair_weights"].sum() if "pair_weights" in batch else 0,
        )
        first = (weights > 0) & (batch["span_offsets"] == 0)
        lengths = np.minimum(span_lengths(batch)[first], LONGEST_SPAN_SHOWN)
        counts[len(COUNTED) :] += np.bincount(lengths, minlength=LONGEST_SPAN_SHOWN + 1)
    return counts


def data_facts(totals: np.ndarray, steps: int) -> dict[str, float]:
    """Returns scalars by tag from the `data_totals` of a number of steps.

    Tags: `data/padding_share`, `data/attention_waste_share` (pairs of positions of a row that are not two tokens of one
    block), `data/masked_share` (of tokens, with [CLS] and [SEP]), `data/span_boundary_share` (of masked tokens: those
    with an SBO target), `data/blocks_per_batch`, `data/mean_span_length` (tokens).
    """
    of, spans = _counts(totals), totals[len(COUNTED) :]
    return {
        "data/padding_share": 1.0 - of["tokens"] / of["positions"],
        "data/attention_waste_share": 1.0 - of["attended"] / of["position_pairs"],
        "data/masked_share": of["masked"] / max(of["tokens"], 1.0),
        "data/span_boundary_share": of["with_boundary"] / max(of["masked"], 1.0),
        "data/blocks_per_batch": of["blocks"] / steps,
        "data/mean_span_length": float((spans * np.arange(len(spans))).sum() / max(1.0, spans.sum())),
    }


def work_of(totals: np.ndarray) -> Work:
    """Returns what the model had to compute, from `data_totals`."""
    of = _counts(totals)
    return Work(**{field.name: of[field.name] for field in dataclasses.fields(Work)})


def _counts(totals: np.ndarray) -> dict[str, float]:
    """Returns the counts of `data_totals` by name, without those of spans."""
    return dict(zip(COUNTED, totals.tolist(), strict=False))


class PretrainingMonitor(RunMonitor):
    """Progress bar and TensorBoard of one run: `train/`, and one folder for each held-out set, under `folder`.

    Counts and scores are summed over all workers; only the chief shows and writes them.

    Args:
        folder: the run's output directory.
        total_steps: int. Steps of the whole run.
        learning_rate: maps a step to its learning rate.
        mask_token_id: int. Id of [MASK].
        unigram: float `(V,)`. From `unigram_losses`.
        performance: `Performance`.
        distribution: `Distribution`.
        span_boundary: bool. Whether the span boundary head is trained; otherwise nothing of it is shown.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        total_steps: int,
        learning_rate,
        mask_token_id: int,
        unigram: np.ndarray,
        performance: Performance,
        distribution: Distribution | None = None,
        span_boundary: bool = True,
    ):
        super().__init__(folder, total_steps, learning_rate, distribution)
        self.span_boundary = span_boundary
        self.mask_token_id = mask_token_id
        self.unigram = unigram
        self.performance = performance

    def on_log(self, done: int, window) -> None:
        """Writes the scalars of the steps since the last call.

        Args:
            done: int. Updates made.
            window: `trainer.LogWindow` whose results are arrays.
        """
        batches = [{key: x.reshape(-1, x.shape[-1]) for key, x in call.items()} for call, _ in window.calls]
        scores, pairs = PieceScores(self.mask_token_id, self.unigram, self.span_boundary), PairScores()
        for batch, (_, results) in zip(batches, window.calls, strict=True):
            keys = [key for key in (*SCORE_KEYS, *PAIR_SCORE_KEYS) if key in results]
            found = {key: results[key].reshape(-1, results[key].shape[-1]) for key in keys}
            scores.add(batch, found)
            pairs.add(batch, found)
        scores.totals, pairs.totals = self.distribution.sum(scores.totals), self.distribution.sum(pairs.totals)
        totals = self.distribution.sum(data_totals(batches))
        if not self.distribution.is_chief:
            return
        seconds = time.perf_counter() - window.began
        values = scores.summary() | pairs.summary() | data_facts(totals, done - window.first)
        values |= self.performance.summary(work_of(totals), seconds, window.waited)
        values |= self.optimization(done, window)
        with self._lock:
            writer = self.writer("train")
            writer.scalars(values, done)
            writer.histogram("data/span_lengths", np.trim_zeros(totals[len(COUNTED) :].astype(np.int64), "b"), done)
            writer.flush()
        self._show_progress(done, values)

    def _show_progress(self, done: int, values: dict[str, float]) -> None:
        """Shows the losses on the progress bar, or as a log line without a terminal."""
        keys = {"MLM": "masked_lm/loss", "SBO": "span_boundary/loss", "unigram": "masked_lm/unigram_loss"}
        shown = {name: key for name, key in keys.items() if self.span_boundary or name != "SBO"}
        parts = [f"{name} {values.get(key, float('nan')):.3f}" for name, key in shown.items()]
        parts += _pair_parts(values)
        parts.append(f"{values['performance/tokens_per_second']:,.0f} tokens/s")
        if "performance/model_flops_utilization" in values:
            parts.append(f"MFU {100 * values['performance/model_flops_utilization']:.0f} %")
        self.say(done, values, parts)

    def on_scores(self, name: str, done: int, summary: dict[str, float]) -> None:
        """Writes the scores of a held-out set."""
        if not self.distribution.is_chief:
            return
        self.writer(name).scalars(summary, done)
        self.writer(name).flush()
        masked = ", ".join(
            f"{title} {summary[key]:.3f}"
            for title, key in (
                ("MLM", "masked_lm/loss_masked"),
                ("SBO", "span_boundary/loss_masked"),
                ("unigram", "masked_lm/unigram_loss_masked"),
            )
            if key in summary
        )
        logging.info("%s at step %d, tokens replaced by [MASK]: %s nats", name, done, masked)
        if "next_sentence/loss" in summary:
            logging.info("%s at step %d, pairs of segments: %s", name, done, ", ".join(_pair_parts(summary)))


def _pair_parts(values: dict[str, float]) -> list[str]:
    """Returns loss, accuracy and baseline of next-sentence prediction for a log line; [] without it."""
    if "next_sentence/loss" not in values:
        return []
    accuracy, majority = (100 * values[f"next_sentence/{name}"] for name in ("accuracy", "majority_accuracy"))
    return [f"NSP {values['next_sentence/loss']:.3f}", f"NSP accuracy {accuracy:.0f} % (majority {majority:.0f} %)"]
