"""Texts and tokens with spans: every accepted form, and what is rejected."""

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_spans import given_spans

WORDS = ["Ann", "lives", "in", "Rome"]
TEXT = " ".join(WORDS)


@pytest.mark.parametrize(
    "texts, spans, expected",
    [
        (TEXT, [(0, 3), (13, 17)], ([(TEXT, [(0, 3), (13, 17)])], True)),
        (TEXT, np.array([[0, 3]]), ([(TEXT, [(0, 3)])], True)),
        (TEXT, [], ([(TEXT, [])], True)),
        (np.str_(TEXT), [np.array([0, 3])], ([(TEXT, [(0, 3)])], True)),
        (WORDS, [(3, 4)], ([(WORDS, [(3, 4)])], True)),
        (np.array(WORDS), [[3, 4]], ([(WORDS, [(3, 4)])], True)),
        ([TEXT, WORDS], [[(0, 3)], [(3, 4)]], ([(TEXT, [(0, 3)]), (WORDS, [(3, 4)])], False)),
        ([TEXT, TEXT], [[], [(0, 17)]], ([(TEXT, []), (TEXT, [(0, 17)])], False)),
        ((one for one in [TEXT]), iter([[(0, 1)]]), ([(TEXT, [(0, 1)])], False)),
        ([], [], ([], False)),
        (WORDS, [], ([(WORDS, [])], True)),
        ([TEXT, TEXT], [[], []], ([(TEXT, []), (TEXT, [])], False)),
    ],
)
def test_every_form(texts, spans, expected):
    assert given_spans(texts, spans) == expected


@pytest.mark.parametrize(
    "texts, spans, message",
    [
        (TEXT, [(0, 18)], r"half-open range of the text's 17 characters\. Received: \(0, 18\)"),
        (TEXT, [(-1, 3)], r"Received: \(-1, 3\)"),
        (TEXT, [(3, 3)], r"Received: \(3, 3\)"),
        (TEXT, [(5, 3)], r"Received: \(5, 3\)"),
        (WORDS, [(3, 5)], r"the text's 4 tokens\. Received: \(3, 5\)"),
        ([TEXT, WORDS], [[(0, 3)], [(4, 5)]], r"Text 1: .*4 tokens"),
        (TEXT, [(0.0, 3.0)], r"\(start, end\), whole numbers\. Received: \(0\.0, 3\.0\)"),
        (TEXT, [(0, 3), 4], r"Received: 4"),
        (TEXT, (0, 3), r"`spans` must be a list of \(start, end\)\. Received: one of them, \(0, 3\)"),
        (TEXT, "abc", r"whole numbers\. Received: 'a'"),
        (TEXT, {(0, 3)}, r"`spans` must be a list"),
        ([TEXT, TEXT], [[(0, 3)]], r"for each text\. Expected: 2\. Received: 1"),
        ([TEXT, 5], [[(0, 3)], [(0, 1)]], r"`texts` must be a str, a list of tokens"),
        (["Ann", 5], [(0, 1)], r"Token 1 must be a str\. Received: 5"),
        (5, [[(0, 1)]], r"`texts` must be"),
        (None, [(0, 1)], r"`texts` must be"),
    ],
)
def test_what_is_not_valid_is_named(texts, spans, message):
    with pytest.raises(InputError, match=message):
        given_spans(texts, spans)
