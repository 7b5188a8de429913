"""Tests of what a run leaves behind: models that load, or nothing."""

import json

import keras
import numpy as np
import pytest

from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.training.outputs import save_model, save_preset


def test_a_saved_model_loads_with_its_tokenizer_and_gives_the_same(make_model, batch, tmp_path):
    model = make_model()
    save_model(model, tmp_path / "runs" / "pretrainer.keras")
    loaded = keras.saving.load_model(tmp_path / "runs" / "pretrainer.keras")
    inputs = {key: batch[key] for key in model.input_keys}
    for name, value in model(inputs).items():
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(value), keras.ops.convert_to_numpy(loaded(inputs)[name]), atol=1e-6
        )
    assert loaded.tokenizer.get_vocabulary() == model.tokenizer.get_vocabulary()
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["pretrainer.keras"]


def test_a_model_that_cannot_be_written_leaves_the_old_file(make_model, tmp_path, monkeypatch):
    path = tmp_path / "pretrainer.keras"
    model = make_model()
    save_model(model, path)
    before = path.read_bytes()

    def failing(self, temporary):
        temporary.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(type(model), "save", failing)
    with pytest.raises(OSError, match="no space"):
        save_model(model, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["pretrainer.keras"]


def test_a_preset_folder_loads_and_is_replaced_whole(make_model, tmp_path):
    folder = tmp_path / "encoder_preset"
    for seed in (1, 2):
        encoder = make_model(seed=seed).encoder
        save_preset(encoder, folder)
    assert json.loads((folder / "config.json").read_text())
    loaded = SpanBertEncoder.from_preset(str(folder))
    for one, two in zip(encoder.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one.value), keras.ops.convert_to_numpy(two.value))
    assert [p.name for p in tmp_path.iterdir()] == ["encoder_preset"]
