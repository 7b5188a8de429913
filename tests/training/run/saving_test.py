"""Tests of saving: models that load, or no file at all."""

import errno
import json

import keras
import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.training.run.saving import save_model, save_preset


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
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(model), "save", failing)
    with pytest.raises(InputError, match=r"pretrainer.keras could not be written: No space left on device\. Free some"):
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


def test_a_model_that_does_not_fit_on_the_disk_gives_a_one_sentence_error(make_model, small_disk, tmp_path):
    model = make_model()
    message = r"a\.keras could not be written: File too large\. .*the same command continues"
    with pytest.raises(InputError, match=message), small_disk(10_000):
        save_model(model, tmp_path / "a.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_found_before_hdf5_writes(make_model, small_disk, tmp_path, monkeypatch):
    encoder = make_model().encoder
    monkeypatch.setattr(type(encoder), "save_to_preset", lambda *arguments: pytest.fail("the process would crash"))
    message = "preset could not be written: File too large"
    with pytest.raises(InputError, match=message), small_disk(10_000):
        save_preset(encoder, tmp_path / "preset")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_created_gives_a_one_sentence_error(make_model, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"preset could not be written: (Not a directory|File exists)\. Fix this"):
        save_preset(make_model().encoder, tmp_path / "file" / "preset")
