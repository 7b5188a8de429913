import itertools
import json
import math
import random

import numpy as np
import pytest

from spanbert_keras.program import InputError
from tasks.question_answering import data
from tasks.question_answering.data import Example
from tasks.question_answering.metrics import average_precision, mrqa_scores, squad2_scores, squad_scores

SYNTHETIC = "v2.0.BERT_always_answers.synthetic"


def example(name, *answers):
    return Example(name, "Q?", "A context.", answers, (), "")


def test_squad_scores_by_hand():
    examples = [example("1", "cat"), example("2", "black cat", "dog"), example("3", "owl"), example("4", "owl")]
    scores = squad_scores(examples, {"1": "The cat", "2": "cat", "3": "cat", "elsewhere": "owl"})
    assert scores == {"exact_match": 25.0, "f1": pytest.approx(100 * (1 + 2 / 3) / 4), "total": 4, "missing": 1}
    assert mrqa_scores(examples, {"1": "The cat", "2": "cat", "3": "cat"}) == scores


FOUR = [example("1", "cat"), example("2"), example("3", "black cat"), example("4")]
PREDICTIONS = {"1": "cat", "2": "", "3": "cat", "4": "dog"}


def test_squad2_scores_by_hand():
    assert squad2_scores(FOUR, PREDICTIONS) == {
        "exact": 50.0,
        "f1": pytest.approx(100 * (1 + 1 + 2 / 3) / 4),
        "total": 4,
        "HasAns_exact": 50.0,
        "HasAns_f1": pytest.approx(100 * (1 + 2 / 3) / 2),
        "HasAns_total": 2,
        "NoAns_exact": 50.0,
        "NoAns_f1": 50.0,
        "NoAns_total": 2,
        "missing": 0,
    }


@pytest.mark.parametrize(
    "threshold, exact, no_answer_exact", [(1.0, 50, 50), (0.9, 50, 50), (0.89, 75, 100), (0, 50, 100)]
)
def test_a_score_above_the_threshold_silences_an_answer(threshold, exact, no_answer_exact):
    scores = squad2_scores(FOUR, PREDICTIONS, {"1": 0.2, "2": 0.5, "3": 0.3, "4": 0.9}, threshold)
    assert (scores["exact"], scores["NoAns_exact"]) == (exact, no_answer_exact)
    # The best threshold does not depend on the one in use: up to 0.3 everything is right but the overlap of question 3.
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (75.0, 0.2)
    assert (scores["best_f1"], scores["best_f1_thresh"]) == (pytest.approx(100 * (3 + 2 / 3) / 4), 0.3)


def test_the_best_threshold_is_that_of_trying_each_one():
    random_ = random.Random(3)
    for _ in range(30):
        examples = [example(str(i), *random_.choice([(), ("cat",), ("black cat", "dog")])) for i in range(12)]
        predictions = {e.id: random_.choice(["", "cat", "dog", "owl"]) for e in examples}
        values = random_.sample([i / 64 for i in range(1, 64)], 12)
        scores = {e.id: value for e, value in zip(examples, values, strict=True)}
        best = squad2_scores(examples, predictions, scores)
        for name in ("exact", "f1"):
            tried = {t: squad2_scores(examples, predictions, scores, t)[name] for t in [0.0, *values]}
            assert best[f"best_{name}"] == pytest.approx(max(tried.values()), abs=1e-9)
            assert tried[best[f"best_{name}_thresh"]] == pytest.approx(best[f"best_{name}"], abs=1e-9)


def test_gold_answers_that_normalise_to_nothing_are_dropped():
    examples = [example("1", "the", "cat"), example("2", "a")]
    scores = squad2_scores(examples, {"1": "", "2": ""})
    assert (scores["HasAns_exact"], scores["HasAns_f1"], scores["HasAns_total"]) == (50.0, 50.0, 2)
    assert "NoAns_total" not in scores


def test_a_missing_prediction_scores_0_even_for_a_question_without_answer():
    predictions = {"1": "cat", "3": "black cat"}
    scores = squad2_scores(FOUR, predictions, dict.fromkeys("1234", 0.1), threshold=0.05)
    assert (scores["missing"], scores["total"], scores["NoAns_exact"], scores["best_exact"]) == (2, 4, 0.0, 50.0)


def ap_by_counting(scores, positive):
    """The definition, threshold by threshold."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        chosen = [truth for score, truth in zip(scores, positive, strict=True) if score >= threshold]
        recall = sum(chosen) / sum(positive)
        total += (recall - before) * sum(chosen) / len(chosen)
        before = recall
    return total


@pytest.mark.parametrize(
    "scores, positive, expected",
    [
        ([0.9, 0.8, 0.7, 0.1], [1, 0, 1, 0], 0.5 + 0.5 * 2 / 3),
        ([0.1, 0.7, 0.8, 0.9], [0, 1, 0, 1], 0.5 + 0.5 * 2 / 3),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),
        ([3, 2, 2, -1], [0, 1, 0, 1], 0.5 / 3 + 0.5 * 2 / 4),
        ([1.0], [1], 1.0),
    ],
)
def test_average_precision_by_hand(scores, positive, expected):
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("levels", [3, 20, 10**9])
def test_average_precision_is_its_definition(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 200) / levels, rng.random(200) < 0.3
    assert average_precision(scores, positive) == pytest.approx(ap_by_counting(scores, positive), abs=1e-12)


def test_average_precision_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="the independent number is scikit-learn's")
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 50, 300), rng.random(300) < 0.4
    expected = metrics.average_precision_score(positive, scores)
    assert average_precision(scores, positive) == pytest.approx(expected, abs=1e-12)


def test_average_precision_needs_something_to_find():
    with pytest.raises(ValueError, match="must hold a true value"):
        average_precision([0.5], [False])


def test_average_precision_takes_a_high_score_for_no_answer():
    scores = squad2_scores(FOUR, PREDICTIONS, {"1": 0.2, "2": 0.5, "3": 0.3, "4": 0.9})
    assert scores["average_precision"] == 1.0
    assert squad2_scores(FOUR, PREDICTIONS, {"1": -2, "2": -5, "3": -3, "4": -9})["average_precision"] < 0.5
    assert "average_precision" not in squad2_scores(FOUR[::2], PREDICTIONS, {"1": 0.2, "3": 0.3})


@pytest.mark.parametrize(
    "examples, predictions, scores, match",
    [
        ([], {}, None, "nothing to score"),
        (FOUR, {**PREDICTIONS, "3": None}, None, r"question '3' is not text.*Received: None"),
        (FOUR, PREDICTIONS, {"1": 0.1, "2": 0.1, "3": 0.1}, r"question '4'.*Received: none"),
        (FOUR, PREDICTIONS, dict.fromkeys("1234", math.nan), r"question '1'.*Received: nan"),
        (FOUR, PREDICTIONS, dict.fromkeys("1234", "high"), r"question '1'.*Received: 'high'"),
    ],
)
def test_predictions_that_cannot_be_scored_are_named(examples, predictions, scores, match):
    with pytest.raises(InputError, match=match):
        squad2_scores(examples, predictions, scores)


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_leaderboards_predictions_score_as_the_official_scripts_say(data_folder):
    folder = data_folder / "squad"
    expected_scores = load(folder / "expected_scores.json")
    examples = {v: data.read_squad(folder / f"dev-{v}.16articles.json").examples for v in ("v1.1", "v2.0")}
    assert len(expected_scores) == 9
    for name, expected in expected_scores.items():
        predictions = load(folder / "predictions" / f"{name.removesuffix('+na_prob')}.json")
        if name.startswith("v1.1"):
            scores = squad_scores(examples["v1.1"], predictions)
            assert mrqa_scores(examples["v1.1"], predictions) == scores
        else:
            no_answer = load(folder / f"na_prob.{SYNTHETIC}.json") if name.endswith("+na_prob") else None
            scores = squad2_scores(examples["v2.0"], predictions, no_answer)
        assert {key: scores[key] for key in expected} == pytest.approx(expected, abs=1e-9, rel=0), name
        extra = {"total", "missing", "average_precision"}
        assert set(scores) - set(expected) <= extra


def test_average_precision_of_real_scores(data_folder):
    folder = data_folder / "squad"
    examples = data.read_squad(folder / "dev-v2.0.16articles.json").examples
    scores = load(folder / f"na_prob.{SYNTHETIC}.json")
    found = squad2_scores(examples, dict.fromkeys(scores, ""), scores)["average_precision"]
    truth = sorted(((scores[e.id], not e.answers) for e in examples), reverse=True)
    total = right = chosen = 0
    for _, run in itertools.groupby(truth, key=lambda pair: pair[0]):
        run = [positive for _, positive in run]
        chosen += len(run)
        right += sum(run)
        total += sum(run) * right / chosen
    assert found == pytest.approx(total / right, abs=1e-12)
