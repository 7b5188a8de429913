"""Tests of what a step is spread over, where that is one process."""

import dataclasses
import hashlib

import numpy as np
import pytest

from spanbert_keras.training.distributed.distribution import KINDS, Distribution


def test_by_default_there_is_one_device_of_one_process():
    distribution = Distribution()
    assert (distribution.worker, distribution.num_workers, distribution.local_replicas) == (0, 1, 1)
    assert (distribution.replicas, distribution.is_chief, distribution.native) == (1, True, None)


@pytest.mark.parametrize("worker, is_chief", [(0, True), (1, False), (3, False)])
def test_worker_0_is_the_chief_and_all_workers_have_equally_many_devices(worker, is_chief):
    distribution = Distribution(worker=worker, num_workers=4, local_replicas=8)
    assert distribution.replicas == 32
    assert distribution.is_chief is is_chief


def test_one_worker_is_the_sum_of_all():
    values = np.array([[1.0, 2.0], [3.0, 4.5]])
    np.testing.assert_array_equal(Distribution().sum(values), values)


def test_the_scope_of_one_device_changes_nothing():
    with Distribution().scope() as scope:
        assert scope is None


def test_it_is_a_value():
    assert Distribution(1, 2) == Distribution(worker=1, num_workers=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Distribution().worker = 1
    assert KINDS == ("none", "mirrored", "multi_worker")


def test_workers_agree_only_if_all_give_the_same_text():
    class Others(Distribution):
        def sum(self, values):
            return values + sum(np.array([mark, mark * mark]) for mark in marks)

    alone, three = Distribution(), Others(num_workers=3)
    assert alone.agrees("one") and alone.agrees("two")
    own = float(int(hashlib.sha256(b"one").hexdigest()[:5], 16))
    for others, same in (([own, own], True), ([own, own + 1], False), ([own - 1, own + 1], False)):
        marks = others
        assert three.agrees("one") is same
