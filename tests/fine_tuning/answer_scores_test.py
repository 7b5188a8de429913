"""Scores of single answers, by hand. Those of the official scripts are in `tests/tasks/question_answering`."""

import pytest

from spanbert_keras.fine_tuning.answer_scores import exact_match, f1, normalize_answer


@pytest.mark.parametrize(
    "text, expected",
    [
        ("The Cat", "cat"),
        ("  a  cat\tand\nan owl ", "cat and owl"),
        ("the-end", "theend"),
        ("the.", ""),
        ("U.S.A.", "usa"),
        ("theatre, another, a1", "theatre another a1"),
        ("20\u00a0% \u2014 \u00abÉté\u00bb", "20 \u2014 \u00abété\u00bb"),
        ("A\u0301 b", "\u0301 b"),
        ("$1_000", "1000"),
        ("", ""),
    ],
)
def test_normalisation_drops_case_ascii_punctuation_articles_and_space(text, expected):
    assert normalize_answer(text) == expected


@pytest.mark.parametrize(
    "prediction, answers, exact, overlap",
    [
        ("the Cat.", ["cat"], 1, 1),
        ("black cat", ["cat", "a black dog"], 0, 2 / 3),
        ("cat", ["a big black cat", "dog"], 0, 0.5),
        ("cat cat dog", ["cat cat cat"], 0, 2 / 3),
        ("one two three four", ["two four six"], 0, 4 / 7),  # P 2/4, R 2/3
        ("owl", ["cat"], 0, 0),
        ("", ["cat"], 0, 0),
        ("cat", [], 0, 0),
    ],
)
def test_exact_match_and_f1_by_hand(prediction, answers, exact, overlap):
    assert exact_match(prediction, answers) == exact
    for empty_agree in (False, True):
        assert f1(prediction, answers, empty_agree) == pytest.approx(overlap, abs=1e-15)


@pytest.mark.parametrize("prediction, answers", [("", []), ("", [""]), ("the", ["a"]), ("!", ["?", "cat"])])
def test_two_texts_without_a_word_match_and_have_f1_of_one_in_squad_2_only(prediction, answers):
    assert exact_match(prediction, answers) == 1.0
    assert f1(prediction, answers) == 0.0
    assert f1(prediction, answers, empty_agree=True) == 1.0
