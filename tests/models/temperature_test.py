"""Temperatures: of all models with probabilities, saved and loaded, and what is rejected."""

import functools
import math

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.conversion import destinations
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.errors import InputError
from spanbert_keras.models.temperature import checked_temperature, given_temperature

KINDS = ("classifier", "tagger", "extractor", "reader")


@pytest.fixture(scope="module", params=KINDS)
def made(request, sizes, tokenizer, randomize):
    """A model of each kind, made and compiled once."""
    pieces = [*tokenizer.get_vocabulary(), "[unused1]", "[unused2]"]
    settings = sizes | {"num_layers": 1, "vocabulary_size": len(pieces)}
    encoder = spanbert_keras.SpanBertEncoder(**settings, tokenizer=spanbert_keras.SpanBertTokenizer(pieces))
    made = {
        "classifier": lambda: spanbert_keras.SpanBertTextClassifier(encoder, ["a", "b", "c"]),
        "tagger": lambda: spanbert_keras.SpanBertTextClassifier(encoder, ["a", "b"], problem_type="multi_label"),
        "extractor": lambda: spanbert_keras.SpanBertRelationExtractor(encoder, ["a", "b"], ["P"], ["C"]),
        "reader": lambda: spanbert_keras.SpanBertQuestionAnswerer(encoder),
    }[request.param]()
    randomize(made, scale=0.3)
    return made


@pytest.fixture
def model(made):
    """The model as it was made."""
    yield made
    made.temperature = 1.0
    if isinstance(made, spanbert_keras.SpanBertQuestionAnswerer):
        made.no_answer_threshold = None


def score(model):
    """The score of a model's first prediction, and of everything else that it might have said."""
    if isinstance(model, spanbert_keras.SpanBertQuestionAnswerer):
        answers = model.answer("a b", "c d e f", n_best=20)
        return np.array([answer.score for answer in answers])
    if isinstance(model, spanbert_keras.SpanBertRelationExtractor):
        return np.array([*model.extract(["a", "b"], (0, 1), (1, 2), "P", "C").scores.values()])
    return np.array([*model.classify("a b c").scores.values()])


def test_logits_are_divided_by_it(model):
    before = score(model)
    model.temperature = 2.0
    after = score(model)
    if isinstance(model, spanbert_keras.SpanBertTextClassifier) and model.problem_type == "multi_label":
        logit = np.log(before / (1 - before))
        np.testing.assert_allclose(after, 1 / (1 + np.exp(-logit / 2)), rtol=1e-6)
    else:  # ratios of probabilities become their square roots
        np.testing.assert_allclose(after / after[0], (before / before[0]) ** 0.5, rtol=1e-5)
        assert after.max() < before.max()


def test_it_is_saved_if_it_is_not_one(model, tmp_path):
    assert "temperature" not in model.get_config()
    model.temperature = 1.7
    model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras")
    assert loaded.temperature == 1.7 and score(loaded) == pytest.approx(score(model), rel=1e-5)
    model.save_to_preset(tmp_path / "preset")
    assert type(model).from_preset(tmp_path / "preset").temperature == 1.7
    destinations.write(from_model(model), tmp_path / "folder", "hugging_face")
    assert spanbert_keras.load_pretrained(tmp_path / "folder").temperature == 1.7


def test_a_new_head_has_its_own(model, tmp_path):
    if isinstance(model, spanbert_keras.SpanBertQuestionAnswerer):
        pytest.skip("a reader has no labels, so its head is never replaced")
    model.temperature = 1.7
    model.save_to_preset(tmp_path / "preset")
    model.save(tmp_path / "a.keras")
    types = {"subject_types": ["P"], "object_types": ["C"]} if hasattr(model, "markers") else {}
    for source in ("preset", "a.keras"):
        assert type(model).from_preset(tmp_path / source, labels=["x", "y", "z"], **types).temperature == 1.0


@pytest.mark.parametrize("value", [0, -1.0, 1000.0, math.nan, math.inf, "1", None, True])
def test_an_impossible_temperature_is_rejected(value):
    with pytest.raises(InputError, match="`temperature` must be a number, at least 0.01 and at most 100"):
        checked_temperature(value)
    with pytest.raises(InputError, match="temperature"):
        given_temperature(value)


def test_an_impossible_temperature_is_named_when_it_is_used(model):
    model.temperature = 0.0
    with pytest.raises(InputError, match="`temperature`"):
        score(model)


def test_low_scores_are_not_given(model):
    if isinstance(model, spanbert_keras.SpanBertQuestionAnswerer):
        best, second, *_ = model.answer("a b", "c d e f", n_best=5)
        none = model.answer("a b", "c d e f", min_score=1.0)
        assert none.text == "" and none.start is None
        assert model.answer("a b", "c d e f", n_best=5, min_score=second.score) == [best, second]
        assert model.answer("a b", "c d e f", n_best=5, min_score=1.0) == [none]
        model.no_answer_threshold = 1e9  # so that "no answer" is one of the candidates
        every = model.answer("a b", "c d e f", n_best=20)
        assert [answer for answer in every if answer.start is None]
        for least in (every[3].score, 1.0):
            kept = [answer for answer in every if answer.score >= least]
            assert model.answer("a b", "c d e f", n_best=20, min_score=least) == (kept or [none])
        ask = functools.partial(model.answer, "a b", "c d e f")
    elif isinstance(model, spanbert_keras.SpanBertRelationExtractor):
        sentence = (["a", "b"], (0, 1), (1, 2), "P", "C")
        found = model.extract(*sentence)
        low = model.extract(*sentence, min_score=found.score + 1e-6)
        assert model.extract(*sentence, min_score=found.score) == found
        assert low.label is None and low.scores == found.scores and low.score == found.score
        ask = functools.partial(model.extract, *sentence)
    else:
        found = model.classify("a b c")
        low = model.classify("a b c", min_score=found.score + 1e-6)
        assert low.label is None and low.labels == () and low.score == found.score and low.scores == found.scores
        same = model.classify("a b c", min_score=found.score)
        assert same.label == found.label and same.labels == (found.label,)
        ask = functools.partial(model.classify, "a b c")
    for value in (-0.1, 1.1, math.nan, "high"):
        with pytest.raises(InputError, match="`min_score` must be a number, at least 0 and at most 1"):
            ask(min_score=value)


def test_a_regression_has_no_lowest_score(make_encoder, tokenizer):
    model = spanbert_keras.SpanBertTextClassifier(make_encoder(num_layers=1, tokenizer=tokenizer))
    assert model.classify("a b").label is None
    with pytest.raises(InputError, match="numbers, not probabilities"):
        model.classify("a b", min_score=0.5)
