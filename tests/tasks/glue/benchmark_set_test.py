"""Tests of the table of sets: files of the benchmark's site, the paper's scores, required columns."""

import dataclasses

import pytest

from tasks.glue.benchmark_set import SETS, Columns
from tasks.glue.metrics import SCORES

# Names of the site's files; Wang et al., 2019, table 1, for scores and classes.
FILES = ["AX", "CoLA", "MNLI-m", "MNLI-mm", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI"]
CLASSES = {"CoLA": 2, "SST-2": 2, "MRPC": 2, "STS-B": 0, "QQP": 2, "MNLI": 3, "QNLI": 2, "RTE": 2, "WNLI": 2}
OTHER_SCORES = {
    "CoLA": {"matthews"},
    "STS-B": {"pearson", "spearman"},
    "MRPC": {"f1", "accuracy"},
    "QQP": {"f1", "accuracy"},
}


def test_the_nine_sets_have_the_sites_files_the_papers_scores_and_classes():
    assert {name: len(one.labels) for name, one in SETS.items()} == CLASSES
    assert sorted(file for one in SETS.values() for file in one.test) == FILES
    assert {name: set(one.scores) for name, one in SETS.items()} == {
        name: OTHER_SCORES.get(name, {"accuracy"}) for name in CLASSES
    }
    assert all(score in SCORES for one in SETS.values() for score in one.scores)
    assert [name for name, one in SETS.items() if one.majority] == ["WNLI"]
    assert all(one.name == name and "" in one.dev and one.labelled.label is not None for name, one in SETS.items())
    assert all(columns.label is None and columns.id for one in SETS.values() for _, columns in one.test.values())


def test_texts_and_pairs_are_the_same_in_dev_and_test():
    for one in SETS.values():
        single = one.labelled.pair is None
        assert all((columns.pair is None) == single for _, columns in one.test.values())
    assert [name for name, one in SETS.items() if one.labelled.pair is None] == ["CoLA", "SST-2"]


def test_columns_that_a_file_must_have_are_those_named_zero_too():
    assert Columns(3, None, 0, width=4).wanted() == [3, 0]
    assert Columns("a", "b", "c", "d").wanted() == ["a", "b", "c", "d"]
    assert Columns("a").wanted() == ["a"]


def test_a_set_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SETS["RTE"].labels = ()
