"""Tests of batches prepared ahead of time."""

import itertools
import threading
import time

import pytest

from spanbert_keras.training.prefetch import prefetch


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "prefetch" and thread.is_alive()]


def test_results_come_in_order():
    assert list(prefetch(lambda k: k * k, range(3, 40))) == [k * k for k in range(3, 40)]
    assert list(prefetch(lambda k: k, [])) == []


def test_results_are_prepared_ahead_but_no_more_than_the_depth():
    made = []
    batches = prefetch(lambda k: made.append(k) or k, range(100), depth=3)
    assert next(batches) == 0
    deadline = time.monotonic() + 5
    while len(made) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert made == list(range(5))  # one used, three ready, one waiting for room
    batches.close()


def test_an_error_is_raised_where_its_result_would_have_come():
    def make(k):
        if k == 2:
            raise KeyError("batch 2")
        return k

    batches = prefetch(make, range(9))
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(KeyError, match="batch 2"):
        next(batches)
    assert not threads()


def test_an_error_of_the_items_is_raised_after_the_results_before_it():
    def items():
        yield 1
        raise OSError("no more")

    batches = prefetch(lambda k: -k, items())
    assert next(batches) == -1
    with pytest.raises(OSError, match="no more"):
        next(batches)
    assert not threads()


def test_none_is_a_result_like_others():
    assert list(prefetch(lambda k: None, range(3))) == [None] * 3


def test_closing_ends_the_thread():
    batches = prefetch(lambda k: k, itertools.count())
    assert next(batches) == 0
    assert len(threads()) == 1
    batches.close()
    assert not threads()


def test_the_thread_ends_with_the_last_result():
    list(prefetch(lambda k: k, range(3)))
    assert not threads()
