"""Texts and their entities, in every form, and what is not one."""

import numpy as np
import pytest

from spanbert_keras import Entity
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_entity_texts import given_entity_texts, labelled_texts

TEXTS = ["Ann met Bob.", "No."]
ENTITIES = [[(0, 3, "PER"), (8, 11, "PER")], []]
TOKENS = [("Ann", "met", "Bob", "."), ("No", ".")]
OF_TOKENS = [[(0, 1, "PER"), (2, 3, "PER")], []]


def test_texts_and_tokens_differ_in_their_form():
    assert given_entity_texts("Ann met", None) == (["Ann met"], True)
    assert given_entity_texts(np.array(TEXTS), None) == (TEXTS, False)
    assert given_entity_texts(["Ann met", ["Bob", "slept"]], None) == (["Ann met", ("Bob", "slept")], False)
    assert given_entity_texts(None, np.array(["Ann", "met"])) == ([("Ann", "met")], True)
    assert given_entity_texts([], None) == ([], False)


@pytest.mark.parametrize(
    "texts, tokens, message",
    [
        (None, None, "Expected: one of them. Received: neither"),
        ("a", ["a"], "Expected: one of them. Received: both"),
        (None, "Ann met", "`tokens` must be a list of str"),
        (None, ["a", 1], "`tokens` must be a str or a list of str"),
        (["a", 3], None, "Text 1 must be a str or a list of str, its tokens. Received: 3"),
        ([["a", None]], None, "Text 0 must be"),
        ({"text": "a"}, None, "`texts` must be a str, or a list"),
    ],
)
def test_other_values_than_texts_are_named(texts, tokens, message):
    with pytest.raises(InputError, match=message):
        given_entity_texts(texts, tokens)


FORMS = {
    "texts and lists": (TEXTS, ENTITIES),
    "an array": (np.array(TEXTS), ENTITIES),
    "dicts": ([{"text": t, "entities": e} for t, e in zip(TEXTS, ENTITIES, strict=True)], None),
    "dicts and y": ([{"text": text} for text in TEXTS], ENTITIES),
    "columns": ({"text": TEXTS, "entities": ENTITIES}, None),
    "columns and y": ({"text": TEXTS}, ENTITIES),
    "dicts of entities": (
        TEXTS,
        [[{"start": start, "end": end, "label": label, "score": 1} for start, end, label in one] for one in ENTITIES],
    ),
    "results": (TEXTS, [[Entity("", label, start, end, 1.0) for start, end, label in one] for one in ENTITIES]),
    "numbers of NumPy": (TEXTS, [[(np.int64(a), np.int32(b), label) for a, b, label in one] for one in ENTITIES]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_examples(form):
    assert labelled_texts(*FORMS[form]) == (TEXTS, ENTITIES)


def test_tokens_have_ranges_of_tokens():
    assert labelled_texts([list(one) for one in TOKENS], OF_TOKENS) == (TOKENS, OF_TOKENS)
    assert labelled_texts({"tokens": [list(one) for one in TOKENS], "entities": OF_TOKENS}) == (TOKENS, OF_TOKENS)


def test_entities_may_be_unknown_and_a_single_text_may_be_given():
    assert labelled_texts(TEXTS) == (TEXTS, None)
    assert labelled_texts({"text": TEXTS}) == (TEXTS, None)
    assert labelled_texts("Ann", [(0, 3, "PER")]) == (["Ann"], [[(0, 3, "PER")]])
    assert labelled_texts({"text": "Ann", "entities": [(0, 3, "PER")]}) == (["Ann"], [[(0, 3, "PER")]])


@pytest.mark.parametrize(
    "x, y, message",
    [
        (TEXTS, ENTITIES[:1], "a list of entities for each text. Expected: 2. Received: 1"),
        (TEXTS, [[(0, 3)], []], r"Example 0: an entity must be \(start, end, label\), .* Received: \(0, 3\)"),
        (TEXTS, [[(0, 3, "")], []], "Example 0: an entity must be"),
        (TEXTS, [[(0, 3, 1)], []], "Example 0: an entity must be"),
        (TEXTS, [["PER"], []], "Example 0: an entity must be"),
        (TEXTS, [[(0, True, "PER")], [(0, 9, "PER")]], r"Example 1: .*text's 3 characters. Received: \(0, 9\)"),
        (TEXTS, [[(3, 3, "PER")], []], r"half-open range .*Received: \(3, 3\)"),
        (TEXTS, [[(-1, 3, "PER")], []], r"Received: \(-1, 3\)"),
        ([["Ann"]], [[(0, 2, "PER")]], "the text's 1 tokens"),
        (TEXTS, "PER", "`y` must be a list with the entities of each text|for each text"),
        ([{"text": "a", "tokens": ["a"]}], None, "Example 0 must have either `text` or `tokens`"),
        ([{"entities": []}], None, "must have either `text` or `tokens`. Received: entities"),
        ([{"text": "a", "entities": []}, {"text": "b"}], None, "Every example needs `entities`.*1 of 2 without"),
        ([{"text": "a", "entities": []}, "b"], None, "Every example needs `entities`.*1 of 2 without"),
        (3, None, "`x` must be a list of texts"),
    ],
)
def test_what_does_not_fit_is_named(x, y, message):
    with pytest.raises(InputError, match=message):
        labelled_texts(x, y)
