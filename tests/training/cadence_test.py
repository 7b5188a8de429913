"""Tests of the cadence: where calls end, what is due when."""

import pytest

from spanbert_keras.training.cadence import Cadence, LogWindow


def stops(**settings):
    """Returns where the calls of a run end."""
    cadence, ends = Cadence(**settings), [0]
    while ends[-1] < cadence.total_steps:
        ends.append(cadence.next_stop(ends[-1]))
    return ends[1:]


def test_calls_end_where_something_is_due():
    every = {"log_every": 5, "evaluate_every": 4, "checkpoint_every": 7, "encoder_every": 0}
    assert stops(total_steps=11, steps_per_call=100, **every) == [4, 5, 7, 8, 10, 11]
    assert stops(total_steps=11, steps_per_call=2, **every) == [2, 4, 5, 7, 8, 10, 11]
    assert stops(total_steps=3, steps_per_call=1, **every) == [1, 2, 3]


def test_an_interval_of_zero_ends_no_call():
    never = {"log_every": 50, "evaluate_every": 0, "checkpoint_every": 50, "encoder_every": 0}
    assert stops(total_steps=60, steps_per_call=64, **never) == [50, 60]


def test_a_resumed_run_ends_its_calls_where_the_whole_one_did():
    cadence = Cadence(total_steps=10**9 + 10, steps_per_call=8, log_every=50)
    assert cadence.next_stop(10**9 - 3) == 10**9


def test_no_call_has_batches_of_two_phases_also_after_batches_were_left_out():
    cadence = Cadence(
        total_steps=20, steps_per_call=8, log_every=0, evaluate_every=0, checkpoint_every=0, phase_ends=(5,)
    )
    assert [cadence.next_stop(done) for done in (0, 4, 5, 13)] == [5, 5, 13, 20]
    assert [cadence.next_stop(done, skipped_batches=2) for done in (0, 3)] == [3, 11]


@pytest.mark.parametrize("done, every, due", [(6, 3, True), (7, 3, False), (9, 4, True), (9, 0, False), (0, 3, True)])
def test_actions_are_due_at_multiples_and_at_the_end(done, every, due):
    assert Cadence(total_steps=9).due(done, every) is due


def test_a_window_starts_now_and_empty():
    one, two = LogWindow(3), LogWindow(4)
    assert one.calls == [] and one.calls is not two.calls and one.began <= two.began and one.checked == 0
