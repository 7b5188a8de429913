"""Tests of the table of tasks: every entry is complete, and no two entries claim the same checkpoint."""

import pytest

from spanbert_keras.conversion.formats.own_models import KINDS
from spanbert_keras.conversion.tasks import TASKS, row_lengths, task_config, task_of
from spanbert_keras.errors import InputError

SETTINGS = {
    "question_answerer": {"window_length": 8},
    "coreference_resolver": {"segment_length": 8},
    "text_classifier": {"labels": ["no", "yes"], "row_length": 8},
    "relation_extractor": {"labels": ["no", "yes"], "row_length": 8, "markers": {}},
}


def test_every_task_is_a_kind_of_model_to_load():
    assert KINDS == ("auto", "encoder", "pretrainer", *TASKS) and SETTINGS.keys() == TASKS.keys()
    assert row_lengths() == ["window_length", "row_length"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_recognised_by_its_settings_and_tensors(name):
    settings, task = SETTINGS[name], TASKS[name]
    names = {weight.name for weight in task.head(settings).values()}
    assert task_of(settings, names) == name and task_of({}, {"bert.pooler.dense.weight"}) is None
    assert task.mark in settings and task.length in settings
    assert task_config(settings)["spanbert_keras"] == settings
    assert ("id2label" in task_config(settings)) == ("labels" in settings)


@pytest.mark.parametrize("pooler", [False, True])
@pytest.mark.parametrize("name", ["text_classifier", "relation_extractor"])
def test_a_pooler_belongs_to_the_head_of_a_classifier(name, pooler):
    settings = SETTINGS[name] | {"pooler": pooler}
    names = {weight.name for weight in TASKS[name].head(settings).values()}
    assert ("bert.pooler.dense.weight" in names) == pooler
    assert TASKS[name].architecture(settings) == ("BertForSequenceClassification" if pooler else "")


def test_a_relation_extractor_is_made_only_from_a_single_label_classifier():
    adopt = TASKS["relation_extractor"].adopt
    settings = SETTINGS["text_classifier"] | {"takes_pairs": None, "threshold": 0.5}
    assert adopt("text_classifier", settings) == SETTINGS["relation_extractor"]
    assert adopt("question_answerer", {}) is None
    with pytest.raises(
        InputError, match=r"a classifier with one label per text \(single_label\)\. Received: regression"
    ):
        adopt("text_classifier", settings | {"problem_type": "regression"})
