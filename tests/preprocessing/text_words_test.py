"""Raw text to words: places, sentences, long texts, and what is said without spaCy."""

import re
import sys
import time

import numpy as np
import pytest

from spanbert_keras.preprocessing import text_words
from spanbert_keras.preprocessing.text_words import split_sentences, split_text

HARD = [
    "cafe\u0301 a\u0301\u0327 b.", "I 😀 you 👩\u200d👧 👍🏽! Yes.", "中文 and 한글 \u1112\u1161\u11ab。 更多。",
    "a\x00b\x07 \tc\r\nd\ufffd",
    "zero\u200bwidth \ufeffmark soft\u00adhyphen", "a\u00a0b\u2028c\u2029d\u3000e\x85f\x0bg\x1fh", f"a {'b' * 300} c",
    "\u0130x ½ \ufb01 \ufdfa x. नि กำ? 𝒜𝓃𝓃.", "\x00 x \x00",
    "  Mr. Smith's   (U.S.) e-mail: a.b@c.de, https://x.y/z?q=1&r... \"No!\"",
    "don't can't won't I'll we've :-) <3 $5.00 10km 3-4", "\r\n\r\na\r\nb\rc\n\n\n d \n", "שלום עולם. مرحبا بالعالم؟",
]  # fmt: skip


def check(text):
    """Asserts what holds for every text, and returns its sentences in words."""
    tokens, offsets, sentences = split_text(text)
    assert len(tokens) == len(offsets)
    position = 0
    for token, (start, end) in zip(tokens, offsets, strict=True):
        assert position <= start < end <= len(text) and text[start:end] == token
        assert not text[position:start].strip() and not token.isspace()  # nothing is lost but white space
        position = end
    assert not text[position:].strip()
    bounds = [bound for sentence in sentences for bound in sentence]
    assert bounds[::2] == [0, *bounds[1:-1:2]][: len(sentences)] and bounds[-1:] == [len(tokens)] * bool(tokens)
    assert all(start < end for start, end in sentences)
    return [tokens[start:end] for start, end in sentences]


@pytest.mark.parametrize("text", HARD)
def test_words_stand_where_the_text_has_them_on_any_unicode(text):
    assert check(text)


@pytest.mark.parametrize("text", ["<e> Ann left <e>. Bob<e><e>stayed !  <e>\n\n<e>", "<e>", "a<e>", " <e> <e>  b"])
def test_kept_spans_are_words_and_the_others_are_what_they_were(text):
    kept = [(found.start(), found.end()) for found in re.finditer("<e>", text)]
    tokens, offsets, sentences = split_text(text, kept)
    assert [text[start:end] for start, end in offsets] == tokens
    assert [offset for offset, token in zip(offsets, tokens, strict=True) if token == "<e>"] == kept
    assert "".join(tokens) == "".join(text.split())
    if text.startswith("<e> Ann"):
        words = ["<e>", "Ann", "left", "<e>", ".", "Bob", "<e>", "<e>", "stayed", "!", "<e>", "<e>"]
        assert tokens == words and sentences == [(0, 5), (5, 10), (10, 11), (11, 12)]


def test_long_words_are_cut_beside_kept_spans():
    text = "x" * 1200 + "<e>" + "y" * 600
    tokens, offsets, _ = split_text(text, [(1200, 1203)])
    assert [len(token) for token in tokens] == [500, 500, 200, 3, 500, 100]
    assert [text[start:end] for start, end in offsets] == tokens


def test_random_texts_of_hard_characters():
    rng = np.random.default_rng(0)
    alphabet = [
        *"ab.!?,'\"-() \n\t\r",
        "\u0301",
        "\u200b",
        "\u200d",
        "😀",
        "中",
        "\u00a0",
        "\u2028",
        "\r\n",
        "\n\n",
        "  ",
    ]
    for _ in range(400):
        check("".join(rng.choice(alphabet, rng.integers(1, 40))))


def test_words_and_sentences_are_as_english_has_them():
    found = check("Mr. Ito didn't go. Why (he asked)? U.S. law says no!")
    assert found == [
        ["Mr.", "Ito", "did", "n't", "go", "."],
        ["Why", "(", "he", "asked", ")", "?"],
        ["U.S.", "law", "says", "no", "!"],
    ]


@pytest.mark.parametrize("blank", ["\n\n", "\r\n\r\n", "\n \n", "\n\t\n", " \n\n\n ", "\n\u00a0\n"])
def test_an_empty_line_ends_a_sentence(blank):
    assert check(f"The title{blank}The text") == [["The", "title"], ["The", "text"]]
    assert check(f"{blank}The title{blank}") == [["The", "title"]]


@pytest.mark.parametrize("gap", [" ", "  ", "\n", "\r\n", "\t", "   \n", "\n\n", "\u3000", "\u00a0"])
def test_a_full_stop_ends_a_sentence_whatever_white_space_follows(gap):
    assert check(f"Ann left.{gap}Bob stayed.") == [["Ann", "left", "."], ["Bob", "stayed", "."]]


def test_a_line_that_is_broken_inside_a_sentence_ends_none():
    assert len(check("Ann left\nher hat\r\nbehind the door.")) == 1


@pytest.mark.parametrize("text", ["", " ", "\n\n", " \t\r\n\u00a0\u3000 ", "\u2028"])
def test_a_text_without_words_has_neither_words_nor_sentences(text):
    assert split_text(text) == ([], [], [])


def test_sentences_of_words():
    words = ["Ann", "left", ".", "Bob", "stayed", "!", "Why", "?"]
    assert split_sentences(words) == [(0, 3), (3, 6), (6, 8)]
    assert split_sentences(tuple(words)) == split_sentences(words)
    assert split_sentences(["Ann"]) == [(0, 1)] and split_sentences([]) == []
    assert split_sentences(["."] * 4) == [(0, 4)]
    assert split_sentences(["New York", "\u0301", "😀", "a b."]) == [(0, 4)]


def test_sentences_of_a_texts_words_are_those_of_the_text():
    for text in HARD[:4] + ["Ann left. Bob, who stayed, slept! Why? Nobody knows."]:
        tokens, _, sentences = split_text(text)
        assert split_sentences(tokens) == sentences


def test_a_book_of_more_than_a_million_letters_takes_seconds():
    text = "Ann saw 42 old friends of Bob's. " * 37_000
    assert len(text) > 1_200_000
    begin = time.process_time()
    tokens, offsets, sentences = split_text(text)
    assert time.process_time() - begin < 60
    assert len(sentences) == 37_000 and {end - start for start, end in sentences} == {9}
    assert tokens[:9] == tokens[-9:] == ["Ann", "saw", "42", "old", "friends", "of", "Bob", "'s", "."]
    assert offsets[-1] == (len(text) - 2, len(text) - 1)


@pytest.mark.parametrize("text", ["a" * 300_000, "\n" * 300_000, "(" * 12_000, "a," * 6_000, "." * 6_000])
def test_a_word_without_end_takes_seconds(text):
    begin = time.process_time()
    check(text)
    assert time.process_time() - begin < 8


def test_without_spacy_the_error_names_the_extra(monkeypatch):
    text_words._pipeline.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "spacy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "spacy", None)
    try:
        with pytest.raises(ImportError, match=r'pip install "spanbert-keras\[linguistic\]".*tokens'):
            split_text("Ann left.")
        with pytest.raises(ImportError, match=r"linguistic"):
            split_sentences(["Ann", "left", "."])
        monkeypatch.undo()
        assert split_text("Ann left.")[0] == ["Ann", "left", "."]  # the failure is not kept
    finally:
        text_words._pipeline.cache_clear()
