"""Tests of the model that a program's --model names."""

import pytest

import spanbert_keras
from spanbert_keras import SpanBertQuestionAnswerer
from spanbert_keras.errors import InputError
from spanbert_keras.model_flag import (
    check_language_flag,
    language_setting,
    load_model_of,
    load_task_model,
    precision_setting,
    print_precision_difference,
)
from spanbert_keras.preprocessing import text_words


@pytest.fixture
def loaded():
    """The arguments of every model that was loaded."""
    return []


@pytest.fixture
def path(monkeypatch, tmp_path, loaded):
    """Path of a file, which loads as a question answerer with one note."""
    model = SpanBertQuestionAnswerer.__new__(SpanBertQuestionAnswerer, None)
    monkeypatch.setattr(spanbert_keras, "load_pretrained", lambda path, **overrides: loaded.append(overrides) or model)
    monkeypatch.setattr(SpanBertQuestionAnswerer, "conversion_notes", ["No file states the length."], raising=False)
    monkeypatch.setattr(SpanBertQuestionAnswerer, "counts", {"questions": 3}, raising=False)
    (tmp_path / "model.keras").touch()
    return tmp_path / "model.keras"


def test_a_model_of_the_expected_class_is_loaded_and_its_notes_are_logged(path, caplog):
    caplog.set_level("INFO")
    assert type(load_task_model(str(path), "SpanBertQuestionAnswerer")) is SpanBertQuestionAnswerer
    assert f"{path}: No file states the length." in caplog.text


def test_a_model_of_another_class_is_rejected(path):
    with pytest.raises(InputError, match="holds a SpanBertQuestionAnswerer. Expected: a SpanBertRelationExtractor"):
        load_task_model(str(path), "SpanBertRelationExtractor")


def test_a_model_of_one_of_several_classes_is_loaded(path):
    kinds = ["SpanBertPretrainer", "SpanBertQuestionAnswerer"]
    assert type(load_model_of(str(path), kinds)) is SpanBertQuestionAnswerer
    expected = "holds a SpanBertQuestionAnswerer. Expected: a model of SpanBertPretrainer, SpanBertEncoder."
    with pytest.raises(InputError, match=expected):
        load_model_of(str(path), ["SpanBertPretrainer", "SpanBertEncoder"])


def test_a_path_that_does_not_exist_is_rejected_before_anything_is_loaded(path, monkeypatch):
    monkeypatch.setattr(spanbert_keras, "load_pretrained", lambda path: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match="--model=.*other.keras is not there. Expected: a .keras file"):
        load_task_model(f"{path.parent}/other.keras", "SpanBertQuestionAnswerer")


def test_a_model_is_loaded_in_the_precision_asked_for(path, loaded):
    load_task_model(str(path), "SpanBertQuestionAnswerer")
    load_task_model(str(path), "SpanBertQuestionAnswerer", "mixed_bfloat16")
    assert loaded == [{}, {"dtype": "mixed_bfloat16"}]


def test_a_language_is_checked_if_it_is_given(monkeypatch):
    assert language_setting().default is None
    asked = []
    monkeypatch.setattr(text_words, "_pipeline", asked.append)
    check_language_flag(None)
    check_language_flag("de")
    assert asked == ["de"]

    def missing(language):
        raise ImportError("Install spaCy.")

    monkeypatch.setattr(text_words, "_pipeline", missing)
    for language, message in (("de", "Install spaCy"), ("de AT", "`language` must be the code")):
        with pytest.raises(InputError, match=f"--language={language} cannot be used: {message}"):
            check_language_flag(language)


def test_the_largest_difference_from_float32_is_printed(path, loaded, capsys):
    model, scores = SpanBertQuestionAnswerer.__new__(SpanBertQuestionAnswerer, None), [[0.5, 0.25], [0.5, 0.5]]
    taken = iter(scores)
    print_precision_difference(str(path), model, "mixed_bfloat16", "probabilities", lambda one: next(taken))
    expected = (
        "--precision=mixed_bfloat16: 2 probabilities of the first examples differ from float32 by at most 0.25.\n"
    )
    assert capsys.readouterr().out == expected and loaded == [{}]


def test_the_sample_does_not_count(path):
    model = SpanBertQuestionAnswerer.__new__(SpanBertQuestionAnswerer, None)

    def scores_of(one):
        one.counts["questions"] += 2
        return [0.5]

    print_precision_difference(str(path), model, "mixed_bfloat16", "probabilities", scores_of)
    assert model.counts == {"questions": 3}


def test_nothing_is_compared_in_float32(path, loaded, capsys):
    print_precision_difference(str(path), None, "float32", "probabilities", lambda one: pytest.fail("it was asked"))
    assert not loaded and not capsys.readouterr().out


def test_programs_choose_between_two_precisions():
    assert precision_setting().default == "float32"
