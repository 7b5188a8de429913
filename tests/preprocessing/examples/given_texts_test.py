"""Arguments of models that read text: every kind of list, and invalid ones, for all models."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras import (
    Document,
    EntityPair,
    SpanBertCoreferenceResolver,
    SpanBertEncoder,
    SpanBertPretrainer,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTextClassifier,
    SpanBertTokenizer,
)
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_texts import given_list, given_texts, is_range


class Series:
    """As pandas': iterable, one axis, no sequence."""

    ndim = 1

    def __init__(self, values):
        self.values = list(values)

    def __iter__(self):
        return iter(self.values)


class Table:
    """As pandas' DataFrame: iterating gives the names of its columns."""

    ndim = 2

    def __iter__(self):
        return iter(["text", "label"])


LISTS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "objects": lambda values: np.array(values, object),
    "series": Series,
    "generator": lambda values: (value for value in values),
}
NOT_TEXT = [
    None,
    5,
    2.5,
    b"w1",
    bytearray(b"w1"),
    {"w1": "w2"},
    {"w1"},
    Table(),
    object(),
    np.array(3),
    [None],
    [b"w1"],
]
NAMES = [type(value).__name__ + str(number) for number, value in enumerate(NOT_TEXT)]


@pytest.fixture(scope="module")
def models(toy_pieces):
    pieces = [*toy_pieces[:-4], *(f"[unused{i}]" for i in range(4))]
    toy_tokenizer = SpanBertTokenizer(pieces)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    return {
        "fill_spans": SpanBertPretrainer(encoder, position_dim=4),
        "answer": SpanBertQuestionAnswerer(encoder, max_question_pieces=6),
        "classify": SpanBertTextClassifier(encoder, labels=("a", "b")),
        "extract": SpanBertRelationExtractor(encoder, labels=("a", "b"), feature_mode="text"),
        "resolve": SpanBertCoreferenceResolver(encoder, max_span_width=3, hidden_dim=6, feature_dim=2),
    }


@pytest.mark.parametrize("make", LISTS.values(), ids=LISTS)
def test_every_kind_of_list_gives_a_list(make):
    assert given_texts(make(["a", "é"]), "texts", "text") == (["a", "é"], False)
    assert given_texts(make([]), "texts", "text") == ([], False)


@pytest.mark.parametrize("one", ["a", np.str_("a"), np.array("a")])
def test_one_text_is_single(one):
    assert given_texts(one, "texts", "text") == (["a"], True)


@pytest.mark.parametrize("value", NOT_TEXT, ids=NAMES)
def test_an_invalid_text_gives_a_one_line_message(value):
    with pytest.raises(
        InputError, match=r"^(`texts` must be a str or a list of them|The text 0 must be a str)\. Received"
    ):
        given_texts(value, "texts", "text")


@pytest.mark.parametrize(
    "value, expected",
    [
        ((0, 1), True),
        ([0, 1], True),
        (np.array([0, 1]), True),
        ((np.int64(3), 4), True),
        ((0, 1, 2), False),
        (np.array(3), False),
        ((0, 1.5), False),
        ("ab", False),
        (None, False),
        (np.array([[0, 1]]), False),
    ],
)
def test_a_range_is_a_pair_of_whole_numbers(value, expected):
    assert is_range(value) is expected


def test_other_kinds_may_be_single_and_arrays_of_pairs_become_lists():
    assert given_list(("a", "b"), "x", kinds=(str, tuple)) == ([("a", "b")], True)
    assert given_list(np.array([["a", "b"]]), "x") == ([["a", "b"]], False)


@pytest.mark.parametrize("make", LISTS.values(), ids=LISTS)
def test_a_list_of_texts_is_filled_like_each_of_them(models, make):
    texts = ["w1 [MASK] w3", "[MASK] [MASK] w5 [MASK]"]
    fill = models["fill_spans"].fill_spans
    found = fill(make(texts))
    alone = [fill(text) for text in texts]
    assert isinstance(found, list) and found == alone and fill(make([])) == []
    for one, other in zip(found, alone, strict=True):
        for span, same in zip(one.spans, other.spans, strict=True):
            scores = ("masked_lm_score", "span_boundary_score")
            together, apart = ([getattr(each, name) for name in scores] for each in (span, same))
            assert together == pytest.approx(apart, rel=1e-5)
            assert dataclasses.replace(span, **dict(zip(scores, apart, strict=True))) == same


@pytest.mark.parametrize("make", LISTS.values(), ids=LISTS)
def test_lists_of_questions_and_contexts_are_answered(models, make):
    answer, pairs = models["answer"].answer, (["w1 w2", "w3"], ["w4 w5 w6", "w7 w8"])
    expected = [answer(question, context) for question, context in zip(*pairs, strict=True)]
    assert answer(make(pairs[0]), make(pairs[1])) == pytest.approx(expected)
    assert [one.text for one in answer("w1", make(pairs[1]))] == [answer("w1", context).text for context in pairs[1]]
    assert len(answer(make(pairs[0]), "w4 w5")) == 2
    assert answer(make([]), make([])) == answer("w1", make([])) == answer(make([]), "w4") == []


@pytest.mark.parametrize("make", LISTS.values(), ids=LISTS)
def test_lists_of_texts_are_classified_and_resolved(models, make):
    for name in ("classify", "resolve"):
        read = getattr(models[name], name)
        found = read([text for text in make(["w1 w2 w3", "w4 w5"])] if make is tuple else make(["w1 w2 w3", "w4 w5"]))
        assert isinstance(found, list) and len(found) == 2 and read([]) == []


def test_pairs_may_come_as_an_array(models):
    classify = models["classify"].classify
    pairs = [("w1", "w2"), ("w3 w4", "w5")]
    assert [one.label for one in classify(np.array(pairs))] == [one.label for one in classify(pairs)]


def test_entities_may_come_as_arrays(models):
    extract, tokens = models["extract"].extract, ["w1", "w2", "w3"]
    expected = extract(tokens, (0, 1), (2, 3)).label
    assert extract(np.array(tokens), np.array([0, 1]), np.array([2, 3])).label == expected
    spans = np.array([[0, 1], [0, 1]]), np.array([[2, 3], [2, 3]])
    assert [one.label for one in extract([np.array(tokens), "w1 w2"], *spans)][0] == expected
    assert [one.label for one in extract(iter([tokens, tokens]), *spans)] == [expected] * 2
    assert extract([], [], []) == []


@pytest.mark.parametrize("value", NOT_TEXT, ids=NAMES)
@pytest.mark.parametrize(
    "ask",
    [
        lambda models, value: models["fill_spans"].fill_spans(value),
        lambda models, value: models["answer"].answer("w1", value),
        lambda models, value: models["answer"].answer(value, "w1"),
        lambda models, value: models["answer"].answer(["w1"], value),
        lambda models, value: models["answer"].answer(value, ["w1"]),
        lambda models, value: models["classify"].classify(value),
        lambda models, value: models["resolve"].resolve(value),
        lambda models, value: models["resolve"].resolve(tokens=value),
        lambda models, value: models["resolve"].resolve(tokens=["w1"], mentions=[value]),
        lambda models, value: models["resolve"].resolve(tokens=["w1"], mentions=[(0, 1), value]),
        lambda models, value: models["extract"].extract(value, (0, 1), (1, 2)),
        lambda models, value: models["extract"].extract(value, [(0, 1)], [(1, 2)]),
        lambda models, value: models["extract"].extract(value),
        lambda models, value: models["extract"].extract(["w1", "w2"], value, (1, 2)),
        lambda models, value: models["extract"].extract(["w1 w2"], value, [(1, 2)]),
        lambda models, value: models["extract"].extract_pairs([EntityPair(value, (0, 1), (1, 2), "A", "B")]),
        lambda models, value: models["extract"].extract_pairs([EntityPair(("w1",), value, (1, 2), "A", "B")]),
        lambda models, value: models["extract"].extract_pairs([value]),
        lambda models, value: Document(("w1",), clusters=(value,)),
    ],
    ids=[
        "fill",
        "contexts",
        "questions",
        "contexts for a list",
        "questions for a list",
        "classify",
        "resolve",
        "tokens",
        "mentions of words",
        "mentions",
        "sentence",
        "sentences",
        "sentences alone",
        "subject",
        "subjects",
        "units of a pair",
        "subject of a pair",
        "pair",
        "clusters",
    ],
)
def test_every_model_rejects_it_with_a_one_line_message(models, ask, value):
    with pytest.raises(InputError) as caught:
        ask(models, value)
    message = str(caught.value)
    assert message.endswith((".", "'")) and "\n" not in message and "object is not" not in message


@pytest.mark.parametrize("setting", [{"n_best": "3"}, {"n_best": 1.5}, {"batch_size": None}, {"stride": [8]}])
def test_invalid_numbers_give_a_one_line_message(models, setting):
    [(name, value)] = setting.items()
    with pytest.raises(InputError, match=f"`{name}` must be a whole number of at least 1. Received: {name}="):
        models["answer"].answer("w1", "w2", **setting)
