"""Tests of what a person sees: facts of batches, TensorBoard, log lines, the progress bar."""

import io
import sys

import numpy as np
import pytest
from absl import logging
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from spanbert_keras.training.monitor import LONGEST_SPAN_SHOWN, Monitor, batch_facts, span_histogram
from spanbert_keras.training.piece_scores import unigram_losses
from spanbert_keras.training.warmup_linear_decay import WarmupLinearDecay


def results_of(batch, loss=2.0, finite=True):
    shape = batch["mask_ids"].shape
    scores = {
        name: np.full(shape, loss, np.float32) for name in ("mlm_losses", "sbo_losses", "mlm_correct", "sbo_correct")
    }
    return scores | {"loss": np.float32(loss), "gradient_norm": np.float32(3.0), "finite": np.bool_(finite)}


@pytest.fixture
def make_monitor(tmp_path):
    def make(start=0):
        rate = WarmupLinearDecay(0.5, 4, 10)
        return Monitor(tmp_path, 10, start, rate, 4, unigram_losses(np.ones(64)))

    return make


def read(folder):
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return {t: {e.step: make_ndarray(e.tensor_proto) for e in found.Tensors(t)} for t in found.Tags()["tensors"]}


def test_facts_of_batches_are_counted(stream_of):
    stream = stream_of()
    batches = [stream.batch(k) for k in range(3)]
    pieces = sum(sum(int(p > 0) for row in b["padding_mask"].tolist() for p in row) for b in batches)
    facts = batch_facts(batches, seconds=2.0)
    masked, targets = (sum(b[name].sum() for b in batches) for name in ("mask_weights", "span_weights"))
    assert facts["data/pieces_per_second"] == pieces / 2
    assert facts["data/padding_share"] == pytest.approx(1 - pieces / (3 * 4 * 24))
    assert facts["data/masked_share"] == pytest.approx(masked / pieces)
    assert facts["data/span_boundary_share"] == pytest.approx(targets / masked)
    assert facts["data/blocks_per_batch"] == sum(b["padding_mask"].max(1).sum() for b in batches) / 3
    assert 0 < facts["data/span_boundary_share"] <= 1


def test_the_histogram_counts_each_span_once(stream_of):
    stream = stream_of()
    batches = [stream.batch(k) for k in range(4)]
    expected = np.zeros(LONGEST_SPAN_SHOWN + 1, int)
    for b in batches:
        spans = {
            (r, b["left_positions"][r, m], b["right_positions"][r, m])
            for r, m in zip(*np.nonzero(b["mask_weights"]), strict=True)
        }
        for _, left, right in spans:
            expected[right - left - 1] += 1
    counts = span_histogram(batches)
    assert counts.tolist() == expected.tolist()
    assert (counts * np.arange(len(counts))).sum() == sum(b["mask_weights"].sum() for b in batches)
    mean = (counts * np.arange(len(counts))).sum() / counts.sum()
    assert batch_facts(batches, 1.0)["data/mean_span_length"] == pytest.approx(mean)


def test_very_long_spans_are_in_the_last_bar(batch):
    long = {**batch, "right_positions": batch["left_positions"] + 500}
    assert span_histogram([long])[LONGEST_SPAN_SHOWN] == span_histogram([batch]).sum()


def test_training_writes_scalars_and_the_histogram(make_monitor, batch, tmp_path):
    with make_monitor() as monitor:
        monitor.on_log(2, [batch, batch], [results_of(batch, 2.0), results_of(batch, 4.0, finite=False)], 1.5)
    found = read(tmp_path / "train")
    assert found["masked_lm/loss"] == {2: 3.0}
    assert found["span_boundary/loss"] == {2: 3.0}
    assert found["optimization/loss"] == {2: 3.0}
    assert found["optimization/gradient_norm"] == {2: 3.0}
    assert found["optimization/skipped_updates"] == {2: 1.0}
    assert found["optimization/learning_rate"] == {2: pytest.approx(0.25)}  # of the last update made: step 1
    assert found["masked_lm/unigram_loss"] == {2: pytest.approx(np.log(64), rel=1e-6)}
    assert found["data/span_lengths"][2].shape == (LONGEST_SPAN_SHOWN + 1, 3)
    assert {"data/pieces_per_second", "data/padding_share", "data/span_boundary_share", "masked_lm/loss_masked"} <= set(
        found
    )


def test_the_gradient_norm_of_skipped_updates_is_left_out(make_monitor, batch, tmp_path):
    bad = results_of(batch, finite=False) | {"gradient_norm": np.float32(np.inf)}
    with make_monitor() as monitor:
        monitor.on_log(2, [batch, batch], [results_of(batch), bad], 1.0)
        monitor.on_log(3, [batch], [bad], 1.0)
    found = read(tmp_path / "train")
    assert found["optimization/gradient_norm"][2] == 3.0
    assert 3 not in found["optimization/gradient_norm"]


def test_held_out_scores_have_a_folder_of_their_own(make_monitor, tmp_path):
    summary = {"masked_lm/loss": 2.0, "masked_lm/unigram_loss": 3.0, "span_boundary/loss": 2.5}
    with make_monitor() as monitor:
        monitor.on_scores("heldout_span", 7, summary)
    assert read(tmp_path / "heldout_span")["masked_lm/loss"] == {7: 2.0}


def test_a_run_that_continues_hides_the_points_after_its_checkpoint(make_monitor, batch, tmp_path):
    with make_monitor() as monitor:
        for step in (1, 2, 3):
            monitor.on_log(step, [batch], [results_of(batch)], 1.0)
    (path,) = (tmp_path / "train").iterdir()
    path.rename(tmp_path / "train" / "events.out.tfevents.0000000001.host")
    with make_monitor(start=2) as monitor:
        monitor.on_log(3, [batch], [results_of(batch, 9.0)], 1.0)
    assert {step: float(v) for step, v in read(tmp_path / "train")["masked_lm/loss"].items()} == {
        1: 2.0,
        2: 2.0,
        3: 9.0,
    }


def test_without_a_terminal_losses_are_log_lines(make_monitor, batch, monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *values: lines.append(text % values))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with make_monitor() as monitor:
        monitor.on_step(1, {})
        monitor.on_log(1, [batch], [results_of(batch)], 1.0)
    assert len(lines) == 1
    assert "step 1/10" in lines[0] and "MLM 2.000" in lines[0] and "unigram 4.159" in lines[0]


def test_on_a_terminal_there_is_a_progress_bar(make_monitor, batch, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "150")
    with make_monitor() as monitor:
        monitor.on_step(3, {})
        monitor.on_log(3, [batch], [results_of(batch)], 1.0)
    assert "3/10" in terminal.getvalue() and "MLM 2.000" in terminal.getvalue()
