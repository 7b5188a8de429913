"""Tests of the turns: they cover the work, every side has them all, and ratios are medians."""

import itertools

from benchmarks.shared import turns


def test_turns_cover_the_steps():
    assert list(turns.turns_of(7, 3)) == [(0, 2), (2, 4), (4, 7)]


def test_every_side_has_every_turn_and_the_ratio_is_the_median(monkeypatch, capsys):
    clock = itertools.accumulate(itertools.chain.from_iterable((0.0, seconds) for seconds in (1, 2, 6, 2, 1, 1, 0, 0)))
    monkeypatch.setattr(turns.time, "perf_counter", lambda: next(clock))
    asked = []
    sides = {name: lambda first, last, name=name: asked.append((name, first, last)) for name in ("ours", "theirs")}
    turns.compare("training", 6, "steps", 3, sides)
    assert asked == [
        ("ours", 0, 2),
        ("theirs", 0, 2),
        ("theirs", 2, 4),
        ("ours", 2, 4),
        ("ours", 4, 6),
        ("theirs", 4, 6),
    ]
    out = capsys.readouterr().out
    # ours: 1, 2 and 1 s; theirs: 2, 6 and 1 s.
    assert "ours" in out and f"{6 / 4:8.2f} steps/s" in out and f"{6 / 9:8.2f} steps/s" in out
    assert "ours is 2.00 times as fast (turns: 1.00-3.00)" in out


def test_latency_asks_for_one_at_a_time(monkeypatch, capsys):
    clock, asked = itertools.accumulate([0.0, 1.0, 0.0, 2.0, 0.0, 4.0]), []
    monkeypatch.setattr(turns.time, "perf_counter", lambda: next(clock))
    turns.latency("ours", ["a", "b", "c"], asked.append)
    assert asked == [["a"], ["b"], ["c"]]
    assert "p50 2000.0 ms, p95 3800.0 ms" in capsys.readouterr().out
