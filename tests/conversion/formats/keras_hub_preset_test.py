"""Tests of reading keras-hub's BERT."""

import json

import keras_hub
import numpy as np
import pytest

from spanbert_keras.conversion.formats.keras_hub_preset import ACCENTS_NOTE, GELU_NOTE
from spanbert_keras.conversion.formats.own_models import make_tokenizer, to_model
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


@pytest.fixture
def preset(pieces, randomize, tmp_path):
    """Returns (folder, backbone) of a small preset with a tokenizer."""
    backbone = keras_hub.models.BertBackbone(40, 2, 3, 12, 20, dropout=0.0, max_sequence_length=16)
    randomize(backbone, scale=0.1)
    backbone.save_to_preset(str(tmp_path / "bert"))
    keras_hub.models.BertTokenizer(pieces, lowercase=False).save_to_preset(str(tmp_path / "bert"))
    return tmp_path / "bert", backbone


def test_an_encoder_computes_the_same_as_keras_hubs_except_for_gelu(preset, rows, to_numpy):
    folder, backbone = preset
    checkpoint = open_source(folder)
    assert checkpoint.problems() == ([], [], []) and checkpoint.heads == []
    ours = to_numpy(to_model(checkpoint)(rows)["sequence_output"])
    theirs = to_numpy(backbone(rows)["sequence_output"])
    real = rows["padding_mask"] > 0
    assert 0 < np.abs(ours[real] - theirs[real]).max() < 2e-3
    assert checkpoint.notes == [GELU_NOTE] and "4.7e-4" not in GELU_NOTE


def test_a_preset_of_a_classifier_gives_its_encoder_with_a_note(preset, pieces, tmp_path):
    folder = tmp_path / "classifier"
    keras_hub.models.BertTextClassifier(preset[1], num_classes=3).save_to_preset(str(folder))
    keras_hub.models.BertTokenizer(pieces, lowercase=False).save_to_preset(str(folder))
    checkpoint = open_source(folder)
    assert checkpoint.task is None and checkpoint.notes[0] == GELU_NOTE
    assert "The preset holds BertTextClassifier (task.json); only its encoder is used" in (checkpoint.notes[1])


def test_every_weight_is_converted(preset):
    """Weights are compared, because outputs differ by the GELU."""
    folder, backbone = preset
    tensors = open_source(folder).tensors
    layer = backbone.get_layer("transformer_layer_1")
    query = np.array(layer._self_attention_layer.query_dense.kernel)  # (D, H, K)
    np.testing.assert_array_equal(tensors["bert.encoder.layer.1.attention.self.query.weight"], query.reshape(12, 12).T)
    out = np.array(layer._self_attention_layer.output_dense.kernel)  # (H, K, D)
    np.testing.assert_array_equal(tensors["bert.encoder.layer.1.attention.output.dense.weight"], out.reshape(12, 12).T)
    assert len({value.tobytes() for value in tensors.values()}) == len(tensors)  # none twice


def test_a_kaggle_handle_is_fetched_by_keras_hub(monkeypatch):
    def fail(handle):
        raise ConnectionError(f"offline: {handle}")

    monkeypatch.setattr(keras_hub.models.BertBackbone, "from_preset", fail)
    with pytest.raises(InputError, match="kaggle://a cannot be fetched: offline: kaggle://a"):
        open_source("kaggle://a")


def test_half_a_preset_gives_an_error_of_one_sentence(preset):
    weights = preset[0] / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(InputError, match="The preset .* cannot be read: .* cut short"):
        open_source(preset[0])


def test_vocabulary_and_case_are_kept(preset, pieces):
    checkpoint = open_source(preset[0])
    assert checkpoint.vocabulary == pieces and checkpoint.lowercase is False


@pytest.mark.parametrize(
    "settings",
    [{"lowercase": True}, {"lowercase": True, "strip_accents": True}, {"strip_accents": True}, {}],
)
def test_text_is_split_as_by_keras_hubs_tokenizer(preset, pieces, settings):
    words = ["Café", "Cafe", "café", "cafe"]
    theirs = keras_hub.models.BertTokenizer([*pieces[:-4], *words], **settings)
    theirs.save_to_preset(str(preset[0]))
    checkpoint = open_source(preset[0])
    ours = make_tokenizer(checkpoint)
    assert [ours(text) for text in ("Café", "a Café w1")] == [list(map(int, theirs(t))) for t in ("Café", "a Café w1")]
    assert (ACCENTS_NOTE in checkpoint.notes) == (settings == {"lowercase": True})


@pytest.mark.parametrize("setting, value", [("suffix_indicator", "@@"), ("split", False)])
def test_a_tokenizer_that_splits_text_differently_is_rejected_by_name(preset, setting, value):
    path = preset[0] / "tokenizer.json"
    whole = json.loads(path.read_text())
    whole["config"][setting] = value
    path.write_text(json.dumps(whole))
    with pytest.raises(InputError, match=f"configuration says {setting}={value!r}. Expected: "):
        open_source(preset[0])


def test_a_preset_without_tokenizer_needs_a_vocabulary(preset, pieces, tmp_path):
    (preset[0] / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no vocabulary: a vocab.txt of 40 pieces"):
        open_source(preset[0])
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    assert open_source(preset[0], tmp_path / "vocab.txt").vocabulary == pieces
