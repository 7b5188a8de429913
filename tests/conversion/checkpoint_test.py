"""Tests of a checkpoint in the common form: its sizes, problems and notes."""

import numpy as np
import pytest

from spanbert_keras.conversion.checkpoint import architecture_of, vocabulary_of_size
from spanbert_keras.conversion.hugging_face_names import canonical
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


def test_the_vocabulary_of_a_published_size_is_named():
    assert "bert-base-cased (28,996 pieces)" in vocabulary_of_size(28_996)
    assert "bert-base-uncased (30,522 pieces)" in vocabulary_of_size(30_522)
    assert vocabulary_of_size(7).startswith("a vocab.txt of 7 pieces")


def test_sizes_come_from_the_tensors_and_the_number_of_heads_from_the_configuration(research_state):
    tensors = {canonical(name): value for name, value in research_state().items()}
    expected = {
        "vocabulary_size": 40,
        "num_layers": 2,
        "num_heads": 1,
        "hidden_dim": 12,
        "intermediate_dim": 20,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "max_sequence_length": 16,
        "num_segments": 2,
    }
    assert architecture_of(tensors, "x") == expected
    config = {"num_attention_heads": 3, "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.3}
    changed = {"num_heads": 3, "dropout": 0.2, "attention_dropout": 0.3}
    assert architecture_of(tensors, "x", config) == expected | changed


def test_a_width_of_768_has_twelve_heads():
    tensors = {
        "bert.embeddings.word_embeddings.weight": np.zeros((5, 768)),
        "bert.embeddings.position_embeddings.weight": np.zeros((4, 768)),
        "bert.encoder.layer.0.intermediate.dense.bias": np.zeros(3072),
    }
    assert architecture_of(tensors, "x")["num_heads"] == 12


def test_tensors_without_a_bert_encoder_are_rejected():
    with pytest.raises(
        InputError, match=r"x does not contain a BERT encoder: bert\.embeddings.* Received: 1 tensors, e\.g\. y"
    ):
        architecture_of({"y": np.zeros(3)}, "x")


def test_tensors_that_our_models_lack_are_listed(make_bert):
    checkpoint = open_source(make_bert(kind="BertForPreTraining")[0])
    assert not any("pooler" in name or "seq_relationship" in name for name in checkpoint.without_place())
    del checkpoint.tensors["cls.seq_relationship.weight"]  # what is left of the next-sentence head is none
    names = checkpoint.without_place()
    assert {"bert.pooler.dense.weight", "cls.seq_relationship.bias"} <= set(names)
    assert not set(names) & {weight.name for weight in checkpoint.table().values()}
    assert checkpoint.problems() == ([], [], [])


def test_tensors_of_a_missing_layer_are_listed(make_bert):
    checkpoint = open_source(make_bert()[0])
    checkpoint.architecture["num_layers"] = 3
    missing, unknown, shapes = checkpoint.problems()
    assert len(missing) == 16 and all(".layer.2." in name for name in missing) and unknown == shapes == []


def test_an_unusable_head_is_an_error_or_a_note(make_bert):
    checkpoint = open_source(make_bert()[0])
    checkpoint.refusal = "x cannot become y."
    with pytest.raises(InputError, match=r"^x cannot become y\. convert --allow_mismatch loads only the encoder\.$"):
        checkpoint.check()
    checkpoint.check(allow_mismatch=True)
    assert checkpoint.notes == []
    assert checkpoint.normalised(allow_mismatch=True).notes[-1] == "x cannot become y."


def test_expected_shapes_are_those_of_the_table(make_bert):
    checkpoint = open_source(make_bert()[0])
    shapes = checkpoint.shapes()
    assert {name: checkpoint.tensors[name].shape for name in shapes} == shapes
    name = "bert.encoder.layer.1.output.dense.weight"
    checkpoint.tensors[name] = checkpoint.tensors[name].T
    rows, columns = shapes[name]
    assert checkpoint.problems()[2] == [f"{name} has shape {(columns, rows)}, expected {(rows, columns)}"]
    with pytest.raises(InputError, match="1 tensors have wrong shapes"):
        checkpoint.check(allow_mismatch=True)


def test_check_changes_nothing_and_normalised_returns_a_copy(make_bert):
    checkpoint = open_source(make_bert()[0])
    bias = checkpoint.tensors["cls.predictions.decoder.bias"] = checkpoint.tensors.pop("cls.predictions.bias")
    checkpoint.tensors["extra"] = np.zeros(3)
    before = set(checkpoint.tensors)
    checkpoint.check(allow_mismatch=True)
    with pytest.raises(InputError, match=r"1 tensors are missing \(cls.predictions.bias\); 1 are unknown \(extra\)"):
        checkpoint.check()
    normalised = checkpoint.normalised(allow_mismatch=True)
    assert set(checkpoint.tensors) == before and checkpoint.notes == []
    assert normalised.tensors["cls.predictions.bias"] is bias
    assert normalised.notes == ["Unknown, so dropped: extra."]
