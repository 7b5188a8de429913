"""Tests of the archive of a `.keras` file."""

import time
import zipfile

import h5py
import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertPretrainer, SpanBertTextClassifier, SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.files.keras_files import save_model, verify_archive, weights_of
from spanbert_keras.files.writing import final_name, temporary_path

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##c"]


def make(task):
    keras.utils.set_random_seed(0)
    encoder = SpanBertEncoder(8, 2, 2, 8, 12, max_sequence_length=16, tokenizer=SpanBertTokenizer(PIECES))
    model = SpanBertTextClassifier(encoder, labels=["a", "b"]) if task else SpanBertPretrainer(encoder, 4, 5)
    if task:
        model.compile(optimizer="adam")
    return model


@pytest.mark.parametrize("task", [False, True])
def test_equal_models_give_equal_files(tmp_path, monkeypatch, task):
    first, second = make(task), make(task)
    save_model(first, tmp_path / "a.keras")
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + 100)
    names = [layer.name for layer in second._flatten_layers()]
    save_model(second, tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert [layer.name for layer in second._flatten_layers()] == names and first.name != second.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.keras", "b.keras"]
    loaded = keras.saving.load_model(tmp_path / "b.keras", compile=False)
    assert loaded.tokenizer.get_vocabulary() == PIECES
    for ours, theirs in zip(loaded.weights, second.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours.value, theirs.value)))


def test_a_copy_that_a_killed_process_leaves_is_recognised(tmp_path, monkeypatch):
    names = []
    monkeypatch.setattr("spanbert_keras.files.keras_files.os.replace", lambda new, old: names.append(new.name))
    for name in ("a.keras", temporary_path(tmp_path / "a.keras").name):
        save_model(make(task=False), tmp_path / name)
    assert [final_name(name) for name in names] == ["a.keras", "a.keras"]


def test_names_that_were_given_are_kept(tmp_path):
    tokenizer = SpanBertTokenizer(PIECES, name="pieces_2")
    save_model(SpanBertEncoder(8, 1, 2, 8, 12, tokenizer=tokenizer, name="mine_3"), tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.name == "mine_3" and loaded.tokenizer.name == "pieces_2"


def test_names_are_restored_if_saving_fails(tmp_path):
    model = [make(False) for _ in range(2)][1]
    names = [layer.name for layer in model._flatten_layers()]
    with pytest.raises(OSError):
        save_model(model, tmp_path / "absent" / "x.keras")
    assert [layer.name for layer in model._flatten_layers()] == names


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    save_model(make(False), path)
    return path


def test_a_whole_file_is_verified_and_its_config_returned(saved):
    assert verify_archive(saved)["class_name"] == "SpanBertPretrainer"


def test_a_flipped_byte_is_detected_in_every_member(saved, tmp_path):
    content, path = saved.read_bytes(), tmp_path / "x.keras"
    with zipfile.ZipFile(saved) as archive:
        members = archive.infolist()
    for member in members:
        damaged = bytearray(content)
        damaged[member.header_offset + 30 + len(member.filename) + member.file_size // 2] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.keras is damaged"):
            verify_archive(path)
    for size in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"not a complete \.keras file|is damaged"):
            verify_archive(path)


def test_members_that_claim_to_be_far_larger_are_rejected(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(100):
                member.write(bytes(1 << 20))
    with pytest.raises(InputError, match="claim to be far larger than the file"):
        verify_archive(tmp_path / "x.keras")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_weights_are_opened_within_the_archive(saved, tmp_path, compression):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w", compression) as copy:
        expected = source.read("model.weights.h5")
        for name in source.namelist():
            copy.writestr(name, source.read(name))
    stream, size = weights_of(path)
    with stream, h5py.File(stream, "r") as file:
        assert "layers" in file
        stream.seek(0)
        assert stream.read() == expected and size == len(expected)


@pytest.mark.parametrize("members", [{}, {"config.json": "{}"}, {"config.json": "[]", "model.weights.h5": ""}])
def test_another_archive_is_rejected(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(InputError, match=r"not a \.keras file|is damaged"):
        verify_archive(tmp_path / "x.keras")
