"""Tests of a TensorFlow checkpoint with the files beside it: number of heads, notes, and the writing program."""

import json

import numpy as np
import pytest

from spanbert_keras import SpanBertCoreferenceResolver
from spanbert_keras.conversion.formats import tensorflow_checkpoint, tensorflow_variables
from spanbert_keras.conversion.formats.coreference_names import VARIABLES
from spanbert_keras.conversion.formats.own_models import from_model, to_model
from spanbert_keras.conversion.formats.tensorflow_checkpoint import read_tensorflow_checkpoint
from spanbert_keras.conversion.hugging_face_names import COREFERENCE
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError

tf = pytest.importorskip("tensorflow", reason="TensorFlow writes the checkpoints that are read here")

ASSUMED = "bert_config.json is missing: 1 attention heads are assumed."


@pytest.fixture
def write(tmp_path, pieces):
    """Function that writes variables with a vocabulary, and returns the checkpoint's prefix."""

    def save(variables):
        prefix = tmp_path / "bert_model.ckpt"
        names = sorted(variables)
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(variables[name]) for name in names],
        )
        (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces))
        return prefix

    return save


@pytest.fixture
def google(make_encoder, google_variables):
    return google_variables(from_model(make_encoder()).tensors)


def test_google_berts_files_become_one_checkpoint(write, google, make_encoder, pieces):
    prefix = write(google)
    (prefix.parent / "bert_config.json").write_text(json.dumps({"num_attention_heads": 3, "hidden_act": "gelu"}))
    found = read_tensorflow_checkpoint(prefix)
    assert found.kind == "a TensorFlow checkpoint" and found.vocabulary == pieces
    assert found.tensors.keys() == from_model(make_encoder()).tensors.keys()
    assert found.architecture["num_heads"] == 3
    assert len(found.notes) == 1 and "Google's programs compute the tanh approximation" in found.notes[0]


def test_google_berts_next_sentence_head_becomes_that_of_a_pretrainer(
    write, make_pretrainer, google_variables, masked, to_numpy
):
    model = make_pretrainer(next_sentence=True)
    tensors = from_model(model).tensors
    bert = {name: x for name, x in tensors.items() if name.startswith(("bert.", "cls.predictions."))}
    head = {
        "cls/seq_relationship/output_weights": tensors["cls.seq_relationship.weight"],
        "cls/seq_relationship/output_bias": tensors["cls.seq_relationship.bias"],
    }
    prefix = write(google_variables(bert) | head)
    (prefix.parent / "bert_config.json").write_text('{"num_attention_heads": 3}')
    checkpoint = open_source(prefix)
    assert checkpoint.heads == ["masked_lm", "next_sentence"]
    found, expected = to_numpy(to_model(checkpoint)(masked)), to_numpy(model(masked))
    for name in ("masked_lm", "next_sentence"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)


def test_without_a_configuration_the_number_of_heads_is_assumed_with_a_note(write, google):
    found = read_tensorflow_checkpoint(str(write(google)))
    assert found.architecture["num_heads"] == 1 and found.notes[1:] == [ASSUMED]


def test_model_gardens_configuration_counts_unless_there_is_googles(write, google):
    prefix = write(google)
    encoder = {"type": "bert", "bert": {"num_attention_heads": 2, "dropout_rate": 0.3}}
    (prefix.parent / "params.yaml").write_text(json.dumps({"encoder": encoder}))
    sizes = read_tensorflow_checkpoint(prefix).architecture
    assert (sizes["num_heads"], sizes["dropout"]) == (2, 0.3)
    (prefix.parent / "bert_config.json").write_text('{"num_attention_heads": 4}')
    sizes = read_tensorflow_checkpoint(prefix).architecture
    assert (sizes["num_heads"], sizes["dropout"]) == (4, 0.3)


def test_shapes_that_determine_the_heads_come_before_the_configuration(write, google, monkeypatch):
    monkeypatch.setattr(tensorflow_checkpoint, "attention_heads", lambda prefix: 6)  # as in Model Garden's checkpoints
    prefix = write(google)
    found = read_tensorflow_checkpoint(prefix)
    assert found.architecture["num_heads"] == 6 and ASSUMED not in found.notes
    (prefix.parent / "bert_config.json").write_text('{"num_attention_heads": 4}')
    assert read_tensorflow_checkpoint(prefix).architecture["num_heads"] == 6


def test_coreference_variables_make_a_resolver_whose_gelu_is_exact(write, make_encoder, google_variables):
    encoder = make_encoder()
    model = SpanBertCoreferenceResolver(
        encoder, segment_length=8, candidates="pieces", default_genre="bc", feature_dim=4, hidden_dim=5
    )
    tensors = from_model(model).tensors
    bert = {name: value for name, value in tensors.items() if name.startswith("bert.")}
    theirs = {name: tensors[COREFERENCE + ours] for name, (ours, _) in VARIABLES.items()}
    found = read_tensorflow_checkpoint(write(google_variables(bert) | theirs))
    assert found.kind == "a TensorFlow checkpoint of the coreference research code"
    assert found.task == "coreference_resolver" and found.tensors.keys() == tensors.keys()
    assert ASSUMED in found.notes and not any("tanh" in note for note in found.notes)


def test_shapes_that_claim_more_than_the_data_files_hold_are_rejected(tmp_path, monkeypatch):
    class Claims:
        def get_variable_to_shape_map(self):
            return {"bert/embeddings/word_embeddings": [1 << 20, 1 << 20], "_CHECKPOINTABLE_OBJECT_GRAPH": []}

        def get_variable_to_dtype_map(self):
            return {"bert/embeddings/word_embeddings": tf.float32, "_CHECKPOINTABLE_OBJECT_GRAPH": tf.string}

    (tmp_path / "x.ckpt.data-00000-of-00001").write_bytes(bytes(100))
    monkeypatch.setattr(tensorflow_variables, "_open", lambda prefix: Claims())
    with pytest.raises(InputError, match=r"its variables take 4,398,\S+ bytes, its data files have 100"):
        tensorflow_variables.read_tensorflow_variables(tmp_path / "x.ckpt")
