"""Tests of what every run shows: the progress bar or log lines, and TensorBoard's folders."""

import time

import numpy as np
import pytest
from absl import logging

from spanbert_keras.training.cadence import LogWindow
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.monitoring.run_monitor import RunMonitor
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay

PLAIN = {
    "performance/data_wait_share": 0.0,
    "optimization/loss_scale": 1.0,
    "optimization/skipped_updates": 0.0,
}


def results_of(*losses, finite=True, norm=3.0, scale=1.0):
    """Returns what `train` gives for a call of as many steps as there are losses."""
    of_steps = {"loss": losses, "gradient_norm": [norm] * len(losses), "scales": [scale] * len(losses)}
    return {k: np.float32(x) for k, x in of_steps.items()} | {"finite": np.array([finite] * len(losses))}


def window_of(*results):
    return LogWindow(0, [({}, result) for result in results])


@pytest.fixture
def make_monitor(tmp_path):
    def make(resumed_at=0, distribution=None):
        monitor = RunMonitor(tmp_path, 10, WarmupLinearDecay(0.5, 4, 10), distribution)
        if resumed_at:
            monitor.resume_at(resumed_at)
        return monitor

    return make


def write(monitor, *steps, value=2.0):
    for step in steps:
        monitor.writer("train").scalars({"loss": value}, step)


def test_the_updates_since_the_last_log_point_are_summarized(make_monitor):
    window = window_of(results_of(2.0, 4.0, norm=2.0), results_of(6.0, norm=5.0, scale=8.0))
    values = make_monitor().optimization(3, window)
    assert values == {
        "optimization/learning_rate": pytest.approx(0.375),  # of the last update made: step 2
        "optimization/gradient_norm": 3.0,
        "optimization/loss": 4.0,
        "optimization/loss_scale": 8.0,
        "optimization/skipped_updates": 0.0,
    }


def test_the_gradient_norm_of_skipped_updates_is_left_out(make_monitor):
    bad = results_of(2.0, finite=False, norm=np.inf)
    values = make_monitor().optimization(2, window_of(results_of(2.0), bad))
    assert values["optimization/gradient_norm"] == 3.0 and values["optimization/skipped_updates"] == 1.0
    assert "optimization/gradient_norm" not in make_monitor().optimization(2, window_of(bad))


def test_every_name_has_its_own_folder(make_monitor, tmp_path, read_events):
    with make_monitor() as monitor:
        write(monitor, 1)
        monitor.writer("dev").scalars({"f1": 50.0}, 1)
        assert monitor.writer("dev") is monitor.writer("dev")
    assert read_events(tmp_path / "train") == {"loss": {1: 2.0}}
    assert read_events(tmp_path / "dev") == {"f1": {1: 50.0}}


def test_a_rollback_hides_the_points_that_will_be_repeated(make_monitor, tmp_path, read_events):
    with make_monitor() as monitor:
        write(monitor, 1, 2, 3, 4)
        monitor.on_rollback(2)
        write(monitor, 3, value=9.0)
    assert read_events(tmp_path / "train")["loss"] == {1: 2.0, 2: 2.0, 3: 9.0}


def test_a_resumed_run_hides_the_points_after_its_checkpoint(make_monitor, tmp_path, read_events):
    with make_monitor() as monitor:
        write(monitor, 1, 2, 3)
    (path,) = (tmp_path / "train").iterdir()
    path.rename(tmp_path / "train" / "events.out.tfevents.0000000001.host")
    with make_monitor(resumed_at=2) as monitor:
        write(monitor, 3, value=9.0)
    assert read_events(tmp_path / "train")["loss"] == {1: 2.0, 2: 2.0, 3: 9.0}


def test_the_time_of_a_checkpoint_is_written(make_monitor, tmp_path, lines, read_events):
    with make_monitor() as monitor:
        monitor.on_checkpoint(5, 1.25)
    assert read_events(tmp_path / "train")["performance/checkpoint_seconds"] == {5: 1.25}
    assert lines == ["checkpoint of step 5 written in 1.2 s"]


def test_without_a_terminal_parts_are_a_log_line_with_the_time_left(make_monitor, lines):
    parts = ["loss 2.000", "3 rows/s"]
    with make_monitor(resumed_at=2) as monitor:
        monitor.on_step(4)
        monitor._began = time.perf_counter() - 1000.0  # two steps in 1000 s, six are left
        monitor.say(4, PLAIN, parts)
    (line,) = lines
    assert line.startswith("step 4/10  loss 2.000  3 rows/s  3") and line.endswith(" s left")
    assert 3000 <= int(line.split()[-3]) < 3300
    assert parts == ["loss 2.000", "3 rows/s"]


def test_unusual_values_are_shown(make_monitor, lines):
    values = {"data_wait_share": 0.25, "loss_scale": 1024.0, "skipped_updates": 2.0}
    with make_monitor() as monitor:
        for key in PLAIN:
            monitor.say(1, PLAIN | {key: values[key.split("/")[1]]}, [])
    assert [line.split("  ")[1] for line in lines] == ["data wait 25 %", "loss scale 1024", "2 skipped"]


def test_a_terminal_shows_a_bar_with_log_lines_above_it(make_monitor, terminal):
    stream = terminal()
    handler = logging.get_absl_handler().python_handler
    before = handler.stream
    with make_monitor(resumed_at=2) as monitor:
        assert "2/10" in stream.getvalue()
        monitor.on_step(3)
        monitor.say(3, PLAIN, ["loss 2.000"])
        handler.stream.write("a [log] line\n")
        handler.stream.flush()
    assert "3/10" in stream.getvalue() and "loss 2.000" in stream.getvalue()
    assert "a [log] line" in stream.getvalue()  # no markup
    assert handler.stream is before


def test_a_worker_that_is_not_the_chief_has_no_bar(make_monitor, terminal):
    stream = terminal()
    with make_monitor(distribution=Distribution(worker=1, num_workers=2)) as monitor:
        monitor.on_step(3)
    assert stream.getvalue() == ""
