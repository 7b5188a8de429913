"""Every kind of model has one entry; tabs of one kind have the names of their files."""

import inspect
import types

import pytest

import spanbert_keras
from spanbert_keras.conversion.choices import MODELS
from spanbert_keras.demo_page.kinds import KINDS, USUAL, short_name, tabs_of
from spanbert_keras.errors import InputError
from spanbert_keras.models.task_model import TaskModel

SETTINGS = {"takes_pairs": False, "markers": {}, "genres": (), "default_genre": None}


@pytest.fixture
def model_of(monkeypatch, toy_tokenizer):
    """Function from the name of a class to an object of it, which reads nothing."""

    def make(name):
        attributes = {"tokenizer": toy_tokenizer, "__init__": lambda self: None} | SETTINGS
        kind = type(name, (), attributes)
        monkeypatch.setattr(spanbert_keras, name, kind, raising=False)
        return kind()

    return make


def test_the_kinds_are_task_models():
    public = {name: getattr(spanbert_keras, name) for name in spanbert_keras.__all__}
    tasks = {name for name, value in public.items() if inspect.isclass(value) and issubclass(value, TaskModel)}
    assert set(KINDS) == tasks


@pytest.mark.parametrize("name", KINDS)
def test_a_model_gets_the_tab_of_its_kind(name, model_of):
    [(title, tab)] = tabs_of([("x.keras", model_of(name))])
    assert title == tab.title and len(tab.example) == len(tab.fields) and tab.about.endswith(".")
    assert all(isinstance(field.example, str | float | bool | int) for field in tab.fields)


def test_tabs_of_one_kind_have_the_names_of_their_files(model_of):
    reader, pretrainer = model_of("SpanBertQuestionAnswerer"), model_of("SpanBertPretrainer")
    tabs = tabs_of([("runs/a/question_answerer.keras", reader), ("b.keras", reader), ("c.keras", pretrainer)])
    assert [title for title, _ in tabs] == ["Question answering: a", "Question answering: b", "Masked spans"]


@pytest.mark.parametrize(
    "path, name",
    [
        ("runs/squad/question_answerer.keras", "squad"),
        ("question_answerer.keras", "question_answerer"),
        ("runs/squad", "squad"),
        ("films/base.v2.keras", "base.v2"),
        ("folder/checkpoint.v2", "checkpoint.v2"),
    ],
)
def test_short_names_are_those_that_differ(path, name):
    assert short_name(path) == name


def test_the_usual_names_are_those_of_training():
    assert sorted(USUAL) == sorted(set(MODELS) - {"auto", "encoder"})


def test_a_model_without_a_tokenizer_is_a_mistake_before_the_next_model():
    models = iter([("x.keras", types.SimpleNamespace(tokenizer=None)), ("y.keras", None)])
    with pytest.raises(InputError, match="--model=x.keras has no tokenizer"):
        tabs_of(models)
    assert next(models) == ("y.keras", None)
