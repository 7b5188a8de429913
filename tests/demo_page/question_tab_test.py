"""The tab of a reader: the best answer is marked in its context, all answers are in a table."""

import types

import pytest

from spanbert_keras import Answer
from spanbert_keras.demo_page.question_tab import question_tab, show_answers

CONTEXT = "  It was <b>written</b> & printed\nby Ann \U0001f600 in 1901.\n"


def answer(text, score):
    start = CONTEXT.index(text)
    return Answer(text, start, start + len(text), score, -1.0)


def test_the_context_is_whole_and_the_best_answer_is_marked(read_result):
    found = read_result(show_answers([answer("Ann \U0001f600", 0.75), answer("1901", 0.125)], CONTEXT))
    assert found["sb-text"] == [CONTEXT] and found["mark"] == ["Ann \U0001f600"]
    assert found["sb-answer"] == ["Ann \U0001f600 75.0 %"]
    assert found["strong"] == ["Ann \U0001f600", "1901"] and "75.0 %" in found["td"] and "12.5 %" in found["td"]


@pytest.mark.parametrize("place", [0, 1])
def test_no_answer_marks_nothing(read_result, place):
    none = Answer("", None, None, 0.5, 2.0)
    answers = [answer("Ann", 0.25)]
    answers.insert(place, none)
    found = read_result(show_answers(answers, CONTEXT))
    assert found["sb-text"] == [CONTEXT] and found["i"] == ["no answer"] and found["strong"] == ["Ann"]
    assert found.get("mark", []) == ([] if place == 0 else ["Ann"])
    assert found["sb-answer"][0].startswith("No answer in this context" if place == 0 else "Ann")


def test_a_single_answer_has_no_table(read_result):
    assert "table" not in read_result(show_answers([answer("Ann", 0.5)], CONTEXT))


def test_the_reader_is_asked_for_what_the_fields_hold(read_result):
    asked = []

    def ask(question, context, n_best):
        asked.append((question, context, n_best))
        return [answer("Ann", 0.5)]

    tab = question_tab(types.SimpleNamespace(answer=ask))
    assert read_result(tab.answer("Who?", CONTEXT, 2.0))["mark"] == ["Ann"]
    assert asked == [("Who?", CONTEXT, 2)] and isinstance(asked[0][2], int)
    for values, name in ((("", CONTEXT, 1), "question"), (("Who?", " ", 1), "context")):
        assert read_result(tab.answer(*values))["sb-error"][0].startswith(f"The {name} is empty.")
    assert len(asked) == 1 and len(tab.example) == 3
    tab.answer("Who?", CONTEXT, None)  # the number was deleted
    assert asked[1] == ("Who?", CONTEXT, 1)
