"""Tests of the monitor of fine-tuning: TensorBoard's scalars and log lines."""

import time

import numpy as np
import pytest

from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.training.cadence import LogWindow
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay


def call_of(masks, weights, loss=2.0):
    """Returns a call of one step: rows with these numbers of tokens, padded to the same length, and their weights."""
    places, pieces = masks
    mask = (np.arange(places) < np.array(pieces)[:, None]).astype(np.int32)
    batch = {"padding_mask": mask[None], "example_weights": np.float32(weights)[None]}
    of_step = {"loss": loss, "gradient_norm": 3.0, "scales": 1.0}
    return batch, {k: np.float32([x]) for k, x in of_step.items()} | {"finite": np.array([True])}


CALLS = [call_of((8, [8, 5, 3]), [1, 1, 1]), call_of((16, [16, 11, 16]), [1, 1, 0], loss=4.0)]
PLACES, PIECES, EXAMPLES = 3 * 8 + 3 * 16, 16 + 27, 5  # a row that fills up has places, and no pieces


def window_of(calls=CALLS, seconds=1000.0, waited=0.0):
    """Returns a `LogWindow` that began long enough ago for any slow machine."""
    return LogWindow(0, list(calls), time.perf_counter() - seconds, waited)


@pytest.fixture
def make_monitor(tmp_path):
    def make(distribution=None):
        return FineTuningMonitor(tmp_path, 10, WarmupLinearDecay(0.5, 4, 10), 4, distribution)

    return make


def test_training_writes_scalars_over_batches_of_different_lengths(make_monitor, tmp_path, read_events):
    with make_monitor() as monitor:
        monitor.on_log(2, window_of(waited=250.0))
    found = read_events(tmp_path / "train")
    assert found["optimization/loss"] == {2: 3.0} and found["optimization/gradient_norm"] == {2: 3.0}
    assert found["optimization/learning_rate"] == {2: pytest.approx(0.25)}
    assert found["data/padding_share"] == {2: pytest.approx(1 - PIECES / PLACES)}
    attended, pairs = 64 + 25 + 9 + 256 + 121, 3 * 8 * 8 + 3 * 16 * 16
    assert found["data/attention_waste_share"] == {2: pytest.approx(1 - attended / pairs)}
    assert found["performance/tokens_per_second"][2] == pytest.approx(PIECES / 1000, rel=0.2)
    assert found["performance/examples_per_second"][2] == pytest.approx(EXAMPLES / 1000, rel=0.2)
    assert found["performance/data_wait_share"][2] == pytest.approx(0.25, rel=0.2)


def test_a_wait_is_never_longer_than_the_whole(make_monitor, tmp_path, read_events):
    with make_monitor() as monitor:
        monitor.on_log(2, window_of(seconds=-5.0, waited=1.0))  # a clock that went back
    assert read_events(tmp_path / "train")["performance/data_wait_share"] == {2: 1.0}


def test_a_log_line_has_the_epoch_and_the_loss(make_monitor, lines):
    with make_monitor() as monitor:
        monitor.on_log(2, window_of())
        monitor.on_log(6, window_of(CALLS[1:], waited=500.0))
    assert "step 2/10  epoch 0.50  loss 3.000  0.0 rows/s" in lines[0] and "data wait" not in lines[0]
    assert "step 6/10  epoch 1.50  loss 4.000" in lines[1] and "data wait" in lines[1]


def test_a_terminal_shows_the_same_beside_the_bar(make_monitor, terminal):
    stream = terminal()
    with make_monitor() as monitor:
        monitor.on_step(2)
        monitor.on_log(2, window_of())
    assert "2/10" in stream.getvalue() and "epoch 0.50  loss 3.000" in stream.getvalue()


def test_scores_on_dev_have_their_own_folder(make_monitor, tmp_path, lines, read_events):
    with make_monitor() as monitor:
        monitor.on_scores(4, {"f1": 61.237, "exact_match": 50.0, "gold": 2975})
    known = {"f1": {4: pytest.approx(61.237)}, "exact_match": {4: 50.0}, "gold": {4: 2975.0}}
    assert read_events(tmp_path / "dev") == known
    assert lines == ["dev at step 4: f1 61.24, exact_match 50.00, gold 2,975"]


def test_counts_are_summed_over_workers_and_only_the_chief_writes(make_monitor, tmp_path, lines, read_events):
    class Two(Distribution):
        def sum(self, values):
            return values + np.array([28.0, 3.0, 1.0, 28.0 * 7, 9.0])  # what the other worker saw

    for worker in (1, 0):
        with make_monitor(distribution=Two(worker=worker, num_workers=2)) as monitor:
            monitor.on_log(2, window_of())
            monitor.on_scores(2, {"f1": 50.0})
        assert {path.name for path in tmp_path.iterdir()} == (set() if worker else {"train", "dev"})
    found = read_events(tmp_path / "train")
    assert found["data/padding_share"] == {2: pytest.approx(1 - (PIECES + 3) / (PLACES + 28))}
    assert len(lines) == 2
