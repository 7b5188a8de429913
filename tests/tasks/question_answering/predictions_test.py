"""Tests of a model's answers to the questions of a file, and of the prediction files."""

import json

import pytest

from spanbert_keras import Answer
from tasks.question_answering import data, metrics, predictions
from tasks.question_answering.data import Example


def example(id, *answers):
    return Example(id, "?", "a b c", answers, ((0, 1),) * len(answers), "t")


def answer(text, no_answer_score, score=0.5):
    return [Answer(text, 0, 1, score, no_answer_score), Answer("c", 4, 5, score / 2, no_answer_score)]


@pytest.fixture
def found():
    return {"q1": answer("a", -3.0), "q2": answer("b", -1.0), "q3": answer("c", 2.0)}


def test_every_question_gets_its_best_answers_never_no_answer(reader, squad_file):
    examples = data.read(squad_file()).examples
    reader.no_answer_threshold = -1e9  # no question would be answered
    found = predictions.predict(reader, examples, rows=4)
    assert list(found) == [one.id for one in examples]
    for one in examples:
        texts = [given.text for given in found[one.id]]
        assert 1 < len(texts) <= predictions.N_BEST and len(set(texts)) == len(texts)
        assert all(one.context[given.start : given.end] == given.text != "" for given in found[one.id])
    assert reader.no_answer_threshold == -1e9


def test_dev_scores_are_the_official_ones_of_the_kind(found):
    examples = [example("q1", "a"), example("q2", "b"), example("q3")]
    assert predictions.dev_scores(examples[:2], found, False)["exact_match"] == 100.0
    scores = predictions.dev_scores(examples, found, True)
    assert scores["best_f1"] == 100.0 and scores["best_f1_thresh"] == -1.0 and scores["fitted_HasAns_f1"] == 100.0
    assert "f1" not in scores and scores["average_precision"] == 100.0  # no score of a threshold that was not chosen
    assert not any(key.startswith("best_") for key in predictions.scores_at(examples, found, -2.0))
    assert predictions.scores_at(examples, found, -2.0)["exact"] == pytest.approx(100 * 2 / 3)


def test_the_fitted_threshold_has_the_best_f1():
    examples = [example("q1", "a"), example("q2"), example("q3")]
    found = {"q1": answer("a", -5.0), "q2": answer("b", -4.0), "q3": answer("c", 3.0)}
    threshold = predictions.fitted_threshold(examples, found)
    assert threshold == -5.0 and predictions.scores_at(examples, found, threshold)["f1"] == 100.0


def test_if_answering_nothing_is_best_the_threshold_is_below_every_score():
    examples = [example(f"q{i}") for i in range(3)]
    found = {f"q{i}": answer("b", -5.0 - i) for i in range(3)}
    official = metrics.squad2_scores(examples, predictions.texts(found), predictions.no_answer_scores(found))
    assert official["best_f1_thresh"] == 0.0  # the official sweep's, for probabilities
    threshold = predictions.fitted_threshold(examples, found)
    assert threshold < -7.0 and predictions.scores_at(examples, found, threshold)["f1"] == 100.0


def test_the_fitted_threshold_sees_no_other_questions():
    examples = [example(f"q{i}") for i in range(3)]
    found = {f"q{i}": answer("b", -5.0 - i) for i in range(3)}
    found["other"] = answer("b", -100.0)
    assert predictions.fitted_threshold(examples, found) == -8.0


def test_the_files_hold_the_final_predictions(tmp_path, found):
    predictions.write(tmp_path / "new", found, threshold=-1.0)
    read = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "new").iterdir()}
    assert read["predictions"] == {"q1": "a", "q2": "b", "q3": ""}  # above, not at, the threshold
    assert read["no_answer_scores"] == {"q1": -3.0, "q2": -1.0, "q3": 2.0}
    assert read["nbest_predictions"]["q3"][0] == {"text": "c", "probability": 0.5, "start": 0, "end": 1}
    predictions.write(tmp_path / "new", found, threshold=None)
    assert json.loads((tmp_path / "new" / "predictions.json").read_text())["q3"] == "c"


@pytest.mark.parametrize("threshold, is_logged", [(-9.0, True), (-2.0, False), (None, False)])
def test_a_threshold_above_which_no_question_is_answered_is_reported(found, threshold, is_logged, caplog, tmp_path):
    predictions.write(tmp_path, found, threshold)
    assert ("None of 3 questions is answered: all no-answer scores are above -9.000." in caplog.text) == is_logged


def test_a_fitted_threshold_with_which_no_question_is_answered_is_reported(found, caplog):
    predictions.dev_scores([example("q1"), example("q2"), example("q3")], found, True)
    assert "None of 3 questions is answered" in caplog.text
