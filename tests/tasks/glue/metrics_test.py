"""Tests of the scores: counted by hand, and those of scikit-learn and scipy."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import sklearn.preprocessing

from spanbert_keras.program import InputError
from tasks.glue import metrics
from tasks.glue.data import Example

LABELS = {
    "some of everything": ("1101001100", "1001011000"),
    "all right": ("10110", "10110"),
    "all wrong": ("10110", "01001"),
    "nothing predicted positive": ("10110", "00000"),
    "all predicted positive": ("10110", "11111"),
    "nothing positive": ("00000", "01100"),
    "only positives": ("11111", "01101"),
    "negatives alone": ("000", "000"),
    "positives alone": ("111", "111"),
    "one right": ("1", "1"),
    "one right negative": ("0", "0"),
    "one missed": ("1", "0"),
    "one invented": ("0", "1"),
}


def hits(gold, found, label="1"):
    """Returns how many of a label are right, invented, missed, rightly not given."""
    gold, found = np.array(list(gold)) == label, np.array(list(found)) == label
    return [int(np.sum(x)) for x in (gold & found, ~gold & found, gold & ~found, ~gold & ~found)]


def f1(gold, found, label="1"):
    right, invented, missed, _ = hits(gold, found, label)
    return 200 * right / (2 * right + invented + missed) if right else 0.0


@pytest.mark.parametrize("gold, found", LABELS.values(), ids=LABELS)
def test_two_classes_are_scored_as_by_hand(gold, found):
    right, invented, missed, rest = hits(gold, found)
    pair = list(gold), list(found)
    assert metrics.accuracy(*pair) == pytest.approx(100 * (right + rest) / len(gold))
    assert metrics.f1(*pair) == pytest.approx(f1(gold, found))
    root = np.sqrt(float((right + invented) * (right + missed) * (rest + invented) * (rest + missed)))
    assert metrics.matthews(*pair) == pytest.approx(100 * (right * rest - invented * missed) / root if root else 0.0)
    names = sorted({*gold, *found})
    assert metrics.macro_f1(*pair) == pytest.approx(np.mean([f1(gold, found, name) for name in names]))


@pytest.mark.parametrize("seed", range(8))
def test_several_classes_are_scored_as_by_hand_and_by_scikit_learn(seed):
    random = np.random.default_rng(seed)
    labels = list("abcde")[: 2 + seed % 4]
    size = int(random.integers(1, 40))
    gold = random.choice(labels, size).tolist()
    found = [one if random.random() < 0.6 else str(random.choice(labels)) for one in gold]
    assert metrics.accuracy(gold, found) == pytest.approx(100 * np.mean(np.array(gold) == np.array(found)))
    names = sorted({*gold, *found})
    assert metrics.macro_f1(gold, found) == pytest.approx(np.mean([f1(gold, found, name) for name in names]))
    table = np.array([[sum((g, p) == (a, b) for g, p in zip(gold, found, strict=True)) for b in names] for a in names])
    rows, columns, total = table.sum(axis=1), table.sum(axis=0), table.sum()
    root = np.sqrt(float((total**2 - columns @ columns) * (total**2 - rows @ rows)))  # Gorodkin, 2004
    matthews = 100 * (np.trace(table) * total - rows @ columns) / root if root else 0.0
    assert metrics.matthews(gold, found) == pytest.approx(matthews)
    assert metrics.matthews(gold, found) == pytest.approx(100 * sklearn.metrics.matthews_corrcoef(gold, found))


def test_random_pairs_of_two_classes_are_scikit_learns():
    random = np.random.default_rng(3)
    for size in (2, 9, 50):
        gold, found = (random.choice(["0", "1"], size, p=[0.3, 0.7]).tolist() for _ in range(2))
        assert metrics.f1(gold, found) == pytest.approx(
            100 * sklearn.metrics.f1_score([one == "1" for one in gold], [one == "1" for one in found])
        )


NUMBERS = {
    "any": ([0.0, 2.5, 3.0, 5.0, 1.2], [0.3, 1.9, 4.4, 4.0, -0.7]),
    "a line": ([1.0, 2.0, 4.0], [0.5, 1.0, 2.0]),
    "a falling line": ([1.0, 2.0, 4.0], [3.0, 2.0, 0.0]),
    "a curve": ([1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]),
    "ties": ([1.0, 2.0, 2.0, 2.0, 5.0, 0.0], [3.0, 1.0, 1.0, 7.0, 7.0, 0.5]),
    "two": ([1.0, 2.0], [4.0, 3.0]),
    "constant predictions": ([1.0, 2.0, 3.0], [2.5, 2.5, 2.5]),
    "constant gold": ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0]),
    "one example": ([1.0], [2.0]),
}


def pearson(gold, found):
    """The oracle: sums of products of deviations from the mean; 0 if one side is constant."""
    a, b = (np.asarray(values, np.float64) - np.mean(values) for values in (gold, found))
    root = np.sqrt((a @ a) * (b @ b))
    return 100 * (a @ b) / root if root else 0.0


def ranks(values):
    """The oracle: the number of smaller values, and the middle of equal ones."""
    return [np.sum(np.array(values) < one) + (np.sum(np.array(values) == one) + 1) / 2 for one in values]


@pytest.mark.parametrize("gold, found", NUMBERS.values(), ids=NUMBERS)
def test_correlations_are_those_by_hand(gold, found):
    assert metrics.pearson(gold, found) == pytest.approx(pearson(gold, found))
    assert metrics.spearman(gold, found) == pytest.approx(pearson(ranks(gold), ranks(found)))


def test_correlations_are_scipys_and_never_nan():
    random = np.random.default_rng(0)
    gold, found = random.integers(0, 6, 40).astype(float), random.normal(size=40).round(1)
    assert metrics.pearson(gold, found) == pytest.approx(100 * scipy.stats.pearsonr(gold, found).statistic)
    assert metrics.spearman(gold, found) == pytest.approx(100 * scipy.stats.spearmanr(gold, found).statistic)
    assert metrics.spearman(*NUMBERS["a curve"]) == pytest.approx(100.0)
    assert metrics.pearson(*NUMBERS["a curve"]) < 90
    for name in ("constant predictions", "constant gold", "one example"):
        assert metrics.pearson(*NUMBERS[name]) == metrics.spearman(*NUMBERS[name]) == 0.0
    assert metrics.pearson([1.0, 2.0, 3.0], [1.0, np.nan, 2.0]) == 0.0


def test_scores_that_have_no_meaning_give_no_warning(recwarn):
    assert metrics.matthews(["1", "1"], ["1", "1"]) == metrics.matthews(["0", "1"], ["1", "1"]) == 0.0
    assert -100 <= metrics.pearson([1.0, 2.0, 3.0], [1.0, 1.0, 1.0 + 1e-15]) <= 100
    assert [str(warning.message) for warning in recwarn] == []


def test_several_scores_have_their_mean_and_the_number_of_examples():
    gold, found = list("1101"), list("1011")
    scores = metrics.score(("f1", "accuracy"), gold, found)
    assert scores == pytest.approx({"f1": 200 / 3, "accuracy": 50.0, "score": (200 / 3 + 50) / 2, "examples": 4})
    assert metrics.score(("matthews",), list("10"), list("10")) == pytest.approx(
        {"matthews": 100.0, "score": 100.0, "examples": 2}
    )


@pytest.mark.parametrize("gold, found", [([], []), (["1"], []), (["1"], ["1", "0"])])
def test_there_must_be_a_prediction_for_each_example(gold, found):
    with pytest.raises(InputError, match=f"Received: {len(gold)} examples and {len(found)} predictions"):
        metrics.score(("accuracy",), gold, found)


def test_examples_are_scored_by_labels_or_by_numbers():
    examples = [Example(str(number), "a", None, label) for number, label in enumerate(["1.0", "2", "4.000"])]
    scores = metrics.score_examples(("pearson", "spearman"), examples, [0.5, 3.0, 2.0])
    assert scores["pearson"] == pytest.approx(pearson([1, 2, 4], [0.5, 3, 2])) and scores["spearman"] == 50.0
    labels = metrics.score_examples(("accuracy",), examples, ["1.0", "2.0", "4"])
    assert labels["accuracy"] == pytest.approx(100 / 3)  # labels are names: 2 is not 2.0


SEVERAL = {
    "some of everything": ([("a", "b"), ("c",), (), ("a",)], [("a",), ("c", "a"), (), ("b",)]),
    "all right, in another order": ([("a", "b"), ()], [("b", "a"), ()]),
    "nothing found": ([("a", "b"), ("c",)], [(), ()]),
    "all invented": ([(), ()], [("a",), ("b", "c")]),
    "one label": ([("a",), ()], [("a",), ("a",)]),
}


@pytest.mark.parametrize("gold, found", SEVERAL.values(), ids=SEVERAL.keys())
def test_scores_of_several_labels_are_counted_by_hand_and_those_of_scikit_learn(gold, found):
    names = sorted({label for labels in (*gold, *found) for label in labels})
    hits = {name: sum(name in g and name in f for g, f in zip(gold, found, strict=True)) for name in names}
    both = {name: sum(name in labels for labels in (*gold, *found)) for name in names}
    scores = metrics.score(("micro_f1", "macro_f1", "exact_match"), gold, found)
    assert scores["micro_f1"] == pytest.approx(200 * sum(hits.values()) / sum(both.values()))
    assert scores["macro_f1"] == pytest.approx(100 * np.mean([2 * hits[name] / both[name] for name in names]))
    right = [set(g) == set(f) for g, f in zip(gold, found, strict=True)]
    assert scores["exact_match"] == pytest.approx(100 * np.mean(right))
    binarizer = sklearn.preprocessing.MultiLabelBinarizer(classes=names)
    sides = [binarizer.fit_transform(side) for side in (gold, found)]
    for name in ("micro", "macro") if len(names) > 1 else ():  # of one column scikit-learn counts the zeros too
        expected = sklearn.metrics.f1_score(*sides, average=name, zero_division=0.0)
        assert scores[f"{name}_f1"] == pytest.approx(100 * expected)


def test_texts_that_all_have_no_label_are_right_and_have_no_f1(recwarn):
    gold = found = [(), ()]
    assert (metrics.micro_f1(gold, found), metrics.macro_f1(gold, found), metrics.exact_match(gold, found)) == (
        0,
        0,
        100,
    )
    assert [str(warning.message) for warning in recwarn] == []


def test_of_several_numbers_the_mean_of_their_correlations_counts():
    random = np.random.default_rng(1)
    gold, found = random.normal(size=(9, 3)), random.normal(size=(9, 3))
    gold[:, 2] = 1.0  # has no correlation: 0
    examples = [Example(str(i), "a", None, tuple(map(str, row))) for i, row in enumerate(gold.tolist())]
    scores = metrics.score_examples(("pearson", "spearman"), examples, [tuple(row) for row in found.tolist()])
    for name, function in (("pearson", scipy.stats.pearsonr), ("spearman", scipy.stats.spearmanr)):
        each = [function(gold[:, i], found[:, i])[0] for i in range(2)]
        assert scores[name] == pytest.approx(100 * sum(each) / 3)
    assert scores["score"] == pytest.approx((scores["pearson"] + scores["spearman"]) / 2)


def test_the_chosen_scores_make_the_mean():
    gold, found = [("a", "b"), ()], [("a",), ()]
    scores = metrics.score(("micro_f1", "exact_match"), gold, found, ("exact_match",))
    assert scores["score"] == scores["exact_match"] == 50.0 != scores["micro_f1"]


def test_every_score_has_its_name():
    assert {name: function.__name__ for name, function in metrics.SCORES.items()} == {
        name: name
        for name in ("accuracy", "f1", "macro_f1", "matthews", "pearson", "spearman", "micro_f1", "exact_match")
    }


def test_missing_libraries_are_reported_with_the_extra(monkeypatch):
    asked = []
    monkeypatch.setattr(metrics, "load", lambda *given: asked.append(given))
    metrics.need_libraries()
    assert {(name.partition(".")[0], extra) for name, extra in asked} == {
        ("scipy", "classification"),
        ("sklearn", "classification"),
    }
