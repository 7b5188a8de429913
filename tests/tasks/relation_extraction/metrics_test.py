"""Tests of the scores: the official scorer's by hand, scikit-learn's on random cases."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from spanbert_keras.program import InputError
from tasks.relation_extraction.metrics import Figure, by_relation, confusion, score

NONE = "no_relation"
KEYS = ("precision", "recall", "f1")


def three(scores):
    return pytest.approx([scores[key] for key in KEYS])


def test_counts_by_hand():
    gold = ["a", "a", "b", NONE, NONE, "c"]
    found = ["a", "b", "b", "a", NONE, NONE]
    assert by_relation(gold, found, NONE) == {"a": Figure(1, 2, 2), "b": Figure(1, 2, 1), "c": Figure(0, 0, 1)}
    scores = score(gold, found, NONE)
    assert [scores[key] for key in KEYS] == pytest.approx([100 * 2 / 4, 100 * 2 / 4, 50.0])
    assert scores["accuracy"] == pytest.approx(50.0) and scores["examples"] == 6
    more = score(gold, ["a", "a", "b", NONE, NONE, NONE], NONE)
    assert [more[key] for key in KEYS] == pytest.approx([100.0, 75.0, 100 * 6 / 7])


@pytest.mark.parametrize(
    "gold, found, expected",
    [
        (["a", "b", NONE], [NONE] * 3, (100.0, 0.0, 0.0)),  # nothing predicted
        ([NONE] * 3, [NONE] * 3, (100.0, 0.0, 0.0)),  # nothing to predict
        ([NONE] * 3, ["a", NONE, "b"], (0.0, 0.0, 0.0)),  # nothing to find
        (["a", "b"], ["b", "a"], (0.0, 0.0, 0.0)),
        (["a"] * 3, ["a"] * 3, (100.0, 100.0, 100.0)),  # one class only
        (["a"] * 4, ["a", "a", "a", NONE], (100.0, 75.0, 100 * 6 / 7)),
        (["a"] * 4, ["a", "b", "a", "a"], (75.0, 75.0, 75.0)),
    ],
)
def test_constructed_cases_are_as_the_official_scorer_has_them(gold, found, expected):
    scores = score(gold, found, NONE)
    assert [scores[key] for key in KEYS] == pytest.approx(expected)
    right = sum(one == other for one, other in zip(gold, found, strict=True))
    assert scores["accuracy"] == pytest.approx(100 * right / len(gold))


@pytest.mark.parametrize("seed", range(20))
def test_random_cases_are_scikit_learns(seed):
    random = np.random.default_rng(seed)
    labels = [NONE, *"abcdef"][: 2 + seed % 6]
    shares = random.dirichlet(np.ones(len(labels)), 2)
    size = int(random.integers(1, 60))
    gold = random.choice(labels, size, p=shares[0]).tolist()
    found = [one if random.random() < 0.5 else str(random.choice(labels, p=shares[1])) for one in gold]
    relations = labels[1:]
    scores = score(gold, found, NONE)
    nothing = 1.0 if all(one == NONE for one in found) else 0.0  # the official scorer's precision
    micro = precision_recall_fscore_support(gold, found, labels=relations, average="micro", zero_division=0)[:3]
    assert scores["precision"] == pytest.approx(100 * max(micro[0], nothing))
    assert [scores["recall"], scores["f1"]] == pytest.approx([100 * micro[1], 100 * micro[2]])
    assert scores["accuracy"] == pytest.approx(100 * accuracy_score(gold, found))
    each = np.array(precision_recall_fscore_support(gold, found, labels=relations, zero_division=0)).T
    figures = by_relation(gold, found, NONE)
    assert set(figures) == {*gold, *found} - {NONE}
    for name, (precision, recall, f1, support) in zip(relations, each.tolist(), strict=True):
        figure = figures.get(name, Figure())
        assert [figure.recall, figure.f1, figure.gold] == pytest.approx([recall, f1, support])
        assert figure.precision == pytest.approx(precision if figure.predicted else 1.0)
    assert confusion(gold, found, labels).tolist() == confusion_matrix(gold, found, labels=labels).tolist()


def test_another_name_of_no_relation_is_left_out():
    gold, found = ["Other", "a", NONE], ["a", "a", "Other"]
    assert by_relation(gold, found, "Other") == {"a": Figure(1, 2, 1), NONE: Figure(0, 0, 1)}
    assert [score(gold, found, "Other")[key] for key in KEYS] == pytest.approx([50.0, 50.0, 50.0])


def test_a_figure_sums_itself_up():
    assert Figure(3, 4, 6).summary() == pytest.approx({"precision": 75.0, "recall": 50.0, "f1": 60.0})
    assert Figure().summary() == {"precision": 100.0, "recall": 0.0, "f1": 0.0}


def test_rows_of_the_confusion_are_gold():
    assert confusion(["a", "a", "b"], ["b", "a", "b"], ["a", "b", "c"]).tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert confusion(["a"], ["a"], ["a"]).dtype == np.int64


@pytest.mark.parametrize("gold, found", [([], []), (["a"], []), (["a"], ["a", "b"])])
def test_predictions_must_be_one_an_example(gold, found):
    with pytest.raises(InputError, match=f"Received: {len(gold)} examples and {len(found)} predictions"):
        score(gold, found, NONE)
