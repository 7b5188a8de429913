"""Every form in which documents may be given, and every one that is rejected."""

import dataclasses
import sys

import numpy as np
import pytest

from spanbert_keras import Document, SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing import text_words
from spanbert_keras.preprocessing.examples.given_documents import GivenDocument, given_documents

TEXT = "Ann left. Bob\nstayed!"
WORDS = ["Ann", "left", ".", "Bob", "stayed", "!"]


def given(texts=None, tokens=None, sentences=None, speakers=None, genre=None, mentions=None):
    return given_documents(texts, tokens, sentences, speakers, genre, mentions)


def plain(document):
    """The fields, with lists for all sequences."""
    values = dataclasses.asdict(document)
    assert values.pop("mentions") is None
    for name in ("tokens", "offsets", "sentences", "speakers"):
        values[name] = [tuple(v) if not isinstance(v, str) else v for v in values[name]]
    return values


def test_one_text():
    documents, single = given(TEXT, genre="bn")
    assert single and len(documents) == 1 and isinstance(documents[0], GivenDocument)
    assert plain(documents[0]) == {
        "text": TEXT,
        "tokens": WORDS,
        "offsets": [(0, 3), (4, 8), (8, 9), (10, 13), (14, 20), (20, 21)],
        "sentences": [(0, 3), (3, 6)],
        "speakers": [""] * 6,
        "genre": "bn",
    }
    assert given(TEXT)[0][0].genre is None


def test_texts_and_words_without_sentences_follow_the_rules_of_the_language():
    text = "Ann kam am 3. Mai."
    for language, sentences in (("de", [(0, 6)]), ("en", [(0, 5), (5, 7)])):
        ((found,), _), ((by_words,), _) = (
            given_documents(*one, None, None, None, None, None, language)
            for one in (
                (text, None),
                (None, ["Ann", "kam", "am", *(["3."] if language == "de" else ["3", "."]), "Mai", "."]),
            )
        )
        assert list(found.sentences) == list(by_words.sentences) == sentences
        assert list(found.tokens) == list(by_words.tokens)
    with pytest.raises(InputError, match="language='zz'"):
        given_documents([text], None, None, None, None, None, None, "zz")
    own = Document(("Ann", "left", "."))  # whose words and sentences need no language
    assert given_documents(own, None, None, None, None, None, None, "zz")[0][0].sentences == ((0, 3),)


ADDED = ["[E1]", "[/E1]", {"content": "covid-19", "single_word": True}, {"content": "<n>", "lstrip": True}, "left"]


def added_in(text, lowercase=False):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "left", "##s", "covid", "-", "19", "[", "]"]
    tokenizer = SpanBertTokenizer(pieces, lowercase=lowercase, added_tokens=ADDED)
    (document,), _ = given_documents(text, None, None, None, None, None, tokenizer)
    assert [text[start:end] for start, end in document.offsets] == list(document.tokens)
    ids = [tokenizer(word) for word in document.tokens]
    assert sum(ids, []) == tokenizer(text)
    return list(document.tokens)


def test_added_tokens_of_the_tokenizer_are_words():
    assert added_in("[E1] a left[/E1]. a") == ["[E1]", "a", "left", "[/E1]", ".", "a"]
    assert added_in("a covid-19 acovid-19 \n <n>a") == ["a", "covid-19", "acovid-19", "<n>", "a"]
    assert added_in("\u00e9[E1]\U0001f600[/E1][E2]") == ["\u00e9", "[E1]", "\U0001f600", "[/E1]", "[", "E2", "]"]
    assert added_in("[e1] A Covid-19 [/E1]", lowercase=True)[-2:] == ["Covid-19", "[/E1]"]


@pytest.mark.parametrize("make", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_several_texts_in_order(make):
    documents, single = given(make([TEXT, "Ann", Document(("Bob",), genre="tc")]), genre=None)
    assert not single and [d.text for d in documents] == [TEXT, "Ann", None]
    assert [len(d.tokens) for d in documents] == [6, 1, 1] and [d.genre or None for d in documents] == [
        None,
        None,
        "tc",
    ]
    documents, single = given(make(["Ann"]))
    assert not single and len(documents) == 1
    assert given(make([])) == ([], False)


def test_a_document_keeps_its_sentences_speakers_and_genre():
    document = Document(tuple(WORDS), ((0, 4), (4, 6)), ("A",) * 3 + ("B",) * 3, "bc", (((0, 1), (3, 4)),), "bc/x", 2)
    expected = {
        "text": None,
        "tokens": WORDS,
        "offsets": [],
        "sentences": [(0, 4), (4, 6)],
        "speakers": ["A"] * 3 + ["B"] * 3,
        "genre": "bc",
    }
    (found,), single = given(document)
    assert single and plain(found) == expected
    (found,), single = given([document], genre="nw")
    assert not single and plain(found) == expected | {"genre": "nw"}  # the given genre takes precedence
    assert not given(Document(("Ann",)))[0][0].genre


def test_words_with_all_that_goes_with_them():
    (found,), single = given(
        tokens=WORDS, sentences=[[0, 4], (4, 6)], speakers=["A", "A", "B", "B", "", "A"], genre="wb"
    )
    assert single and plain(found) == {
        "text": None,
        "tokens": WORDS,
        "offsets": [],
        "sentences": [(0, 4), (4, 6)],
        "speakers": ["A", "A", "B", "B", "", "A"],
        "genre": "wb",
    }


def test_the_only_spans_that_may_be_mentions():
    (found,), single = given(tokens=WORDS, sentences=[(0, 6)], mentions=np.array([[3, 4], [0, 1]]))
    assert single and found.mentions == ((3, 4), (0, 1))
    documents = [Document(tuple(WORDS)), Document(("Ann",))]
    found, single = given(documents, mentions=iter([[], [(0, 1)]]))
    assert not single and [one.mentions for one in found] == [(), ((0, 1),)]


@pytest.mark.parametrize("make", [list, tuple, iter, np.array], ids=["list", "tuple", "iterator", "array"])
def test_words_alone_get_sentences_by_rules_and_no_speaker(make):
    (found,), single = given(tokens=make(WORDS))
    assert single and list(found.tokens) == WORDS and found.text is None and found.genre is None
    assert list(found.sentences) == [(0, 3), (3, 6)] and list(found.speakers) == [""] * 6


def test_arrays_serve_as_lists():
    (found,), _ = given(tokens=WORDS, sentences=np.array([[0, 4], [4, 6]]), speakers=np.array(["A"] * 6))
    assert [tuple(map(int, s)) for s in found.sentences] == [(0, 4), (4, 6)] and list(found.speakers) == ["A"] * 6


def test_words_need_no_spacy_where_sentences_are_given(monkeypatch):
    text_words._pipeline.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "spacy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "spacy", None)
    try:
        assert given(tokens=WORDS, sentences=[(0, 6)])[0][0].sentences == ((0, 6),)
        assert given(Document(tuple(WORDS)))[0][0].sentences == ((0, 6),)
        with pytest.raises(ImportError, match="linguistic"):
            given(TEXT)
        with pytest.raises(ImportError, match="linguistic"):
            given(tokens=WORDS)
    finally:
        text_words._pipeline.cache_clear()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "either texts or one document's `tokens`"),
        ({"texts": "Ann", "tokens": ["Ann"]}, "either texts or one document's `tokens`"),
        ({"tokens": "Ann left"}, "`tokens` must be a list of words. Received: a str"),
        ({"tokens": []}, "Document 0 has no words"),
        ({"tokens": ["Ann", ""]}, "token 1 has no text"),
        ({"tokens": ["Ann", " \n"]}, "token 1 has no text"),
        ({"tokens": ["Ann", 3]}, "no text at index 1"),
        ({"tokens": ["Ann", None], "sentences": [(0, 2)]}, "no text at index 1"),
        ({"tokens": 3}, "tokens"),
        ({"tokens": WORDS, "sentences": [(0, 3)]}, "must hold all tokens"),
        ({"tokens": WORDS, "sentences": [(0, 3), (4, 6)]}, "sentence 1 does not follow"),
        ({"tokens": WORDS, "sentences": [(0, 7)]}, "sentence 0"),
        ({"tokens": WORDS, "sentences": [(0, 3, 6)]}, "not a pair of whole numbers"),
        ({"tokens": WORDS, "sentences": [3, 6]}, "sentence"),
        ({"tokens": WORDS, "sentences": 6}, "sentence"),
        ({"tokens": WORDS, "speakers": ["A"]}, "6 tokens and 1 speakers"),
        ({"tokens": WORDS, "speakers": ["A"] * 7}, "6 tokens and 7 speakers"),
        ({"tokens": WORDS, "speakers": [None] * 6}, "no text at index 0"),
        ({"tokens": WORDS, "speakers": "ABCDEF"}, "speakers"),
        ({"texts": "Ann", "speakers": ["A"]}, "go with `tokens`"),
        ({"texts": ["Ann"], "sentences": [(0, 1)]}, "go with `tokens`"),
        ({"texts": ""}, "Document 0 has no words"),
        ({"texts": ["Ann", " \n\n\t"]}, "Document 1 has no words"),
        ({"texts": ["Ann", Document(())]}, "Document 1 has no words"),
        ({"texts": Document(())}, "Document 0 has no words"),
        ({"texts": ["Ann", ["Ann", "left"]]}, "Document 1 must be a str or a `Document`. Received: list"),
        ({"texts": [None]}, "Document 0 must be a str or a `Document`. Received: NoneType"),
        ({"texts": b"Ann"}, "must be a str"),
        ({"texts": 3}, "str"),
        ({"texts": ["Ann", "half \ud83d of it"]}, "half a character"),
        ({"texts": "Ann", "mentions": [(0, 1)]}, "`mentions` are spans of words. Expected: tokens. Received: a text"),
        ({"tokens": WORDS, "mentions": [(0, 7)]}, r"`mentions` must be \(start, end\) of its tokens"),
        ({"tokens": WORDS, "mentions": [(2, 2)]}, r"`mentions` must be \(start, end\) of its tokens"),
        ({"tokens": WORDS, "mentions": [3]}, r"`mentions` must be \(start, end\) of its tokens"),
        ({"tokens": WORDS, "mentions": 3}, r"`mentions` must be \(start, end\) of its tokens"),
        ({"texts": [Document(tuple(WORDS))] * 2, "mentions": [[]]}, "for each document. Expected: 2. Received: 1."),
        ({"tokens": ["half", "\ud83d"]}, "an unpaired surrogate"),
    ],
)
def test_invalid_documents_are_rejected_with_a_message(arguments, message):
    with pytest.raises(InputError, match=message):
        given(**arguments)
