"""SavedModels: equal to the model on rows other than the exporter's, without our code, and written atomically."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTokenizer
from spanbert_keras.conversion.exports import saved_model
from spanbert_keras.conversion.exports.saved_model import export_saved_model
from spanbert_keras.errors import InputError

tf = pytest.importorskip("tensorflow", reason="a SavedModel needs TensorFlow")
pytest.importorskip("tensorflow_text", reason="a SavedModel that takes strings needs tensorflow-text")
pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on the TensorFlow backend"
)

TEXTS = ["café [MASK] abc, \u4e2d\u200b e\u0301", "", "abc" * 40, "a b c d e f g h " * 3, "b\xa0c\x00d"]
SERVE = """
import json, sys
import numpy as np
import tensorflow as tf
import tensorflow_text
serve = tf.saved_model.load("served").signatures["serving_default"]
outputs = serve(text=tf.constant(json.load(open("texts.json"))))
assert not {"spanbert_keras", "tokenizers"} & set(sys.modules)
np.savez("results.npz", **{name: value.numpy() for name, value in outputs.items()})
assert serve(text=tf.constant(["a"]))["token_ids"].shape == (1, 20)
"""


@pytest.fixture
def pieces():
    """List of 40 pieces: letters, their continuations, accents, a Chinese character, punctuation."""
    letters = [*"abcdefgh", *("##" + letter for letter in "abcdefgh")]
    others = ["café", "é", ",", "[", "]", "MASK", "\u4e2d", "##\u0301", *(f"w{i}" for i in range(11))]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *others]


def serve(folder, rows):
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    return {name: value.numpy() for name, value in signature(**{k: tf.constant(v) for k, v in rows.items()}).items()}


@pytest.mark.parametrize("kind", ["encoder", "pretrainer", "pretrainer of pairs"])
def test_outputs_equal_the_models_at_any_size(make_encoder, make_pretrainer, rows_for, tmp_path, kind):
    model = make_encoder(num_layers=2) if kind == "encoder" else make_pretrainer(next_sentence="pairs" in kind)
    assert export_saved_model(model, tmp_path / "served") < 1e-5
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    _, specs = loaded.signatures["serving_default"].structured_input_signature
    assert {name: (spec.shape.as_list(), spec.dtype) for name, spec in specs.items()} == {
        name: ([None, None], tf.int32) for name in model.input_keys
    }
    variables = tf.train.list_variables(str(tmp_path / "served" / "variables" / "variables"))
    assert sum(np.prod(shape) for name, shape in variables if "VARIABLE" in name) == model.count_params()
    for batch, times in ((3, 1), (2, 2)):
        rows = rows_for(model, batch, times)
        expected = model(rows)
        received = serve(tmp_path / "served", rows)
        assert set(received) == set(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(received[name], values.numpy(), atol=1e-5)


def test_strings_are_served_in_a_fresh_process_with_our_ids(make_encoder, tmp_path):
    encoder = make_encoder()
    assert export_saved_model(encoder, tmp_path / "served", strings=True, length=20) < 1e-5
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS), encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", SERVE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    outputs = np.load(tmp_path / "results.npz")
    ids = encoder.tokenizer(TEXTS)
    assert [len(row) > 18 for row in ids] == [False, False, False, True, False]
    rows = [[2, *row[:18], 3] for row in ids]
    token_ids = np.array([row + [0] * (20 - len(row)) for row in rows], "int32")
    assert np.array_equal(outputs["token_ids"], token_ids)
    assert outputs["padding_mask"].sum(axis=1).tolist() == list(map(len, rows))
    assert outputs["truncated_pieces"].tolist() == [max(0, len(row) - 18) for row in ids]
    inputs = {"token_ids": token_ids, "segment_ids": 0 * token_ids, "padding_mask": outputs["padding_mask"]}
    np.testing.assert_allclose(outputs["sequence_output"], encoder(inputs)["sequence_output"].numpy(), atol=1e-5)


def test_half_precision_is_served_in_its_own_dtype_and_rows_are_as_long_as_the_longest_text(make_encoder, tmp_path):
    assert export_saved_model(make_encoder(dtype="mixed_bfloat16"), tmp_path / "served", strings=True) < 0.1
    outputs = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"](tf.constant(["ab", "a b c"]))
    assert outputs["sequence_output"].dtype == tf.bfloat16
    assert outputs["token_ids"].numpy().tolist() == [[2, 5, 14, 3, 0], [2, 5, 6, 7, 3]]


def test_strings_need_an_encoder_whose_tokenizer_a_graph_can_hold(make_encoder, make_pretrainer, tmp_path):
    marked = make_encoder()
    marked.tokenizer = SpanBertTokenizer(marked.tokenizer.get_vocabulary(), special_tokens_in_text=True)
    rejected = {
        "SpanBertQuestionAnswerer. Received: SpanBertPretrainer": make_pretrainer(),
        "needs the encoder's tokenizer": make_encoder(tokenizer=None),
        "with a vocabulary. Received: none": make_encoder(tokenizer=SpanBertTokenizer()),
        "special_tokens_in_text=False. Received: True": marked,
        "a model and a tokenizer with special": SpanBertQuestionAnswerer(make_encoder(), special_tokens_in_text=True),
    }
    for message, model in rejected.items():
        with pytest.raises(InputError, match=message):
            export_saved_model(model, tmp_path / "served", strings=True)
    with pytest.raises(ValueError, match=r"must be in \[2, 24\]. Received: 25"):
        export_saved_model(make_encoder(), tmp_path / "served", strings=True, length=25)
    with pytest.raises(ValueError, match="`length` is for strings=True"):
        export_saved_model(make_encoder(), tmp_path / "served", length=9)
    with pytest.raises(
        ValueError, match="`length` is for an encoder. Received: length=9 for a SpanBertQuestionAnswerer"
    ):
        export_saved_model(SpanBertQuestionAnswerer(make_encoder()), tmp_path / "served", strings=True, length=9)
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_left_unchanged_and_an_older_export_is_replaced(make_encoder, rows_for, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "text").touch()
    with pytest.raises(InputError, match="cannot be used for a SavedModel"):
        export_saved_model(make_encoder(), tmp_path / "notes")
    assert (tmp_path / "notes" / "text").exists()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "saved_model.pb").write_text("old")
    encoder = make_encoder()
    export_saved_model(encoder, tmp_path / "served")
    rows = rows_for(encoder, 3, 2)
    received = serve(tmp_path / "served", rows)["sequence_output"]
    np.testing.assert_allclose(received, encoder(rows)["sequence_output"].numpy(), atol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes", "served"]


def test_a_wrong_export_is_not_written(make_encoder, tmp_path, monkeypatch):
    encoder, other = make_encoder(), make_encoder(num_heads=2)
    monkeypatch.setattr(saved_model, "_write_ids", lambda _, folder, write=saved_model._write_ids: write(other, folder))
    with pytest.raises(InputError, match="does not compute the same as the model"):
        export_saved_model(encoder, tmp_path / "served")
    cased = encoder.tokenizer
    encoder.tokenizer = SpanBertTokenizer(cased.get_vocabulary()[:5] + cased.get_vocabulary()[:4:-1])
    monkeypatch.setattr(encoder.tokenizer, "get_vocabulary", cased.get_vocabulary)
    with pytest.raises(InputError, match="split texts into different pieces"):
        export_saved_model(encoder, tmp_path / "served", strings=True)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_of_strings_rejects_tokens_that_it_cannot_hold(tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]
    for settings, name in (({"added_tokens": ["[E1]"]}, r"\[E1\]"), ({"clean_text": False}, "clean_text=False")):
        tokenizer = SpanBertTokenizer(pieces, **settings)
        encoder = SpanBertEncoder(tokenizer.vocabulary_size(), 1, 2, 8, 8, tokenizer=tokenizer)
        with pytest.raises(InputError, match=f"takes strings cannot hold added tokens.*Received: {name}"):
            export_saved_model(encoder, tmp_path / "out", strings=True)
