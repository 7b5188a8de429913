"""Tests of sizes that files claim: compared with what is there before anything is made."""

import json
import zipfile

import h5py
import numpy as np
import pytest

from spanbert_keras import (
    SpanBertCoreferenceResolver,
    SpanBertEncoder,
    SpanBertPretrainer,
    SpanBertTextClassifier,
    SpanBertTokenizer,
)
from spanbert_keras.conversion.claims import Stored, check_claims, check_keras_file, verify_preset
from spanbert_keras.conversion.formats.own_models import read_keras_file
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##c"]
SIZES = ("vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim", "max_sequence_length")


@pytest.fixture(scope="module")
def encoder():
    return SpanBertEncoder(8, 1, 2, 8, 12, max_sequence_length=16, tokenizer=SpanBertTokenizer(PIECES))


def changed_config(path, target, change):
    """Writes a copy of a `.keras` file with another config."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config)
            copy.writestr(name, content)
    return target


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [10**9, 0, -1, 1e9, float("inf"), float("nan"), True, "8", None, 10**400, [1]])
def test_a_size_in_a_keras_file_is_compared_with_its_weights(encoder, tmp_path, size, value):
    encoder.save(tmp_path / "encoder.keras")

    def change(config):
        config["config"][size] = value

    path = changed_config(tmp_path / "encoder.keras", tmp_path / "x.keras", change)
    with pytest.raises(InputError, match=r"x\.keras (is rejected|cannot be loaded)"):
        read_keras_file(path)


@pytest.mark.parametrize("size, value", [("num_layers", 200), ("hidden_dim", 100), ("vocabulary_size", 1_000)])
def test_a_model_that_is_a_little_too_large_is_rejected(encoder, tmp_path, size, value):
    encoder.save(tmp_path / "encoder.keras")
    path = changed_config(
        tmp_path / "encoder.keras", tmp_path / "x.keras", lambda config: config["config"].update({size: value})
    )
    with pytest.raises(InputError, match="it describes a model of"):
        check_keras_file(path)


@pytest.mark.parametrize(
    "make, name, value",
    [
        (lambda encoder: SpanBertPretrainer(encoder, 4, 5), "position_dim", 10**5),
        (lambda encoder: SpanBertPretrainer(encoder, 4, 5), "max_span_positions", 10**9),
        (lambda encoder: SpanBertCoreferenceResolver(encoder, feature_dim=4, hidden_dim=5), "hidden_dim", 1_000),
        (lambda encoder: SpanBertCoreferenceResolver(encoder, feature_dim=4, hidden_dim=5), "feature_dim", 1_000),
        (lambda encoder: SpanBertCoreferenceResolver(encoder, feature_dim=4, hidden_dim=5), "max_span_width", 5_000),
        (lambda encoder: SpanBertTextClassifier(encoder, labels=["a", "b"]), "labels", list(map(str, range(9_999)))),
    ],
)
def test_a_size_of_a_head_is_compared_with_the_weights(encoder, tmp_path, make, name, value):
    make(encoder).save(tmp_path / "model.keras")
    assert check_keras_file(tmp_path / "model.keras")
    path = changed_config(
        tmp_path / "model.keras", tmp_path / "x.keras", lambda config: config["config"].update({name: value})
    )
    with pytest.raises(InputError, match="is rejected"):
        read_keras_file(path)


def test_the_rank_of_an_adapter_is_compared_with_the_weights(encoder):
    stored = Stored(40, 2_000)
    check_claims({"lora": {"x": {"rank": 4, "alpha": 4}}}, stored, "x")
    for rank in (10**9, -1, None):
        with pytest.raises(InputError, match=r"x is rejected: it says rank="):
            check_claims({"lora": {"x": {"rank": rank}}}, stored, "x")


def test_a_preset_is_compared_with_its_weights(encoder, tmp_path):
    encoder.save_to_preset(tmp_path / "preset")
    (tmp_path / "preset" / "checksums.json").unlink()
    verify_preset(tmp_path / "preset")
    path = tmp_path / "preset" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["num_layers"] = 10**9
    path.write_text(json.dumps(config))
    for read in (open_source, SpanBertEncoder.from_preset, SpanBertTextClassifier.from_preset):
        with pytest.raises(InputError, match=r"config\.json is rejected: it says num_layers=1000000000"):
            read(str(tmp_path / "preset"))


def test_weights_that_claim_more_than_the_file_holds_are_rejected(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("vars/0", (1 << 40,), "float32", chunks=(1 << 20,))
    size = (tmp_path / "x.h5").stat().st_size
    with pytest.raises(InputError, match="its weights claim to be larger than the file"):
        Stored.in_h5(tmp_path / "x.h5", size, "x")


def test_weights_in_another_file_are_rejected(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(64))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("vars/0", (4,), "float32", external=[(str(tmp_path / "secret"), 0, 64)])
    with pytest.raises(InputError, match="its weights vars/0 are in another file"):
        Stored.in_h5(tmp_path / "x.h5", 10_000, "x")


def test_what_is_stored_is_counted(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a/vars/0"], file["a/vars/1"] = np.zeros((3, 4), "float32"), np.zeros(5, "float32")
    assert Stored.in_h5(tmp_path / "x.h5", 10_000, "x") == Stored(2, 17)
    assert Stored.in_tensors({"a": np.zeros((3, 4)), "b": np.zeros(5)}) == Stored(2, 17)
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    with pytest.raises(InputError, match="x cannot be read: .*copy or download it again"):
        Stored.in_h5(tmp_path / "x.h5", 48, "x")
