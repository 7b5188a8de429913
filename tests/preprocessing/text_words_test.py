"""Raw text to words: places, sentences, long texts, and the error without spaCy."""

import re
import sys
import time

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing import text_words
from spanbert_keras.preprocessing.text_words import check_language, language_code, split_sentences, split_text

HARD = [
    "cafe\u0301 a\u0301\u0327 b.",
    "I 😀 you 👩\u200d👧 👍🏽! Yes.",
    "中文 and 한글 \u1112\u1161\u11ab。 更多。",
    "a\x00b\x07 \tc\r\nd\ufffd",
    "zero\u200bwidth \ufeffmark soft\u00adhyphen",
    "a\u00a0b\u2028c\u2029d\u3000e\x85f\x0bg\x1fh",
    f"a {'b' * 300} c",
    "\u0130x ½ \ufb01 \ufdfa x. नि กำ? 𝒜𝓃𝓃.",
    "\x00 x \x00",
    '  Mr. Smith\'s   (U.S.) e-mail: a.b@c.de, https://x.y/z?q=1&r... "No!"',
    "don't can't won't I'll we've :-) <3 $5.00 10km 3-4",
    "\r\n\r\na\r\nb\rc\n\n\n d \n",
    "שלום עולם. مرحبا بالعالم؟",
]


def check(text, language="en"):
    """Asserts what holds for every text, and returns its sentences in words."""
    tokens, offsets, sentences = split_text(text, language=language)
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
def test_offsets_of_words_are_exact_on_any_unicode(text):
    assert check(text)


@pytest.mark.parametrize("text", ["<e> Ann left <e>. Bob<e><e>stayed !  <e>\n\n<e>", "<e>", "a<e>", " <e> <e>  b"])
def test_kept_spans_are_words_and_other_words_are_unchanged(text):
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


def test_words_and_sentences_follow_english_rules():
    found = check("Mr. Ito didn't go. Why (he asked)? U.S. law says no!")
    assert found == [
        ["Mr.", "Ito", "did", "n't", "go", "."],
        ["Why", "(", "he", "asked", ")", "?"],
        ["U.S.", "law", "says", "no", "!"],
    ]


GERMAN = [  # text, words at which a sentence begins by German rules, and by English ones
    ("Ann kam am 3. Mai nach Bonn. Sie blieb.", ["Ann", "Sie"], ["Ann", "Mai", "Sie"]),
    ("Es gab Obst, z.B. Äpfel. Ann aß z. B. Birnen.", ["Es", "Ann"], ["Es", "Ann"]),
    ("Dr. Maier bzw. seine Frau kam ca. um acht. Er ging.", ["Dr.", "Er"], ["Dr.", "seine", "um", "Er"]),
    ("Sie wohnt in der 2. Etage, Nr. 5. „Komm!“, rief sie.", ["Sie", "rief"], ["Sie", "Etage", "5", "Komm", "rief"]),
]


@pytest.mark.parametrize("text, german, english", GERMAN)
def test_abbreviations_ordinals_and_quotes_follow_the_rules_of_the_language(text, german, english):
    found = {language: check(text, language) for language in ("de", "en")}
    assert {language: [sentence[0] for sentence in found[language]] for language in found} == {
        "de": german,
        "en": english,
    }
    for language, sentences in found.items():
        words = [word for sentence in sentences for word in sentence]
        lengths = [end - start for start, end in split_sentences(words, language)]
        assert lengths == [len(sentence) for sentence in sentences]


def test_words_follow_the_rules_of_the_language():
    text = "Hans' Hut, z.B. am 3. Mai: „Geht's?“"
    assert split_text(text)[0] == ["Hans", "'", "Hut", ",", "z.", "B.", "am", "3", ".", *"Mai : „ Geht 's ? “".split()]
    expected = ["Hans", "'", "Hut", ",", "z.B.", "am", "3.", "Mai", ":", "„", "Geht's", "?", "“"]
    assert split_text(text, language="de")[0] == expected


@pytest.mark.parametrize("text", HARD)
@pytest.mark.parametrize("language", ["de", "fr", "xx"])
def test_offsets_are_exact_in_other_languages(text, language):
    assert check(text, language)


@pytest.mark.parametrize("language", ["zz", "DE", "de_core_news_sm", "char_classes"])
def test_a_language_that_spacy_does_not_know_is_one_sentence(language):
    for ask in (check_language, lambda one: split_text("Ann.", language=one), lambda one: split_sentences(["a"], one)):
        with pytest.raises(InputError, match=f"`language` must be one .* Received: language='{language}'.$"):
            ask(language)


@pytest.mark.parametrize("language", ["", "../x", "de-AT", None, 3, ["de"], "a" * 50])
def test_what_cannot_be_a_language_is_rejected_without_spacy(language, monkeypatch):
    monkeypatch.setattr(text_words, "_pipeline", lambda language: pytest.fail("spaCy was asked"))
    for ask in (language_code, check_language, lambda one: split_text("Ann.", language=one)):
        with pytest.raises(InputError, match="`language` must be the code of a language"):
            ask(language)


def test_a_language_that_needs_another_package_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sudachipy", None)  # also where it is installed
    text_words._pipeline.cache_clear()
    with pytest.raises(InputError, match="another package for language='ja'.*SudachiPy") as error:
        split_text("東京。", language="ja")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("blank", ["\n\n", "\r\n\r\n", "\n \n", "\n\t\n", " \n\n\n ", "\n\u00a0\n"])
def test_an_empty_line_ends_a_sentence(blank):
    assert check(f"The title{blank}The text") == [["The", "title"], ["The", "text"]]
    assert check(f"{blank}The title{blank}") == [["The", "title"]]


@pytest.mark.parametrize("gap", [" ", "  ", "\n", "\r\n", "\t", "   \n", "\n\n", "\u3000", "\u00a0"])
def test_a_full_stop_ends_a_sentence_before_any_white_space(gap):
    assert check(f"Ann left.{gap}Bob stayed.") == [["Ann", "left", "."], ["Bob", "stayed", "."]]


def test_a_line_break_inside_a_sentence_does_not_end_it():
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
def test_a_very_long_word_takes_seconds(text):
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
