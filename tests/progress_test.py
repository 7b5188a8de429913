"""Tests of the lines and the bar that show how far a computation is."""

import sys

import pytest

from spanbert_keras import progress
from spanbert_keras.progress import Progress, shown_time, tracked


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def log(caplog):
    caplog.set_level("INFO")
    return lambda: [record.getMessage() for record in caplog.records]


def test_the_log_has_a_line_every_tenth_with_rate_and_remaining_time(log):
    clock = Clock()
    with Progress(1000, "questions", clock) as shown:
        for _ in range(125):
            clock.now += 1.6
            shown.advance(8)
    lines = log()
    assert len(lines) == 10
    assert lines[0] == "104 of 1,000 questions, 10 %, 5.0 per second, 2 min 59 s remaining."
    assert lines[-1] == "1,000 of 1,000 questions, 100 %, in 3 min 20 s (5.0 per second)."


def test_the_log_has_a_line_every_half_minute_where_a_tenth_takes_longer(log):
    clock = Clock()
    with Progress(10_000, "rows", clock) as shown:
        for _ in range(10):
            clock.now += 16
            shown.advance(2)
    assert [line.split(",")[0] for line in log()] == [f"{n} of 10" for n in (4, 8, 12, 16, 20)]
    assert "0.1 per second" in log()[0] and "22 h 12 min remaining" in log()[0]


def test_items_pass_and_are_counted(log):
    items = tracked(iter("abc"), 3, "texts")
    assert list(items) == ["a", "b", "c"]
    assert [line.split(",")[0] for line in log()] == ["1 of 3 texts", "2 of 3 texts", "3 of 3 texts"]


def test_no_more_than_all_are_done(log):
    with Progress(5, "rows", Clock()) as shown:
        shown.advance(4)
        shown.advance(4)  # the last batch is filled up
        shown.advance(4)
    assert shown.done == 5 and len(log()) == 2


def test_a_terminal_has_a_bar_and_no_lines(log, monkeypatch):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    assert sys.stderr.isatty()
    assert list(tracked(range(4), 4, "rows")) == [0, 1, 2, 3] and log() == []


@pytest.mark.parametrize(
    "seconds, shown", [(0.42, "0.4 s"), (59.9, "59.9 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")]
)
def test_times_are_shown_as_people_write_them(seconds, shown):
    assert shown_time(seconds) == shown
