"""Tests of the scores: the official scorer's by hand, scikit-learn's on random cases."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from spanbert_keras.program import InputError
from tasks.relation_extraction.metrics import Figure, by_relation, confusion, directed_scores, score

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


RELATIONS = "Cause-Effect Component-Whole Content-Container Entity-Destination Entity-Origin".split()
RELATIONS += "Instrument-Agency Member-Collection Message-Topic Product-Producer".split()
DIRECTED = [f"{name}({way})" for name in RELATIONS for way in ("e1,e2", "e2,e1")]
MACRO = ("macro_precision", "macro_recall", "macro_f1")


def semeval(gold, found):
    """Returns the official score from a table of all 19 labels, in NumPy float64."""
    labels = [*DIRECTED, "Other"]
    table = np.zeros((19, 19))
    np.add.at(table, ([labels.index(one) for one in gold], [labels.index(one) for one in found]), 1)
    rows = []
    for place in range(0, 18, 2):
        both = slice(place, place + 2)
        right, block = np.trace(table[both, both]), table[both, both].sum()
        wrong_way = block - right
        elsewhere, invented = table[both].sum() - block, table[:, both].sum() - block
        if table[both].sum() == 0:
            continue
        p = right / (right + wrong_way + invented) if right + wrong_way + invented else 0.0
        r = right / (right + wrong_way + elsewhere)
        rows.append((p, r, 2 * p * r / (p + r) if p + r else 0.0))
    return 100 * np.mean(rows, axis=0)


@pytest.mark.parametrize("seed", range(12))
def test_relations_with_directions_have_semevals_official_score(seed):
    random = np.random.default_rng(seed)
    labels = [*DIRECTED[: 4 + seed], "Other"]
    gold = random.choice(labels, 80).tolist()
    found = [one if random.random() < 0.6 else str(random.choice(labels)) for one in gold]
    scores = score(gold, found, "Other")
    assert [scores[name] for name in MACRO] == pytest.approx(semeval(gold, found).tolist())
    assert list(scores) == [*KEYS, *MACRO, "accuracy", "examples"]
    assert scores["macro_f1"] != pytest.approx(scores["f1"], abs=1e-6)


def test_a_published_result_of_the_official_scorer_comes_out():
    """Right, predicted and gold counts of each relation that scorer 1.2 printed, and what it made of them."""
    counts = [
        (307, 370, 326),
        (239, 355, 302),
        (160, 215, 183),
        (271, 390, 292),
        (219, 295, 251),
        (102, 149, 156),
        (207, 279, 226),
        (236, 331, 261),
        (168, 288, 225),
    ]
    names = [f"{name}(e1,e2)" for name in RELATIONS]
    right = [name for name, (hits, _, _) in zip(names, counts, strict=True) for _ in range(hits)]
    missed = [name for name, (hits, _, there) in zip(names, counts, strict=True) for _ in range(there - hits)]
    missed += ["Other"] * 450
    invented = [name for name, (hits, found, _) in zip(names, counts, strict=True) for _ in range(found - hits)]
    turns = (invented[k:] + invented[:k] for k in range(len(invented)))
    invented = next(turn for turn in turns if all(a != b for a, b in zip(missed, turn, strict=True)))
    scores = score(right + missed, right + invented, "Other")
    assert [round(scores[name], 2) for name in MACRO] == [71.19, 84.76, 77.24]
    assert [round(scores[name], 2) for name in KEYS] == [71.44, 85.91, 78.01]  # its micro average, of (2*9+1) ways


def test_the_wrong_direction_is_an_error_of_both_kinds():
    gold = ["A(e1,e2)", "A(e2,e1)", "A(e1,e2)", "B(e1,e2)", "Other"]
    found = ["A(e1,e2)", "A(e1,e2)", "A(e2,e1)", "Other", "B(e2,e1)"]
    scores = directed_scores(gold, found, "Other")  # of A one of three is right, of B none
    assert [scores[name] for name in MACRO] == pytest.approx([100 * (1 / 3) / 2] * 3)
    assert directed_scores(["A(e1,e2)"], ["A(e2,e1)"], "Other") == dict.fromkeys(MACRO, 0.0)
    lost = directed_scores(["A(e1,e2)", "A(e1,e2)"], ["A(e1,e2)", "C(e1,e2)"], "Other")  # C is not in the key
    assert [lost[name] for name in MACRO] == pytest.approx([100.0, 50.0, 200 / 3])


def test_other_labels_have_no_directed_score():
    assert "macro_f1" not in score(["a", NONE], ["a", NONE], NONE)
    assert "macro_f1" not in score(["A(e1,e2)", "b"], ["A(e1,e2)", "b"], NONE)
    assert "macro_f1" not in score(["A(e1,e2)", "Other"], ["A(e1,e2)", "Other"], NONE)  # --no_relation=Other is missing
    assert "macro_f1" not in score([NONE], [NONE], NONE)
    assert "macro_f1" not in score(["A(e1,e2)"], ["A(e1,e2)"], NONE, ["A(e1,e2)", "b", NONE])
    none_of_gold = score(["Other"], ["A(e1,e2)"], "Other")
    assert [none_of_gold[name] for name in MACRO] == [0.0, 0.0, 0.0]
