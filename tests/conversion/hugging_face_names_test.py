"""Tests of tensor names: each of our weights has one, and each tensor of BERT has a counterpart or is listed."""

import pytest

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer
from spanbert_keras.conversion.hugging_face_names import HEADS, WITHOUT_PLACE, canonical, encoder_table, heads_in


@pytest.fixture(scope="module")
def pretrainer():
    encoder = SpanBertEncoder(40, 2, 3, 12, 20, max_sequence_length=16)
    return SpanBertPretrainer(encoder, position_dim=7, next_sentence=True)


def test_the_tables_name_every_weight_of_a_model_once(pretrainer):
    table = encoder_table(2)
    for make in HEADS.values():
        table |= make()
    paths = [weight.path for weight in pretrainer.weights if "seed_generator" not in weight.path]
    assert sorted(table) == sorted(paths)
    theirs = [weight.name for weight in table.values()]
    assert len(set(theirs)) == len(theirs)


@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
def test_every_tensor_of_transformers_has_a_counterpart_or_is_listed(make_bert, kind):
    _, bert = make_bert(kind=kind)
    table = encoder_table(2) | HEADS["masked_lm"]() | (HEADS["next_sentence"]() if kind.endswith("Training") else {})
    known = {weight.name for weight in table.values()}
    names = {canonical(name) for name in bert.state_dict()}
    assert kind != "BertForPreTraining" or known <= names
    assert [name for name in names - known if not WITHOUT_PLACE.fullmatch(name)] == []
    assert {weight.name for weight in encoder_table(2).values()} <= names


def test_a_next_sentence_head_is_found_only_as_a_whole():
    names = [weight.name for weight in HEADS["next_sentence"]().values()]
    assert sorted(names) == [
        *(f"bert.pooler.dense.{part}" for part in ("bias", "weight")),
        *(f"cls.seq_relationship.{part}" for part in ("bias", "weight")),
    ]
    assert heads_in(names) == ["next_sentence"] and heads_in(["cls.predictions.bias"]) == ["masked_lm"]
    assert [heads_in(set(names) - {name}) for name in names] == [[]] * 4


def test_every_tensor_of_the_research_code_has_a_counterpart_or_is_listed(research_state):
    table = encoder_table(2) | HEADS["masked_lm"]() | HEADS["span_boundary"]()
    known = {weight.name for weight in table.values()}
    names = {canonical(name) for name in research_state()}
    assert known <= names
    assert [name for name in names - known if not WITHOUT_PLACE.fullmatch(name)] == []


@pytest.mark.parametrize(
    "name, expected",
    [
        ("decoder.bert.embeddings.LayerNorm.gamma", "bert.embeddings.LayerNorm.weight"),
        ("decoder.cls.predictions.transform.LayerNorm.beta", "cls.predictions.transform.LayerNorm.bias"),
        ("encoder.layer.0.output.dense.weight", "bert.encoder.layer.0.output.dense.weight"),
        ("embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.weight", "cls.predictions.decoder.weight"),
        ("decoder.layers.0.weight", "decoder.layers.0.weight"),
        ("alphabet", "alphabet"),
    ],
)
def test_old_names_become_current_ones(name, expected):
    assert canonical(name) == expected
