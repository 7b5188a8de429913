"""Arguments as pairs of entities: tokens, texts, lists of both, and what is rejected."""

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.entity_rows import EntityPair
from spanbert_keras.preprocessing.examples.given_entities import given_pairs, labelled_pairs

TOKENS = ["Ann", "lives", "in", "Oslo", "."]
TYPES = ("PERSON", "CITY")


def test_one_sentence_of_tokens():
    expected = EntityPair(tuple(TOKENS), (0, 1), (3, 4), *TYPES)
    for sentence, subject in ((TOKENS, (0, 1)), (tuple(TOKENS), [0, 1]), (TOKENS, tuple(np.arange(2)))):
        assert given_pairs(sentence, subject, (3, 4), *TYPES) == ([expected], True)


def test_a_text_is_cut_where_entities_begin_and_end():
    pairs, single = given_pairs("Ann lives in Oslo.", (0, 3), (13, 17), *TYPES)
    assert pairs == [EntityPair(("Ann", " lives in ", "Oslo", "."), (0, 1), (2, 3), *TYPES)] and single
    whole = given_pairs("Ann", (0, 3), (0, 3), *TYPES)[0][0]
    assert (whole.units, whole.subject, whole.object) == (("Ann",), (0, 1), (0, 1))


@pytest.mark.parametrize("text", ["abcdefghij", "a😀b👩\u200d👧c e\u0301中", "\U0001d518 \x00\n 한글 ½ ()"])
def test_parts_join_to_the_text_and_ranges_to_the_entities_on_any_unicode(text):
    rng = np.random.default_rng(0)
    for _ in range(60):
        spans = []
        for _ in range(2):
            start = int(rng.integers(len(text)))
            spans.append((start, int(rng.integers(start + 1, len(text) + 1))))
        pair = given_pairs(text, *spans, *TYPES)[0][0]
        assert "".join(pair.units) == text and all(pair.units)
        for (start, end), units in zip(spans, (pair.subject, pair.object), strict=True):
            assert "".join(pair.units[slice(*units)]) == text[start:end]


def test_lists_of_tokens_and_texts_and_one_type_for_all():
    text = "Oslo, Ann"
    pairs, single = given_pairs([TOKENS, text], [(0, 1), (6, 9)], [(3, 4), (0, 4)], "PERSON", ["CITY", "TOWN"])
    assert not single and pairs == [
        EntityPair(tuple(TOKENS), (0, 1), (3, 4), "PERSON", "CITY"),
        EntityPair(("Oslo", ", ", "Ann"), (2, 3), (0, 1), "PERSON", "TOWN"),
    ]
    assert given_pairs([TOKENS], [(0, 1)], [(3, 4)], *TYPES)[1] is False
    assert given_pairs([], [], [], [], []) == given_pairs([], [], [], None, None) == ([], False)


def test_types_may_be_absent():
    pair = given_pairs(TOKENS, (0, 1), (3, 4), None, None)[0][0]
    assert (pair.subject_type, pair.object_type) == ("", "")


@pytest.mark.parametrize(
    "given, message",
    [
        ((TOKENS, None, (3, 4)), r"Sentence 0: `subject` must be \(start, end\)\. Received: None\."),
        ((TOKENS, 0, (3, 4)), r"`subject` must be \(start, end\)\. Received: 0\."),
        ((TOKENS, (0, 1), "3-4"), r"`object` must be \(start, end\)\. Received: '3-4'\."),
        (("Ann", (0, 3), (0, 1, 2)), r"`object` must be \(start, end\)\. Received: \(0, 1, 2\)\."),
        (("Ann", [(0, 1), (1, 2)], (0, 3)), r"`subject` must be \(start, end\)\. Received: \[\(0, 1\), \(1, 2\)\]\."),
        (("Ann", (0, 4), (0, 1)), r"the subject must be a half-open range of its 3 characters\. Received: \(0, 4\)\."),
        (("Ann", (0, 1), (2, 2)), r"the object must be a half-open range of its 3 characters\. Received: \(2, 2\)\."),
        (("", (0, 0), (0, 0)), "the subject must be a half-open range of its 0 characters"),
        (([TOKENS, "Ann"], [(0, 1), (0, 9)], [(3, 4), (0, 1)]), "Sentence 1: the subject must be .* 3 characters"),
        (([TOKENS, TOKENS], [(0, 1)], [(3, 4)] * 2), "one `subject` for each sentence. Expected: 2. Received: 1."),
        (([TOKENS], [(0, 1)], [(3, 4)] * 2), "one `object` for each sentence. Expected: 1. Received: 2."),
        ((["Ann", 5], (0, 1), (1, 2)), r"Sentence 0 must be a str or a list of them\. Received: \['Ann', 5\]\."),
        ((None, (0, 1), (1, 2)), r"Sentence 0 must be a str or a list of them\. Received: None\."),
        (([TOKENS, None], [(0, 1)] * 2, [(0, 1)] * 2), r"Sentence 1 must be a str or a list of them\."),
    ],
)
def test_invalid_sentences_and_ranges_are_rejected_with_a_message(given, message):
    with pytest.raises(InputError, match=message):
        given_pairs(*given, *TYPES)


def test_too_few_types_are_rejected():
    with pytest.raises(InputError, match="one `object_type` for each sentence. Expected: 2. Received: 1."):
        given_pairs([TOKENS] * 2, [(0, 1)] * 2, [(3, 4)] * 2, "PERSON", ["CITY"])


def test_dicts_and_columns_are_pairs_with_labels():
    one = {"tokens": TOKENS, "subject": (0, 1), "object": (3, 4), "subject_type": "PERSON", "object_type": "CITY"}
    other = {"text": "Ann in Oslo", "subject": (0, 3), "object": (7, 11), "subject_type": "A", "object_type": "B"}
    first = EntityPair(tuple(TOKENS), (0, 1), (3, 4), *TYPES)
    second = EntityPair(("Ann", " in ", "Oslo"), (0, 1), (2, 3), "A", "B")
    assert labelled_pairs([one, first, other]) == ([first, first, second], None)
    assert labelled_pairs(one) == ([first], None) and labelled_pairs(first) == ([first], None)
    assert labelled_pairs([other | {"label": 0}, one | {"label": "a"}]) == ([second, first], [0, "a"])
    columns = {key: [value, value] for key, value in one.items()} | {"label": np.array([2, 1])}
    assert labelled_pairs(columns) == ([first, first], [2, 1])
    assert labelled_pairs([]) == ([], None)


def test_untyped_dicts_are_pairs_without_types():
    pairs, _ = labelled_pairs({"text": ["Ann in Oslo"], "subject": [(0, 3)], "object": [(7, 11)]})
    assert (pairs[0].subject_type, pairs[0].object_type) == ("", "")


@pytest.mark.parametrize(
    "examples, message",
    [
        (7, "`x` must be a list of `EntityPair` or of dicts, or a dict of columns. Received: 7."),
        ([7], "Example 0 is not an example of a relation. .*Received: int."),
        ([{"text": 7}], "Example 0: `text` must be a str. Received: 7."),
        ([{"text": "a", "tokens": ["a"]}], "Example 0 must have either `tokens` or `text`.*Received: text, tokens."),
        ({"label": ["a"]}, "`x` must have either `tokens` or `text`.*Received: label."),
        ({"text": "Ann"}, r"Sentence 0: `subject` must be \(start, end\). Received: None."),
        ({"text": 5}, "`text` must be a list with one for each example. Received: 5."),
    ],
)
def test_invalid_examples_are_rejected_with_a_message(examples, message):
    with pytest.raises(InputError, match=message):
        labelled_pairs(examples)
