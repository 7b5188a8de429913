"""Tests of the files beside a checkpoint's tensors: which of them is read, and where its notes and errors come from."""

import json

import pytest

from spanbert_keras.conversion.formats.bert_folder import checkpoint_of, read_config
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.errors import InputError


@pytest.fixture
def tensors(make_encoder):
    return from_model(make_encoder()).tensors


def test_the_first_configuration_file_counts(tmp_path):
    assert read_config(tmp_path) is None
    (tmp_path / "bert_config.json").write_text('{"num_attention_heads": 2}')
    assert read_config(tmp_path) == {"num_attention_heads": 2}
    (tmp_path / "config.json").write_text('{"num_attention_heads": 4}')
    assert read_config(str(tmp_path)) == {"num_attention_heads": 4}


def test_sizes_come_from_tensors_and_configuration_and_pieces_from_the_folder(tensors, pieces, tmp_path):
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": false}')
    found = checkpoint_of(tensors, tmp_path, {"num_attention_heads": 2}, "a kind", "the source")
    assert found.tensors is tensors and found.kind == "a kind" and found.notes == []
    assert (found.architecture["num_heads"], found.architecture["hidden_dim"]) == (2, 12)
    assert found.vocabulary == pieces and found.lowercase is True
    assert found.tokenizer_settings == {"strip_accents": False}
    assert found.head_settings == {} and found.refusal == ""


def test_notes_keep_their_order_and_those_given_are_not_changed(tensors, pieces, tmp_path):
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
    (tmp_path / "tokenizer_config.json").write_text('{"strange": 1}')
    given = ["the first"]
    notes = checkpoint_of(tensors, tmp_path, {"odd": 2}, "a kind", "the source", given).notes
    assert given == ["the first"] == notes[:1]
    assert "odd" in notes[1] and "strange" in notes[2]


@pytest.mark.parametrize("name", ["config.json", "bert_config.json"])
def test_a_setting_of_another_bert_is_rejected_with_its_file(tensors, tmp_path, name):
    (tmp_path / name).write_text(json.dumps({"hidden_act": "relu"}))
    with pytest.raises(InputError, match=rf"/{name} cannot be used: its configuration says hidden_act='relu'"):
        checkpoint_of(tensors, tmp_path, read_config(tmp_path), "a kind", "the source")


def test_tensors_of_another_model_are_rejected_with_their_source(tmp_path):
    with pytest.raises(InputError, match="the source does not contain a BERT encoder"):
        checkpoint_of({}, tmp_path, {}, "a kind", "the source")
