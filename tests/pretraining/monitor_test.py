"""Tests of the monitor of pre-training: facts of batches, TensorBoard, log lines, the progress bar."""

import dataclasses
import time

import numpy as np
import pytest

from spanbert_keras.pretraining.monitor import (
    COUNTED,
    LONGEST_SPAN_SHOWN,
    PretrainingMonitor,
    data_facts,
    data_totals,
    work_of,
)
from spanbert_keras.pretraining.piece_scores import unigram_losses
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.monitoring.flops import Performance
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay
from spanbert_keras.training.trainer import LogWindow


def results_of(batch, loss=2.0, finite=True, norm=3.0, scale=1.0):
    """Returns what `train` gives for a call of one step."""
    shape = (1, *batch["mask_ids"].shape)
    scores = {
        name: np.full(shape, loss, np.float32) for name in ("mlm_losses", "sbo_losses", "mlm_correct", "sbo_correct")
    }
    of_step = {"loss": np.float32([loss]), "gradient_norm": np.float32([norm])}
    return scores | of_step | {"finite": np.array([finite]), "scales": np.float32([scale])}


def window_of(first, *calls, seconds=1.0, waited=0.0):
    """Returns a `LogWindow` of calls of one step, (batch, results) each, that began long ago."""
    calls = [({key: value[None] for key, value in batch.items()}, results) for batch, results in calls]
    return LogWindow(first, calls, time.perf_counter() - seconds, waited)


@pytest.fixture
def make_monitor(tmp_path):
    def make(peak=None, distribution=None):
        rate = WarmupLinearDecay(0.5, 4, 10)
        performance = Performance(lambda work: 1e9 * work.tokens, 2, peak)
        unigram = unigram_losses(np.ones(64))
        return PretrainingMonitor(tmp_path, 10, rate, 4, unigram, performance, distribution)

    return make


def test_facts_of_batches_are_counted(stream_of):
    stream = stream_of()
    batches = [stream.batch(k) for k in range(3)]
    pieces = sum(sum(int(p > 0) for row in b["padding_mask"].tolist() for p in row) for b in batches)
    totals = data_totals(batches)
    masked, targets = (sum(b[name].sum() for b in batches) for name in ("mask_weights", "span_weights"))
    blocks = sum(b["padding_mask"].max(1).sum() for b in batches)
    lengths = [row.tolist().count(j) for b in batches for row in b["padding_mask"] for j in range(1, row.max() + 1)]
    attended = sum(length**2 for length in lengths)
    expected = [3 * 4 * 24, pieces, masked, targets, blocks, 3 * 4, 3 * 4 * 24 * 24, attended, 0]
    assert totals[: len(COUNTED)].tolist() == expected
    work = work_of(totals)
    assert dataclasses.astuple(work) == (pieces, attended, masked, targets, 0)
    facts = data_facts(totals, 3)
    assert facts["data/padding_share"] == pytest.approx(1 - pieces / (3 * 4 * 24))
    assert facts["data/attention_waste_share"] == pytest.approx(1 - attended / (3 * 4 * 24 * 24))
    assert facts["data/masked_share"] == pytest.approx(masked / pieces)
    assert facts["data/span_boundary_share"] == pytest.approx(targets / masked)
    assert facts["data/blocks_per_batch"] == blocks / 3
    assert 0 < facts["data/span_boundary_share"] <= 1


def test_pairs_of_segments_are_counted_if_there_are_any(batch):
    paired, _ = with_pairs(batch, {}, 1, 0.0, 1)
    assert work_of(data_totals([paired, batch])).pairs == 2 * len(batch["token_ids"]) - 1


def test_full_rows_of_one_block_waste_no_attention(batch):
    whole = {**batch, "padding_mask": np.ones_like(batch["padding_mask"])}
    assert data_facts(data_totals([whole]), 1)["data/attention_waste_share"] == 0
    halves = {**batch, "padding_mask": np.where(np.arange(24) < 12, 1, 2) * whole["padding_mask"]}
    assert data_facts(data_totals([halves]), 1)["data/attention_waste_share"] == 0.5
    assert data_facts(data_totals([whole, halves]), 2)["data/attention_waste_share"] == 0.25


def test_totals_of_workers_add_up(stream_of):
    batches = [stream_of().batch(k) for k in range(4)]
    np.testing.assert_array_equal(data_totals(batches[:1]) + data_totals(batches[1:]), data_totals(batches))


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
    totals = data_totals(batches)
    counts = totals[len(COUNTED) :]
    assert counts.tolist() == expected.tolist()
    assert (counts * np.arange(len(counts))).sum() == sum(b["mask_weights"].sum() for b in batches)
    mean = (counts * np.arange(len(counts))).sum() / counts.sum()
    assert data_facts(totals, 4)["data/mean_span_length"] == pytest.approx(mean)


def test_very_long_spans_are_in_the_last_bar(batch):
    long = {**batch, "right_positions": batch["left_positions"] + 500}
    assert data_totals([long])[-1] == data_totals([batch])[len(COUNTED) :].sum()


def test_batches_of_padding_have_finite_facts(batch):
    empty = {name: np.zeros_like(value) for name, value in batch.items()}
    assert all(np.isfinite(list(data_facts(data_totals([empty]), 1).values())))


def test_training_writes_scalars_and_the_histogram(make_monitor, batch, tmp_path, read_events):
    calls = [(batch, results_of(batch, 2.0, scale=8.0)), (batch, results_of(batch, 4.0, finite=False, scale=4.0))]
    with make_monitor() as monitor:
        monitor.on_log(2, window_of(0, *calls, seconds=1.5, waited=0.3))
    found = read_events(tmp_path / "train")
    assert found["masked_lm/loss"] == {2: 3.0}
    assert found["span_boundary/loss"] == {2: 3.0}
    assert found["optimization/loss"] == {2: 3.0}
    assert found["optimization/gradient_norm"] == {2: 3.0}
    assert found["optimization/skipped_updates"] == {2: 1.0}
    assert found["optimization/loss_scale"] == {2: 4.0}  # that of the last step
    assert found["optimization/learning_rate"] == {2: pytest.approx(0.25)}  # of the last update made: step 1
    assert found["masked_lm/unigram_loss"] == {2: pytest.approx(np.log(64), rel=1e-6)}
    buckets = found["data/span_lengths"][2]  # left, right, count; none after the longest span
    assert buckets.shape[1] == 3 and 1 < len(buckets) <= LONGEST_SPAN_SHOWN + 1 and buckets[-1, 2] > 0
    pieces = 2 * (batch["padding_mask"] > 0).sum()
    assert found["performance/tokens_per_second"][2] == pytest.approx(pieces / 1.5, rel=0.2)
    assert found["performance/data_wait_share"][2] == pytest.approx(0.2, rel=0.2)
    assert {
        "data/padding_share",
        "data/attention_waste_share",
        "data/span_boundary_share",
        "masked_lm/loss_masked",
    } <= set(found)
    assert "performance/model_flops_utilization" not in found


def with_pairs(batch, results, labels, losses, correct):
    """Returns a batch and the results of its step with pairs: rows of two, of which the second is padding at times."""
    rows = len(batch["token_ids"])
    weights = np.ones((rows, 2), np.float32)
    weights[0, 1] = 0  # one pair less
    pairs = {"next_sentence_labels": np.full((rows, 2), labels, np.int32), "pair_weights": weights}
    scores = {"nsp_losses": np.full((1, rows, 2), losses, np.float32)}
    return batch | pairs, results | scores | {"nsp_correct": np.full((1, rows, 2), correct, np.float32)}


def test_training_writes_and_shows_the_scores_of_pairs(make_monitor, batch, tmp_path, read_events, lines):
    calls = [with_pairs(batch, results_of(batch), 1, 0.25, 1), with_pairs(batch, results_of(batch), 0, 0.75, 0)]
    with make_monitor() as monitor:
        monitor.on_log(2, window_of(0, calls[0], calls[0], calls[0], calls[1]))
    found = read_events(tmp_path / "train")
    assert found["next_sentence/loss"] == {2: pytest.approx(0.375)}
    assert found["next_sentence/accuracy"] == {2: pytest.approx(0.75)}
    assert found["next_sentence/random_share"] == {2: pytest.approx(0.75)}
    assert found["next_sentence/majority_accuracy"] == {2: pytest.approx(0.75)}
    assert "NSP 0.375" in lines[0] and "NSP accuracy 75 % (majority 75 %)" in lines[0]


def test_held_out_scores_of_pairs_are_written_and_logged(make_monitor, tmp_path, read_events, lines):
    names = ("loss", "accuracy", "random_share", "majority_accuracy")
    summary = dict(zip([f"next_sentence/{name}" for name in names], (0.5, 0.625, 0.25, 0.75), strict=True))
    with make_monitor() as monitor:
        monitor.on_scores("heldout_span", 7, summary)
        monitor.on_scores("heldout_span", 8, {"masked_lm/loss": 2.0})
    found = read_events(tmp_path / "heldout_span")
    assert {tag: found[tag] for tag in summary} == {tag: {7: value} for tag, value in summary.items()}
    pairs = "heldout_span at step 7, pairs of segments: NSP 0.500, NSP accuracy 62 % (majority 75 %)"
    assert [line for line in lines if "NSP" in line] == [pairs]


def test_a_call_of_several_steps_counts_as_that_many_calls(make_monitor, stream_of, tmp_path, read_events):
    batches = [stream_of().batch(k) for k in range(3)]
    results = [
        results_of(batch, loss, norm=norm) for batch, loss, norm in zip(batches, (1, 2, 6), (1, 3, 5), strict=True)
    ]
    joined = {key: np.concatenate([result[key] for result in results]) for key in results[0]}
    together = {key: np.stack([batch[key] for batch in batches]) for key in batches[0]}
    with make_monitor() as monitor:
        monitor.on_log(3, window_of(0, *zip(batches, results, strict=True)))
        monitor.on_log(6, LogWindow(3, [(together, joined)], time.perf_counter() - 1.0))
    found = read_events(tmp_path / "train")
    for tag in found:
        if not tag.startswith(("performance/", "optimization/learning_rate")):
            np.testing.assert_allclose(found[tag][3], found[tag][6], err_msg=tag)
    assert found["optimization/loss"][6] == 3.0 and found["optimization/gradient_norm"][6] == 3.0


def test_counts_are_summed_over_workers_and_only_the_chief_writes(make_monitor, batch, tmp_path, read_events):
    class Two(Distribution):
        def sum(self, values):
            return 2.0 * values  # the other worker saw the same

    for worker in (1, 0):
        with make_monitor(distribution=Two(worker=worker, num_workers=2)) as monitor:
            monitor.on_log(1, window_of(0, (batch, results_of(batch))))
            monitor.on_scores("heldout_span", 1, {"masked_lm/loss": 2.0})
        assert {path.name for path in tmp_path.iterdir()} == (set() if worker else {"train", "heldout_span"})
    found = read_events(tmp_path / "train")
    assert found["masked_lm/loss"] == {1: 2.0}
    assert found["data/blocks_per_batch"][1] == 2 * batch["padding_mask"].max(1).sum()
    assert found["data/span_lengths"][1][:, 2].sum() == 2 * data_totals([batch])[len(COUNTED) :].sum()
    pieces = 2 * (batch["padding_mask"] > 0).sum()
    assert found["performance/tokens_per_second"][1] == pytest.approx(pieces, rel=0.2)


def test_utilization_is_written_and_logged_if_the_peak_is_known(make_monitor, batch, tmp_path, lines, read_events):
    pieces = (batch["padding_mask"] > 0).sum()
    with make_monitor(peak=float(pieces) * 1e9) as monitor:  # 2 replicas, 1 GFLOP a piece: half in a second
        monitor.on_log(1, window_of(0, (batch, results_of(batch, scale=1024.0, finite=False)), waited=0.5))
    assert read_events(tmp_path / "train")["performance/model_flops_utilization"][1] == pytest.approx(0.5, rel=0.2)
    (line,) = lines
    assert "MFU 4" in line or "MFU 5" in line
    assert "data wait" in line and "loss scale 1024" in line and "1 skipped" in line


def test_held_out_scores_have_their_own_folder(make_monitor, tmp_path, read_events):
    summary = {"masked_lm/loss": 2.0, "masked_lm/unigram_loss": 3.0, "span_boundary/loss": 2.5}
    with make_monitor() as monitor:
        monitor.on_scores("heldout_span", 7, summary)
    assert read_events(tmp_path / "heldout_span")["masked_lm/loss"] == {7: 2.0}


def test_without_a_terminal_losses_are_log_lines(make_monitor, batch, lines):
    with make_monitor() as monitor:
        monitor.on_step(1)
        monitor.on_log(1, window_of(0, (batch, results_of(batch))))
    assert len(lines) == 1
    assert "step 1/10" in lines[0] and "MLM 2.000" in lines[0] and "unigram 4.159" in lines[0]
    assert "MFU" not in lines[0] and "data wait" not in lines[0] and "loss scale" not in lines[0]


def test_on_a_terminal_there_is_a_progress_bar(make_monitor, batch, terminal):
    stream = terminal()
    with make_monitor() as monitor:
        monitor.on_step(3)
        monitor.on_log(3, window_of(2, (batch, results_of(batch))))
    assert "3/10" in stream.getvalue() and "MLM 2.000" in stream.getvalue()
