"""Tests of a checkpoint in the common form: its sizes, problems and notes."""

import ml_dtypes
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


@pytest.mark.parametrize("value", [10**9, 10**400, float("inf"), float("nan"), 1e9, 0, -1, True, 2.5, "2", [2], {}])
@pytest.mark.parametrize("key", ["num_hidden_layers", "num_attention_heads"])
def test_a_size_in_the_configuration_is_compared_with_the_tensors(research_state, key, value):
    tensors = {canonical(name): value for name, value in research_state().items()}
    with pytest.raises(InputError, match=f"x cannot be used: its configuration says {key}=.* Expected: a number from"):
        architecture_of(tensors, "x", {key: value})


@pytest.mark.parametrize("value", [1, 10**400, float("inf"), float("nan"), -0.1, True, "0.1", [0.1]])
@pytest.mark.parametrize("key", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_a_rate_in_the_configuration_is_below_1(research_state, key, value):
    tensors = {canonical(name): value for name, value in research_state().items()}
    with pytest.raises(InputError, match=f"x cannot be used: its configuration says {key}=.* from 0 to below 1"):
        architecture_of(tensors, "x", {key: value})


@pytest.mark.parametrize("number", ["999999999", "9" * 900])
def test_a_number_of_a_layer_is_compared_with_the_number_of_tensors(research_state, number):
    tensors = {canonical(name): value for name, value in research_state().items()}
    tensors[f"bert.encoder.layer.{number}.intermediate.dense.bias"] = np.zeros(20, np.float32)
    with pytest.raises(InputError, match=r"it has a layer 9+, but \d+ tensors"):
        architecture_of(tensors, "x")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_rejected_by_name(make_bert, dtype, value):
    checkpoint = open_source(make_bert()[0])
    name = "bert.encoder.layer.1.output.dense.weight"
    checkpoint.tensors[name] = checkpoint.tensors[name].astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    checkpoint.check()
    checkpoint.tensors[name][3, 2] = value
    with pytest.raises(InputError, match=f"has weights that are infinite or not a number: {name}. The file is damaged"):
        checkpoint.check()
    checkpoint.check(allow_nonfinite=True)


def test_weights_that_become_infinite_as_float32_are_rejected(make_bert):
    checkpoint = open_source(make_bert()[0])
    checkpoint.tensors["cls.predictions.bias"] = np.full(40, 1e300)
    with pytest.raises(InputError, match=r"not a number: cls\.predictions\.bias\."):
        checkpoint.check()


@pytest.mark.parametrize("dtype", ["int8", "bool", "complex64"])
def test_weights_of_another_type_are_rejected(make_bert, dtype):
    checkpoint = open_source(make_bert()[0])
    checkpoint.tensors["cls.predictions.bias"] = np.zeros(40, dtype)
    with pytest.raises(InputError, match=rf"its weights cls.predictions.bias \({dtype}\) have another type"):
        checkpoint.check(allow_mismatch=True)
