"""Tests of the votes by which workers agree when to stop and when to save."""

import types

import numpy as np
import pytest

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.worker_votes import WorkerVotes


@pytest.fixture
def make_votes():
    """Function that makes the votes of one of several workers with what it alone knows."""

    def make(received=None, asks=False, overdue=False, num_workers=2):
        step = types.SimpleNamespace(distribution=Distribution(num_workers=num_workers), to_numpy=dict)
        signals, callbacks = types.SimpleNamespace(received=received), types.SimpleNamespace(stop=asks)
        return WorkerVotes(step, signals, callbacks, lambda: overdue)

    return make


def test_a_worker_votes_for_what_it_alone_knows(make_votes):
    assert make_votes().cast().tolist() == [0, 0, 0, 0]
    assert make_votes("interrupted", overdue=True).cast().tolist() == [1, 0, 0, 1]
    assert make_votes("preempted", asks=True).cast().tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "votes, decision",
    [
        ([0, 0, 0, 0], (None, False)),
        ([1, 2, 0, 0], ("interrupted", False)),
        ([0, 1, 1, 0], ("preempted", False)),
        ([0, 0, 1, 1], ("finished", True)),
        ([0, 0, 0, 1], (None, True)),
    ],
)
def test_all_workers_read_the_same_decision_from_the_sum(make_votes, votes, decision):
    for received in (None, "interrupted"):  # what a worker learned since does not count yet
        assert make_votes(received).decide(np.float32(votes)) == decision


def test_a_single_worker_decides_by_what_it_knows_now(make_votes):
    assert make_votes("preempted", num_workers=1).decide(np.zeros(4, np.float32)) == ("preempted", False)
    assert make_votes(overdue=True, num_workers=1).decide(np.zeros(4, np.float32)) == (None, True)
