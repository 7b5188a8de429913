"""Tests of the set of hashes, against Python's own."""

import random

import numpy as np

from spanbert_keras.data.corpus import hash_set
from spanbert_keras.data.corpus.hash_set import HashSet


def test_it_holds_what_a_python_set_holds(monkeypatch):
    monkeypatch.setattr(hash_set, "MAX_RECENT", 50)
    draw = random.Random(5)
    population = [draw.getrandbits(64) for _ in range(400)] + [0, 2**64 - 1, 2**63, 2**56]
    ours, python = HashSet(), set()
    for value in draw.choices(population, k=2000):
        assert ours.add(value) == (value not in python)
        python.add(value)
    assert len(python) > 300


def test_update_adds_many_at_once():
    values = np.array([7, 2**64 - 1, 2**60 + 3, 7], np.uint64)
    ours = HashSet()
    ours.update(values)
    ours.update(np.zeros(0, np.uint64))
    assert [ours.add(int(value)) for value in values] == [False] * 4
    assert ours.add(8) and not ours.add(8)
