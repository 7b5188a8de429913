"""Documents in order, whatever the number of processes; errors of a process reach the caller."""

import os

import numpy as np
import pytest

from spanbert_keras.data.annotations import document_pool
from spanbert_keras.data.annotations.document_annotator import DocumentAnnotator, PreparedDocument
from spanbert_keras.data.annotations.document_pool import annotated
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "saw", "Tom", "Ann"]
OPENING = ("rules", ("entities",), {"vocabulary": VOCABULARY})


def documents(count, wrong=None):
    tokenizer = SpanBertTokenizer(VOCABULARY)
    for i in range(count):
        lines = ["saw Tom", "saw saw"] if i % 2 else ["saw Ann Ann"] * (i % 3 + 1)
        pieces = np.array(sum(tokenizer(lines), []), np.uint16)
        yield (i % 2, i // 2), PreparedDocument(pieces[: None if i != wrong else 1], None, lines, f"Document {i}")


def results(workers, **given):
    found = annotated(documents(40, **given), DocumentAnnotator(*OPENING), OPENING, workers)
    return [(place, {name: array.tolist() for name, array in values.items()}, lines) for place, values, lines in found]


def test_results_are_those_of_one_process_in_order(monkeypatch):
    expected = results(1)
    assert [place for place, _, _ in expected] == [place for place, _ in documents(40)]
    assert expected[1] == ((1, 0), {"entities": [0, 7, 0, 0]}, 0) and expected[0][1]["entities"] == [0, 7, 5]
    monkeypatch.setattr(document_pool, "TASK_PIECES", 10)
    assert results(1) == expected
    assert results(2) == expected


def test_an_error_of_a_process_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(document_pool, "TASK_PIECES", 10)
    for workers in (1, 2):
        with pytest.raises(InputError, match="Document 5 holds other tokens"):
            results(workers, wrong=5)


def _die(*_):
    os._exit(9)


def test_a_killed_process_is_reported(monkeypatch):
    monkeypatch.setattr(document_pool, "_open", _die)
    with pytest.raises(InputError, match="A process of --workers=2 ended unexpectedly.* lower --workers; it resumes"):
        results(2)
