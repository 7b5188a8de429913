"""Questions, contexts and answers in every form in which they are given, and other forms, which are rejected."""

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_questions import given_questions, paired_texts

QUESTIONS = ["who ate it?", "who wrote it?", "when?"]
CONTEXTS = ["Ann ate it.", "Bob and Ann wrote it.", "Nobody knows."]
TEXTS = ["Ann", "Bob", ""]
STARTS = [0, 0, -1]
SPANS = [((0, 3),), ((0, 3),), ()]
SEVERAL_TEXTS = [["Ann", "Ann ate"], ["Ann", "Bob"], []]
SEVERAL_STARTS = [[0, 0], [8, 0], []]
SEVERAL_SPANS = [((0, 3), (0, 7)), ((8, 11), (0, 3)), ()]
NESTED = [{"text": texts, "answer_start": starts} for texts, starts in zip(SEVERAL_TEXTS, SEVERAL_STARTS, strict=True)]


class Series:
    """As pandas': iterable, one axis, no sequence."""

    ndim = 1

    def __init__(self, values):
        self.values = list(values)

    def __iter__(self):
        return iter(self.values)


class Table:
    """As pandas' DataFrame: columns by name; iterating gives the names."""

    ndim = 2

    def __init__(self, columns):
        self.columns = columns

    def keys(self):
        return self.columns.keys()

    def __iter__(self):
        return iter(self.columns)

    def __contains__(self, name):
        return name in self.columns

    def __getitem__(self, name):
        return Series(self.columns[name])


def columns(starts=STARTS, texts=TEXTS):
    return {"question": QUESTIONS, "context": CONTEXTS, "answer_start": starts, "answer_text": texts}


def listed(table):
    """The same examples one by one."""
    names, values = table.keys(), table.values()
    return [dict(zip(names, one, strict=True)) for one in zip(*values, strict=True)]


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda v: np.array(v, object), Series, iter])
def test_columns_are_any_kind_of_list(make):
    given = {name: make(values) for name, values in columns().items()}
    assert given_questions(given) == (QUESTIONS, CONTEXTS, SPANS)


def test_examples_are_a_table_or_a_list_of_them():
    for starts, texts, spans in ((STARTS, TEXTS, SPANS), (SEVERAL_STARTS, SEVERAL_TEXTS, SEVERAL_SPANS)):
        given = columns(starts, texts)
        for x in (given, Table(given), listed(given), iter(listed(given)), tuple(listed(given))):
            assert given_questions(x) == (QUESTIONS, CONTEXTS, spans)


def test_answers_may_be_nested_as_in_hugging_faces_squad():
    given = {"id": ["a", "b", "c"], "question": QUESTIONS, "context": CONTEXTS, "answers": NESTED}
    by_column = given | {"answers": {"text": SEVERAL_TEXTS, "answer_start": SEVERAL_STARTS}}
    arrays = [{name: np.array(values) for name, values in one.items()} for one in NESTED]
    for x in (given, listed(given), by_column, given | {"answers": arrays}):
        assert given_questions(x) == (QUESTIONS, CONTEXTS, SEVERAL_SPANS)


def test_answers_may_come_as_y():
    x = {"question": QUESTIONS, "context": CONTEXTS}
    assert given_questions(x) == (QUESTIONS, CONTEXTS, None)
    assert given_questions(listed(x)) == (QUESTIONS, CONTEXTS, None)
    assert given_questions(x, {"answer_start": STARTS, "answer_text": TEXTS})[2] == SPANS
    of_several = {"answer_start": SEVERAL_STARTS, "text": SEVERAL_TEXTS}
    for y in (NESTED, iter(NESTED), {"answers": NESTED}, of_several, {"answers": of_several}):
        assert given_questions(x, y)[2] == SEVERAL_SPANS


def test_a_single_question_needs_no_lists():
    one = {"question": "who?", "context": "Bob ate."}
    expected = (["who?"], ["Bob ate."], [((0, 3),)])
    for answer in (
        {"answer_start": 0, "answer_text": "Bob"},
        {"answer_start": [0], "answer_text": ["Bob"]},
        {"answers": {"answer_start": [0], "text": ["Bob"]}},
    ):
        assert given_questions(one | answer) == given_questions([one | answer]) == expected
    assert given_questions(one) == (["who?"], ["Bob ate."], None)
    assert given_questions([]) == given_questions({"question": [], "context": []}) == ([], [], None)


def test_a_single_context_goes_with_every_question_and_the_reverse():
    x = {
        "question": ["who?", "what?"],
        "context": "Bob ate pie.",
        "answer_start": [0, 8],
        "answer_text": ["Bob", "pie"],
    }
    assert given_questions(x) == (["who?", "what?"], ["Bob ate pie."] * 2, [((0, 3),), ((8, 11),)])
    assert given_questions({"question": "who?", "context": ["a", "b"]})[:2] == (["who?"] * 2, ["a", "b"])
    assert paired_texts("q", "c") == (["q"], ["c"], True)
    assert paired_texts(["q"], "c") == paired_texts("q", ["c"]) == (["q"], ["c"], False)


def test_offsets_count_code_points():
    x = {"question": "?", "context": "e\u0301 😀 中文", "answer_start": 5, "answer_text": "中"}
    assert given_questions(x)[2] == [((5, 6),)]


@pytest.mark.parametrize("texts, starts", [("", 0), ("", -1), ("", None), ([], []), ([""], [4]), (["", ""], [0, 0])])
def test_a_question_without_text_has_no_answer(texts, starts):
    one = {"question": "?", "context": "Bob ate.", "answer_start": starts, "answer_text": texts}
    assert given_questions([one])[2] == [()]


def test_empty_texts_fill_up_a_row_of_answers():
    x = {"question": ["a", "b"], "context": "Bob ate.", "answer_start": [[0, 4], [4, -1]]}
    texts = np.array([["Bob", "ate"], ["ate", ""]], object)
    assert given_questions(x | {"answer_text": texts})[2] == [((0, 3), (4, 7)), ((4, 7),)]


@pytest.mark.parametrize("start, received", [(1, "'ob '"), (-3, "nothing"), (10, "nothing"), (6, "'e.'")])
def test_an_answer_that_is_not_at_its_offset_is_rejected(start, received):
    given = columns([0, start, -1])
    given["context"] = [CONTEXTS[0], "Bob ate.", CONTEXTS[2]]
    message = (
        f"answer of example 1 does not stand in its context at .* Expected: 'Bob' at {start}. Received: {received}"
    )
    with pytest.raises(InputError, match=message):
        given_questions(given)


def test_an_offset_does_not_count_from_the_end():
    with pytest.raises(InputError, match="Expected: 'Bob' at -4. Received: nothing there"):
        given_questions({"question": "?", "context": "Ann, Bob.", "answer_start": -4, "answer_text": "Bob"})


ONE = {"question": "?", "context": "Bob ate."}
WRONG = [
    (5, "`x` must be a dict of columns, an example, or a list of examples"),
    (["a"], "An example must be a dict with `question` and `context`. Received: 'a'"),
    ({"context": ["a"]}, "Questions lack `question`. .* Received: `context`"),
    ({"questions": ["a"], "contexts": ["a"]}, "Questions lack `question`. .* Received: `questions`, `contexts`"),
    ([{"question": "a"}], "Questions lack `context`"),
    ([ONE, {"question": "a"}], "same entries. .* Received: .'question'. in example 1"),
    ({"question": ["a"], "context": ["a", "b"]}, "as many contexts as questions. Received: 1 questions and 2"),
    ({"question": ["a", 5], "context": "a"}, "The question 1 must be a str. Received: int"),
    ({"question": "a", "context": [None]}, "The context 0 must be a str. Received: NoneType"),
    ({"question": 5, "context": "a"}, "`question` must be a str or a list of them. Received: 5"),
    (ONE | {"answer_start": 0}, "both `answer_start` and `answer_text`. Received: no `answer_text`"),
    (ONE | {"answer_text": "a"}, "both `answer_start` and `answer_text`. Received: no `answer_start`"),
    (columns([0, 0]), "one `answer_start` for each question. Expected: 3. Received: 2"),
    (columns(texts=["a"]), "one `answer_text` for each question. Expected: 3. Received: 1"),
    (columns(0), "`answer_start` must be a list with one entry for each question. Received: 0"),
    (columns(texts=["Ann", None, ""]), "`answer_text` of example 1 must be a str or a list .* Received: None"),
    (columns(texts=["Ann", [5], ""]), "`answer_text` of example 1 must be a str or a list .* Received: 5"),
    (columns(["0", 0, 0]), "`answer_start` of example 0 must be an int. Received: '0'"),
    (columns([0, 0.0, 0]), "`answer_start` of example 1 must be an int. Received: 0.0"),
    (columns([True, 0, 0]), "`answer_start` of example 0 must be an int. Received: True"),
    (
        columns([[0, 0], 0, 0]),
        "Example 0 must have one `answer_start` for each `answer_text`. Expected: 1. Received: 2",
    ),
    (columns([3, 0, 0], [[], "Bob", ""]), "Example 0 must have one .* Expected: 0. Received: 1"),
    (ONE | {"answers": {"text": ["Bob"]}}, 'must be {"text": .*}. Received: .* in example 0'),
    ([ONE | {"answers": {"text": [], "answer_start": []}}, ONE | {"answers": "Bob"}], "Received: 'Bob' in example 1"),
    (ONE | {"answers": NESTED[0], "answer_start": 0}, "given once. Received: `answers` and `answer_start`"),
]


@pytest.mark.parametrize("x, message", WRONG)
def test_other_forms_are_rejected(x, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        given_questions(x)


def test_answers_are_given_once():
    with pytest.raises(InputError, match="Answers must be given once. Received: `answer_start` in `x`, and `y`"):
        given_questions(columns(), {"answer_start": STARTS, "answer_text": TEXTS})
    x = {"question": QUESTIONS, "context": CONTEXTS}
    with pytest.raises(InputError, match="`y` must have `answer_start` and `answer_text`. Received: {'start'"):
        given_questions(x, {"start": [0]})
    with pytest.raises(InputError, match='must be {"text": .*Received: 0 in example 0'):
        given_questions(x, [0, 1, 2])
    with pytest.raises(InputError, match="`answers` must be a list with a dict for each question. Received: 5"):
        given_questions(x, 5)
