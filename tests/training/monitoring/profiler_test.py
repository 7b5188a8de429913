"""Tests of the profile of a few steps."""

import types

import pytest

from spanbert_keras.training.monitoring.profiler import WARM_UP_STEPS, Profiler


@pytest.fixture
def make_profiler(tmp_path):
    """Function that makes a profiler and the list of what it does with its step."""

    def make(folder=tmp_path, num_steps=3):
        seen = []
        step = types.SimpleNamespace(
            start_profile=lambda folder: seen.append(("start", folder)),
            stop_profile=lambda: seen.append("stop"),
            to_numpy=lambda results: seen.append(("fetched", results)),
        )
        return Profiler(step, folder, num_steps), seen

    return make


def call(profiler, start, first, steps_per_call=1):
    profiler.before_call(start, first, steps_per_call)
    profiler.after_call(first + steps_per_call, {"step": first})


def test_the_steps_after_the_warm_up_are_recorded_once(make_profiler, tmp_path):
    profiler, seen = make_profiler()
    for first in range(100, 130):
        call(profiler, 100, first)
    last = 100 + WARM_UP_STEPS + 2
    assert seen == [("start", str(tmp_path)), ("fetched", {"step": last}), "stop"]
    for first in range(200, 230):  # e.g. after a rollback
        call(profiler, 200, first)
    profiler.stop()
    assert len(seen) == 3


def test_calls_of_several_steps_are_recorded_whole(make_profiler):
    profiler, seen = make_profiler()
    for first in range(0, 40, 4):
        call(profiler, 0, first, 4)
    assert seen[1] == ("fetched", {"step": 12})


def test_a_run_that_ends_while_recording_writes_its_profile(make_profiler):
    profiler, seen = make_profiler()
    call(profiler, 0, WARM_UP_STEPS)
    profiler.stop()
    assert seen[1:] == ["stop"]


@pytest.mark.parametrize("settings", [{"folder": None}, {"num_steps": 0}])
def test_without_a_folder_or_steps_nothing_is_recorded(make_profiler, settings):
    profiler, seen = make_profiler(**settings)
    for first in range(30):
        call(profiler, 0, first)
    profiler.stop()
    assert seen == []
