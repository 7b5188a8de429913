"""Tests of TF Model Garden's params.yaml: sizes come from it, and other arithmetic is rejected."""

import json

import numpy as np
import pytest

from spanbert_keras.conversion.formats.model_garden_config import read_model_garden_config
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError

BERT = {"hidden_activation": "gelu", "num_attention_heads": 2, "dropout_rate": 0.2, "attention_dropout_rate": 0.3}


def write(folder, bert, kind="bert"):
    """Writes a params.yaml; every JSON is YAML."""
    whole = {"task": {"model": {"cls_heads": [], "encoder": {"type": kind, "bert": bert}}, "train_data": {}}}
    (folder / "params.yaml").write_text(json.dumps(whole))


def test_sizes_and_rates_have_hugging_faces_names(tmp_path):
    write(tmp_path, BERT | {"num_layers": 3})
    config, notes = read_model_garden_config(tmp_path)
    assert notes == [] and config == {
        "num_attention_heads": 2,
        "hidden_dropout_prob": 0.2,
        "attention_probs_dropout_prob": 0.3,
        "num_hidden_layers": 3,
    }


def test_a_folder_without_the_file_has_no_settings(tmp_path):
    assert read_model_garden_config(tmp_path) == ({}, [])


@pytest.mark.parametrize(
    "change, name",
    [
        ({"norm_first": True}, "norm_first=True"),
        ({"hidden_activation": "relu"}, "hidden_activation='relu'"),
        ({"embedding_size": 128}, "embedding_size=128"),
        ({"output_range": 1}, "output_range=1"),
    ],
)
def test_settings_of_another_architecture_are_rejected_by_name(tmp_path, change, name):
    write(tmp_path, BERT | change)
    with pytest.raises(InputError, match=rf"params\.yaml cannot be used: its configuration says {name}\. Expected: "):
        read_model_garden_config(tmp_path)


def test_other_encoders_and_damaged_files_give_an_error_of_one_sentence(tmp_path):
    write(tmp_path, BERT, "albert")
    with pytest.raises(InputError, match="has type 'albert'. Expected: 'bert'"):
        read_model_garden_config(tmp_path)
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(InputError, match="is not valid YAML as written by TF Model Garden"):
        read_model_garden_config(tmp_path)
    (tmp_path / "params.yaml").write_text("runtime: {}")
    assert "has no encoder settings" in read_model_garden_config(tmp_path)[1][0]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "a: &a {b: *a}",
        "[" * 100_000,
        "a: " + "x" * 2_000_000,
        "? [1, 2]\n: 3\n? {}\n: 4",
        "a: \ud800",
    ],
)
def test_hostile_files_are_rejected(tmp_path, text):
    (tmp_path / "params.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"params\.yaml is not valid YAML"):
        read_model_garden_config(tmp_path)


def test_an_encoder_that_is_not_a_mapping_is_rejected(tmp_path):
    (tmp_path / "params.yaml").write_text("encoder: {type: bert, bert: [1]}")
    with pytest.raises(InputError, match="`bert` must be a mapping"):
        read_model_garden_config(tmp_path)


def test_a_checkpoint_is_read_with_the_configuration_next_to_it(tmp_path, make_bert, google_variables, pieces):
    tf = pytest.importorskip("tensorflow", reason="a checkpoint of TensorFlow")
    _, model = make_bert(kind="BertModel", num_attention_heads=2)
    state = {f"bert.{name}": value.numpy() for name, value in model.state_dict().items()}
    google = tmp_path / "google"
    google.mkdir()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        named = google_variables(state).items()
        variables = [tf.compat.v1.Variable(np.asarray(value), name=name) for name, value in named]
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(google / "bert_model.ckpt"))
    (google / "vocab.txt").write_text("\n".join(pieces))
    write(google, BERT)
    sizes = open_source(google).architecture
    assert (sizes["num_heads"], sizes["dropout"], sizes["attention_dropout"]) == (2, 0.2, 0.3)
    write(google, BERT | {"norm_first": True})
    with pytest.raises(InputError, match="norm_first=True"):
        open_source(google)
