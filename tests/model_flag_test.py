"""Tests of the model that a program's --model names."""

import pytest

import spanbert_keras
from spanbert_keras import SpanBertQuestionAnswerer
from spanbert_keras.errors import InputError
from spanbert_keras.model_flag import load_task_model


@pytest.fixture
def path(monkeypatch, tmp_path):
    """Path of a file, which loads as a question answerer with one note."""
    model = SpanBertQuestionAnswerer.__new__(SpanBertQuestionAnswerer, None)
    monkeypatch.setattr(spanbert_keras, "load_pretrained", lambda path: model)
    monkeypatch.setattr(SpanBertQuestionAnswerer, "conversion_notes", ["No file states the length."], raising=False)
    (tmp_path / "model.keras").touch()
    return tmp_path / "model.keras"


def test_a_model_of_the_expected_class_is_loaded_and_its_notes_are_logged(path, caplog):
    caplog.set_level("INFO")
    assert type(load_task_model(str(path), "SpanBertQuestionAnswerer")) is SpanBertQuestionAnswerer
    assert f"{path}: No file states the length." in caplog.text


def test_a_model_of_another_class_is_rejected(path):
    with pytest.raises(InputError, match="holds a SpanBertQuestionAnswerer. Expected: a SpanBertRelationExtractor"):
        load_task_model(str(path), "SpanBertRelationExtractor")


def test_a_path_that_does_not_exist_is_rejected_before_anything_is_loaded(path, monkeypatch):
    monkeypatch.setattr(spanbert_keras, "load_pretrained", lambda path: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match="--model=.*other.keras is not there. Expected: a .keras file"):
        load_task_model(f"{path.parent}/other.keras", "SpanBertQuestionAnswerer")
