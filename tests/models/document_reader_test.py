"""Answers from many documents, against `answer` for each document and a ranking by hand."""

import sys

import numpy as np
import pytest

from spanbert_keras import DocumentAnswer, DocumentIndex, SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.models.document_reader import Ranking, read_documents

WORDS = [f"{first}{second}" for first in "bcdfghklm" for second in "aeiou"]
QUESTION = "ba ce di"


@pytest.fixture(scope="module")
def reader(randomize):
    """A reader of rows of 24 pieces, full of noise; a word is a piece."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "."]
    encoder = SpanBertEncoder(
        len(pieces), 1, 2, 10, 18, 0.0, max_sequence_length=24, tokenizer=SpanBertTokenizer(pieces)
    )
    reader = SpanBertQuestionAnswerer(encoder, stride=7, max_question_pieces=6, max_answer_pieces=3)
    randomize(reader, 3, 0.4)
    return reader


@pytest.fixture(scope="module")
def documents():
    """12 texts of 1 to 40 different words, so that no two answers in one have the same text."""
    rng = np.random.default_rng(5)
    return [" ".join(rng.permutation(WORDS)[: rng.integers(1, 41)]) for _ in range(12)]


@pytest.fixture(autouse=True)
def settings(reader, monkeypatch):
    """Restores what a test sets on the reader."""
    monkeypatch.setattr(reader, "temperature", 1.0)
    monkeypatch.setattr(reader, "no_answer_threshold", None)


def slow_ranking(reader, question, documents, top_k, min_score=0.0, overlap=0.0, ids=None):
    """The oracle: `answer` asked about each document alone, the answers of all sorted, each kept or not in turn."""
    found = []
    for number, text in enumerate(documents):
        answers = reader.answer(question, text, n_best=1000)
        if answers[0].text:
            found += [(answer.score, number, answer) for answer in answers if answer.text]
    kept = []
    for score, number, one in sorted(found, key=lambda item: -item[0]):
        rivals = [other for _, place, other in kept if place == number]
        shares = [len({*range(one.start, one.end)} & {*range(o.start, o.end)}) for o in rivals]
        sizes = [min(one.end - one.start, o.end - o.start) for o in rivals]
        if score >= min_score and all(n <= overlap * size for n, size in zip(shares, sizes, strict=True)):
            kept.append((score, number, one))
    return [DocumentAnswer(a.text, ids[n] if ids else n, a.start, a.end, s) for s, n, a in kept[:top_k]]


def same(found, expected):
    assert [(a.text, a.document, a.start, a.end) for a in found] == [
        (a.text, a.document, a.start, a.end) for a in expected
    ]
    np.testing.assert_allclose([a.score for a in found], [a.score for a in expected], rtol=1e-3)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("top_k", [1, 5, 200])
def test_answers_are_those_of_each_document_ranked_by_score(reader, documents, temperature, top_k):
    reader.temperature = temperature
    found = reader.read(QUESTION, documents, top_k=top_k, batch_size=4)
    same(found, slow_ranking(reader, QUESTION, documents, top_k))
    assert all(documents[a.document][a.start : a.end] == a.text for a in found)
    assert len({a.document for a in found}) > 1 or top_k == 1


def test_a_temperature_changes_the_ranking_of_documents(reader, documents):
    """So that the test above would see a temperature that is left out."""
    orders = []
    for temperature in (0.2, 5.0):
        reader.temperature = temperature
        orders.append([(a.document, a.start, a.end) for a in reader.read(QUESTION, documents, top_k=10)])
    assert orders[0] != orders[1]


def test_documents_without_an_answer_have_none_and_a_question_may_have_none(reader, documents):
    scores = sorted(reader.answer(QUESTION, text).no_answer_score for text in documents)
    reader.no_answer_threshold = (scores[2] + scores[3]) / 2  # three documents answer
    found = reader.read(QUESTION, documents, top_k=200)
    same(found, slow_ranking(reader, QUESTION, documents, 200))
    assert len({a.document for a in found}) == 3
    reader.no_answer_threshold = (scores[0] + scores[1]) / 2
    assert len({a.document for a in reader.read(QUESTION, documents)}) == 1
    reader.no_answer_threshold = scores[0] - 1
    assert reader.read(QUESTION, documents) == [] and reader.read([QUESTION], documents) == [[]]


def test_unlikely_answers_are_left_out(reader, documents):
    scores = [a.score for a in reader.read(QUESTION, documents, top_k=9)]
    least = (scores[3] + scores[4]) / 2
    assert [a.score for a in reader.read(QUESTION, documents, 9, min_score=least)] == pytest.approx(scores[:4])
    assert reader.read(QUESTION, documents, min_score=1.0) == []


@pytest.mark.parametrize("overlap", [0.0, 0.5, 1.0])
def test_answers_may_share_a_part(reader, documents, overlap):
    index = DocumentIndex(documents)
    [found] = read_documents(reader, [QUESTION], index, Ranking(60, 0.0, overlap), batch_size=8)
    same(found.answers, slow_ranking(reader, QUESTION, documents, 60, overlap=overlap))


def test_a_text_stands_once_in_a_document_unless_all_answers_are_wanted(reader):
    text = "ba ce ba ce ba ce di ba ce"
    found = reader.read(QUESTION, [text, text], top_k=50)
    for number in (0, 1):
        texts = [a.text for a in found if a.document == number]
        assert len(set(texts)) == len(texts) > 1
    [everything] = read_documents(reader, [QUESTION], DocumentIndex([text]), Ranking(50, 0.0, None), batch_size=8)
    assert len({a.text for a in everything.answers}) < len(everything.answers) == 20
    best = min(a.no_answer_score for a in [reader.answer(QUESTION, text)])
    share = everything.answers[0].score * np.exp(best)
    assert everything.no_answer_probability == pytest.approx(share, rel=1e-3)


def test_several_questions_are_asked_as_each_alone(reader, documents):
    questions = [QUESTION, "ma le", " ".join(WORDS[:9])]
    index, before = DocumentIndex(dict(zip("abcdefghijkl", documents, strict=True))), dict(reader.counts)
    found = reader.read(questions, index, top_k=4, batch_size=4)
    counts = {name: value - before[name] for name, value in reader.counts.items()}
    assert counts["questions"] == 3 and counts["questions_cut"] == 1
    assert counts["answers_at_limit"] == sum(len(answers[0].text.split()) == 3 for answers in found)
    for question, answers in zip(questions, found, strict=True):
        same(answers, slow_ranking(reader, question, documents, 4, ids="abcdefghijkl"))
        same(reader.read(question, index, top_k=4), answers)
    assert reader.read([], index) == []


def test_of_many_documents_those_are_read_that_bm25_finds(reader, documents, monkeypatch):
    index = DocumentIndex(documents)
    places = index.search(QUESTION, 3)
    assert len(places) == 3 and places != [0, 1, 2]
    found = reader.read(QUESTION, index, top_k=200, retrieve=3)
    expected = [a for a in slow_ranking(reader, QUESTION, documents, 1000) if a.document in places]
    same(found, expected[:200])
    assert reader.read("no such word", documents, retrieve=3) == []
    monkeypatch.setitem(sys.modules, "bm25s", None)  # not needed to read all of them
    for retrieve in (12, 13, None):
        same(reader.read(QUESTION, documents, retrieve=retrieve), slow_ranking(reader, QUESTION, documents, 5))


def test_a_document_that_cannot_be_read_has_no_answer(reader, documents):
    mixed = ["", documents[0], "жжж", " \x00", documents[1]]
    found = reader.read(QUESTION, mixed, top_k=300)
    assert {a.document for a in found} == {1, 4}
    assert reader.read(QUESTION, ["", "жжж"]) == []


@pytest.mark.parametrize(
    "question, given, settings, message",
    [
        ("", ["ba"], {}, "Question 0 has no words"),
        (["ba", " "], ["ba"], {}, "Question 1 has no words"),
        (3, ["ba"], {}, "`question` must be a str or a list of them. Received: 3"),
        ("ba", [], {}, "no document"),
        ("ba", ["ba", 3], {}, "Document 1 must be a text"),
        ("ba", ["ba"], {"top_k": 0}, "top_k=0"),
        ("ba", ["ba"], {"retrieve": 0}, "retrieve=0"),
        ("ba", ["ba"], {"batch_size": 0}, "batch_size=0"),
        ("ba", ["ba"], {"max_answer_pieces": 0}, "max_answer_pieces=0"),
        ("ba", ["ba"], {"min_score": 1.5}, "min_score=1.5"),
    ],
)
def test_bad_input_is_named(reader, question, given, settings, message):
    with pytest.raises(InputError, match=message):
        reader.read(question, given, **settings)
