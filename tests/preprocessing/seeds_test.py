"""Tests of the seeds of a run: different for different purposes, equal for equal ones."""

import numpy as np

from spanbert_keras.preprocessing import seeds
from spanbert_keras.preprocessing.seeds import dropout_seeds, run_seed

PURPOSES = (
    "ROW_ORDER",
    "BLOCK_ORDER",
    "MASKS",
    "MIX_ORDER",
    "DROPOUT",
    "CORPUS",
    "MIXTURE",
    "HELD_OUT",
    "EXAMPLE_ORDER",
    "BATCH_ORDER",
    "PAIRS",
)


def test_purposes_have_the_numbers_that_runs_on_disk_depend_on():
    assert [getattr(seeds, name) for name in PURPOSES] == list(range(1, 12))


def test_runs_with_other_seeds_have_other_words():
    words = {tuple(run_seed(seed).tolist()) for seed in (0, 1, 2, 2**40)}
    assert len(words) == 4
    assert run_seed(3).dtype == np.uint32
    assert run_seed(3).tolist() == run_seed(3).tolist()


def test_dropout_seeds_differ_between_steps_replicas_parts_and_layers():
    found = [dropout_seeds(run_seed(1), step, replica, 3, 5) for step in (0, 1, 10**9) for replica in (0, 1)]
    assert all(seed.shape == (3, 5, 2) for seed in found)
    rows = np.concatenate([seed.reshape(-1, 2) for seed in found])
    assert len(np.unique(rows, axis=0)) == len(rows) == 90


def test_dropout_seeds_are_a_function_of_their_arguments_alone():
    first = dropout_seeds((7, 8), 3, 0, 2, 4)
    assert (first == dropout_seeds((7, 8), 3, 0, 2, 4)).all()
    assert (first != dropout_seeds((7, 9), 3, 0, 2, 4)).any()
    assert (first[:1] == dropout_seeds((7, 8), 3, 0, 1, 4)).all()


def test_dropout_seeds_fit_31_bits():
    assert dropout_seeds((1, 2), 5, 0, 100, 100).max() < 2**31
    assert dropout_seeds((1, 2), 5, 0, 100, 100).max() > 2**30
