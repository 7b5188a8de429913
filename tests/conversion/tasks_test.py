"""Tests of the table of tasks: every entry is complete, and no two entries claim the same checkpoint."""

import json

import numpy as np
import pytest

from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder, SpanBertPretrainer, load_pretrained
from spanbert_keras.conversion.choices import MODELS
from spanbert_keras.conversion.formats.hugging_face import write_hugging_face
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.conversion.head_settings import HeadSource
from spanbert_keras.conversion.tasks import TASKS, in_words, row_lengths, task_config, task_of
from spanbert_keras.errors import InputError
from tests.promises import model_cases

SETTINGS = {
    "text_classifier": {"labels": ["no", "yes"], "row_length": 8},
    "relation_extractor": {"labels": ["no", "yes"], "row_length": 8, "markers": {}},
}


def test_every_task_is_a_kind_of_model_to_load():
    assert MODELS == ("auto", "encoder", "pretrainer", *TASKS)
    assert row_lengths() == ["window_length", "row_length"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_recognised_by_its_settings(name):
    task = TASKS[name]
    settings = model_cases.TASKS[task.model.__name__].settings
    assert task_of(settings) == name and task.length in settings
    assert task_config(settings)["spanbert_keras"] == settings
    assert ("id2label" in task_config(settings)) == task.classifies


def test_settings_of_a_pretrainer_belong_to_no_task():
    assert task_of({"sbo_weight": 1.0, "loss_normalization": "separate"}) is None and task_of({}) is None


def test_a_resolver_without_its_settings_is_rejected(tmp_path):
    read = TASKS["coreference_resolver"].read
    names = [weight.name for weight in TASKS["coreference_resolver"].head({}).values()]
    found = read(HeadSource(tmp_path, {}, {name: np.zeros(1) for name in names}, 16))
    assert found.settings == {} and "contains a coreference resolver without its settings" in found.refusal
    assert read(HeadSource(tmp_path, {}, {"qa_outputs.weight": np.zeros(1)}, 16)) is None


def test_a_resolvers_folder_that_lost_its_settings_gives_only_its_encoder(make_encoder, tmp_path):
    model = SpanBertCoreferenceResolver(make_encoder(), segment_length=8, feature_dim=4, hidden_dim=5)
    write_hugging_face(from_model(model), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["spanbert_keras"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "checksums.json").unlink()
    with pytest.raises(InputError, match="without its settings. Expected: `spanbert_keras` in config.json"):
        load_pretrained(tmp_path)
    encoder = load_pretrained(tmp_path, "encoder")
    assert isinstance(encoder, SpanBertEncoder) and "without its settings" in encoder.conversion_notes[-1]


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
    assert adopt("question_answerer", {}) is adopt(None, {}) is None
    for problem in ("multi_label", "regression"):
        assert adopt("text_classifier", settings | {"problem_type": problem}) is None


def test_tasks_without_labels_get_a_new_head_for_any_encoder():
    for name, task in TASKS.items():
        has_labels = "labels" in model_cases.TASKS[task.model.__name__].settings
        assert has_labels == (task.adopt(None, {}) is None) == bool(task.expected), name


def test_kinds_in_words_have_their_article():
    assert [in_words(kind) for kind in ("encoder", "coreference_resolver")] == ["an encoder", "a coreference resolver"]


@pytest.mark.parametrize("kind", ["BertForNextSentencePrediction", "BertForPreTraining"])
def test_a_pretrainer_keeps_a_next_sentence_head_and_others_report_that_it_is_left_out(make_bert, kind):
    folder, _ = make_bert(kind=kind)
    model = load_pretrained(folder)
    assert type(model) is SpanBertPretrainer and model.next_sentence
    assert not any("next-sentence" in note for note in model.conversion_notes)
    for other in ("encoder", "question_answerer"):
        notes = load_pretrained(folder, other).conversion_notes
        assert any("next-sentence head (cls.seq_relationship) is left out: only a pretrainer" in note for note in notes)
    model = SpanBertPretrainer.from_preset(folder, next_sentence=False)
    assert not model.next_sentence and "The source's next-sentence head (cls.seq_relationship) is left out." in (
        model.conversion_notes
    )


def test_a_next_sentence_head_without_pooler_is_left_out_and_reported(make_bert):
    from safetensors.numpy import load_file, save_file

    folder, _ = make_bert(kind="BertForPreTraining")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: x for name, x in tensors.items() if "pooler" not in name}, folder / "model.safetensors")
    model = load_pretrained(folder)
    assert type(model) is SpanBertPretrainer and not model.next_sentence
    assert any("is left out: its pooler (bert.pooler.dense) is missing." in note for note in model.conversion_notes)
