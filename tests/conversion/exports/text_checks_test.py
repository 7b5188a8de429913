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
        found = {name: np.array([getattr(one, name) for one in answers]) for name in ("start", "end", "score")}
        lengths = [len(row) for row in model.encoder.tokenizer(inputs["context"])]
        return found | {"truncated_pieces": np.maximum(0, np.array(lengths) - 20)}

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
        outputs["end"][0] += 100

    with pytest.raises(InputError, match="Expected: score within 1.0e-04"):
        check_texts(model, with_change(model, other_score))
    with pytest.raises(InputError, match="an answer that is not a candidate"):
        check_texts(model, with_change(model, other_place))
