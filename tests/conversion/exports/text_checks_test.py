"""Exports of strings that compute something else are detected."""

import functools

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTextClassifier, SpanBertTokenizer
from spanbert_keras.conversion.exports.text_checks import WORDS, check_texts, sample_texts
from spanbert_keras.errors import InputError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(30)), "##s"]


@pytest.fixture
def encoder():
    return SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=40, tokenizer=SpanBertTokenizer(PIECES))


def served(model, signature="serving_default", change=lambda outputs: None):
    """Returns a function that computes what an export of strings of the model computes, with changed outputs."""

    def classify(inputs):
        seconds = inputs["second_text"] if signature == "pairs" else None
        logits = model.logits_of(model.pairs.rows(inputs["text"], seconds))
        labels = np.array([[label.encode() for label in model.labels]] * len(logits), object)
        return {"scores": model.probabilities(logits), "labels": labels}

    def answer(inputs):
        answers = model.answer(inputs["question"], inputs["context"])
        names = ("start", "end", "score", "no_answer_score")
        found = {name: np.array([getattr(one, name) for one in answers], float) for name in names}
        places = {name: np.where(np.isnan(found[name]), -1, found[name]).astype(int) for name in names[:2]}
        text = np.array([one.text.encode() for one in answers], object)
        room = model.windows.window_length - 3 - len(model.windows.questions(inputs["question"][:1])[0][0])
        lengths = np.array([len(row) for row in model.encoder.tokenizer(inputs["context"])])
        return found | places | {"text": text, "truncated_pieces": np.maximum(0, lengths - room)}

    def run(inputs):
        outputs = (classify if isinstance(model, SpanBertTextClassifier) else answer)(inputs)
        change(outputs)
        return outputs

    return run


def with_change(model, change):
    return functools.partial(served, model, change=change)


def test_sample_texts_have_words_of_the_vocabulary_and_other_characters(encoder):
    texts = sample_texts(encoder.tokenizer)
    assert [text.count("w") >= count for text, count in zip(texts, WORDS, strict=True)] == [True] * 3
    assert any("東京" in text for text in texts)
    assert len(sample_texts(SpanBertTokenizer(PIECES[:5]))) == 3


def test_a_classifier_with_other_scores_or_labels_is_rejected(encoder):
    model = SpanBertTextClassifier(encoder, labels=["a", "b"])
    assert check_texts(model, functools.partial(served, model)) < 1e-6

    def other_scores(outputs):
        outputs["scores"][1, 0] += 2e-4

    def other_labels(outputs):
        outputs["labels"] = outputs["labels"][:, ::-1]

    with pytest.raises(InputError, match="does not compute the same as the model.*Expected: scores within 1.0e-04"):
        check_texts(model, with_change(model, other_scores))
    with pytest.raises(InputError, match=r"other labels. Expected: \['a', 'b'\]. Received: \['b', 'a'\]"):
        check_texts(model, with_change(model, other_labels))


def test_a_reader_with_other_answers_is_rejected(encoder):
    model = SpanBertQuestionAnswerer(encoder)
    assert check_texts(model, functools.partial(served, model)) < 1e-6

    def other_score(outputs):
        outputs["score"][0] += 2e-4

    def other_place(outputs):
        outputs["start"][0], outputs["end"][0], outputs["text"][0] = 100, 100, b""

    def other_text(outputs):
        outputs["text"][1] = outputs["text"][1][:-1] + b"?"

    def other_margin(outputs):
        outputs["no_answer_score"][2] += 5e-2

    def no_answer(outputs):
        outputs["start"][1], outputs["end"][1], outputs["text"][1] = -1, -1, b""

    def cut(outputs):
        outputs["truncated_pieces"][2] = 1

    for change, message in (
        (other_score, "Expected: score within 1.0e-04"),
        (other_place, "an answer that is not a candidate"),
        (other_text, "a text that does not stand at the place it names"),
        (other_margin, "Expected: no_answer_score within "),
        (no_answer, "disagree on whether a text has an answer; nothing was written. Expected: one. Received: .*-1 to"),
        (cut, r"cuts contexts that fit into a window; .*Received: \[0, 0, 1\]"),
    ):
        with pytest.raises(InputError, match=message):
            check_texts(model, with_change(model, change))


def test_a_reader_that_answers_in_spite_of_its_threshold_is_rejected(encoder):
    model = SpanBertQuestionAnswerer(encoder)
    [*readings] = model.readings(["w0"] * 2, ["w1 w2", "w3"])
    scores = [reading.candidates.no_answer_score for reading in readings]
    model.no_answer_threshold = min(scores) - 100.0
    assert check_texts(model, functools.partial(served, model)) < 1e-6

    def without_threshold(outputs):
        outputs["start"][0], outputs["end"][0], outputs["text"][0] = 0, 2, b"w0"

    with pytest.raises(InputError, match="whether a text has an answer.*Expected: none. Received: characters 0 to 2"):
        check_texts(model, with_change(model, without_threshold))


@pytest.mark.parametrize("length", [5, 9, 40])
def test_contexts_are_shortened_to_the_window_of_a_reader(encoder, length):
    model = SpanBertQuestionAnswerer(encoder, window_length=length)
    asked = []

    def run(inputs):
        asked.append(inputs)
        return served(model)(inputs)

    assert check_texts(model, lambda: run) < 1e-6
    [inputs] = asked
    room = length - 3 - len(model.windows.questions(inputs["question"][:1])[0][0])
    lengths = [len(row) for row in encoder.tokenizer(inputs["context"])]
    assert 0 < min(lengths) and max(lengths) <= room
