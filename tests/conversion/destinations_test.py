"""Tests of writing checkpoints: atomically and in the requested dtype."""

import dataclasses
import json
import re

import keras
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from spanbert_keras import (
    SpanBertCoreferenceResolver,
    SpanBertEncoder,
    SpanBertPretrainer,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTextClassifier,
)
from spanbert_keras.conversion import destinations
from spanbert_keras.conversion.destinations import format_of, write
from spanbert_keras.conversion.formats.own_models import OWN_KIND, from_model, to_model
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


def make_classifier(encoder):
    return SpanBertTextClassifier(encoder, labels=["no", "yes"])


@pytest.fixture
def checkpoint(make_bert):
    return open_source(make_bert()[0])


@pytest.mark.parametrize(
    "name, kind, form",
    [
        ("a.keras", "x", "keras"),
        ("a.onnx", "x", "onnx"),
        ("a.tflite", "x", "litert"),
        ("a", "x", "preset"),
        ("a", OWN_KIND, "hugging_face"),
        ("a.b", OWN_KIND, "hugging_face"),
        ("a.lite", OWN_KIND, "hugging_face"),
        ("spanbert.kerashub", "x", "preset"),
        ("a.tflite_folder", "x", "preset"),
    ],
)
def test_the_name_selects_the_format(name, kind, form):
    assert format_of(name, kind) == form


@pytest.mark.parametrize("name", ["a.onxx", "a.tflight", "a.kera", "b/a.Keras"])
def test_a_misspelt_ending_is_not_the_name_of_a_folder(checkpoint, tmp_path, name):
    with pytest.raises(InputError, match=r"ends with \.\w+\. Expected: \.\w+ for a file, or for a folder"):
        write(checkpoint, tmp_path / name)
    (tmp_path / name).mkdir(parents=True)
    assert format_of(tmp_path / name, "x") == "preset"  # the user's own folder


def test_a_keras_file_holds_the_heads_of_the_source(checkpoint, tmp_path):
    notes = write(checkpoint, tmp_path / "a.keras")
    assert type(keras.saving.load_model(tmp_path / "a.keras")) is SpanBertPretrainer
    assert notes == ["The source has no weights for these heads, which are re-initialised: span_boundary."]
    assert write(checkpoint, tmp_path / "b.keras", model="encoder")[0].startswith("The heads (masked_lm) are left out")
    assert type(keras.saving.load_model(tmp_path / "b.keras")) is SpanBertEncoder
    assert [p.name for p in sorted(tmp_path.glob("*.keras"))] == ["a.keras", "b.keras"]


@pytest.mark.parametrize("form", ["hugging_face", "preset", "keras"])
def test_a_full_disk_gives_one_sentence_and_leaves_nothing(checkpoint, small_disk, tmp_path, form):
    folder = tmp_path / "new"
    folder.mkdir()
    message = r"out\S* could not be written: File too large\. Fix this and try again\.$"
    with pytest.raises(InputError, match=message), small_disk(3_000):
        write(checkpoint, folder / ("out.keras" if form == "keras" else "out"), form)
    assert list(folder.iterdir()) == []


def test_equal_checkpoints_give_equal_keras_files(checkpoint, tmp_path):
    for name in ("a.keras", "b.keras"):
        write(checkpoint, tmp_path / name, model="encoder")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_the_head_of_another_task_is_new_in_a_keras_file_and_rejected_in_a_folder(checkpoint, tmp_path):
    notes = write(checkpoint, tmp_path / "b.keras", model="question_answerer")
    assert "no weights for the head of a question answerer" in notes[0]
    assert isinstance(keras.saving.load_model(tmp_path / "b.keras"), SpanBertQuestionAnswerer)
    expected = r"Expected: --model=pretrainer or encoder, or a .keras file.*Received: --model=question_answerer\.$"
    with pytest.raises(InputError, match=expected):
        write(checkpoint, tmp_path / "b", "hugging_face", model="question_answerer")
    assert not (tmp_path / "b").exists()
    reader = from_model(keras.saving.load_model(tmp_path / "b.keras"))
    assert not any("random" in note for note in write(reader, tmp_path / "b", model="question_answerer"))


def test_a_preset_loads_with_its_tokenizer_and_can_be_written_again(checkpoint, tmp_path):
    for _ in range(2):
        write(checkpoint, tmp_path / "preset")
    encoder = SpanBertEncoder.from_preset(str(tmp_path / "preset"))
    assert encoder.tokenizer.get_vocabulary() == checkpoint.vocabulary


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_tensors_have_the_requested_dtype(checkpoint, tmp_path, dtype):
    notes = write(checkpoint, tmp_path / "hf", "hugging_face", dtype=dtype)
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    for name, value in load_file(tmp_path / "hf" / "model.safetensors").items():
        np.testing.assert_array_equal(value, checkpoint.tensors[name].astype(kind))
        assert value.dtype == kind
    assert notes == ([] if dtype == "float32" else [f"{len(checkpoint.tensors)} tensors are rounded to {dtype}."])


def test_half_precision_survives_a_round_trip_through_a_keras_file(make_bert, tmp_path):
    folder, _ = make_bert(half=True)
    write(open_source(folder), tmp_path / "a.keras")
    notes = write(open_source(tmp_path / "a.keras"), tmp_path / "hf", dtype="float16")
    first, second = load_file(folder / "model.safetensors"), load_file(tmp_path / "hf" / "model.safetensors")
    assert first.keys() == second.keys() and not any("rounded" in n and "42" in n for n in notes)
    for name in first:
        assert first[name].tobytes() == second[name].tobytes()


def test_flags_take_effect_or_are_rejected(checkpoint, tmp_path):
    notes = write(checkpoint, tmp_path / "encoder", "hugging_face", model="encoder")
    assert notes == ["The heads (masked_lm) are left out."] and open_source(tmp_path / "encoder").heads == []
    with pytest.raises(InputError, match="--dtype=float16 needs --format=hugging_face. Received: --format=keras"):
        write(checkpoint, tmp_path / "a.keras", dtype="float16")


@pytest.mark.parametrize("pooler", [False, True])
def test_a_folder_may_hold_only_the_encoder_of_a_classifier(make_encoder, tmp_path, pooler):
    model = SpanBertTextClassifier(make_encoder(), ["no", "yes"], row_length=16, pooler=pooler)
    notes = write(from_model(model), tmp_path / "encoder", "hugging_face", model="encoder")
    assert notes == ["The heads (text_classifier) are left out."]
    assert json.loads((tmp_path / "encoder" / "config.json").read_text())["architectures"] == ["BertModel"]
    again = open_source(tmp_path / "encoder")
    assert again.all_heads == [] and all(name.startswith("bert.e") for name in again.tensors)
    for ours, theirs in zip(to_model(again).weights, model.encoder.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("pooler", [False, True])
@pytest.mark.parametrize("kind, theirs", [("multi_label", "multi_label_classification"), ("regression", "regression")])
def test_a_folder_keeps_the_problem_type_of_a_classifier(make_encoder, tmp_path, randomize, pooler, kind, theirs):
    settings = {"problem_type": kind, "threshold": 0.3, "row_length": 16, "pooler": pooler}
    model = SpanBertTextClassifier(make_encoder(), ["up", "down"], **settings)
    randomize(model, scale=0.3)
    model.save(tmp_path / "text_classifier.keras")
    write(open_source(tmp_path / "text_classifier.keras"), tmp_path / "hf", "hugging_face")
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert config["problem_type"] == theirs and config["id2label"] == {"0": "up", "1": "down"}
    again = to_model(open_source(tmp_path / "hf"))
    assert {name: again.get_config()[name] for name in settings} == settings
    given = ["a w1", "The"]
    for one, other in zip(model.classify(given), again.classify(given), strict=True):
        assert (one.label, one.labels) == (other.label, other.labels)
        assert list(one.scores.values()) == pytest.approx(list(other.scores.values()), abs=1e-6)


def test_values_that_a_dtype_cannot_hold_are_rejected(checkpoint, tmp_path):
    checkpoint.tensors["cls.predictions.bias"] = checkpoint.tensors["cls.predictions.bias"] + 1e6
    with pytest.raises(InputError, match=r"--dtype=float16 cannot hold the values of cls\.predictions\.bias"):
        write(checkpoint, tmp_path / "half", "hugging_face", dtype="float16")
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]


def test_a_folder_with_other_content_is_left_unchanged(checkpoint, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for form in ("preset", "hugging_face"):
        with pytest.raises(InputError, match="is a folder with other content"):
            write(checkpoint, tmp_path / "mine", form)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("form", ["hugging_face", "preset", "saved_model"])
def test_a_folder_that_holds_more_than_a_model_is_left_unchanged(checkpoint, tmp_path, form):
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    for name in ("config.json", "saved_model.pb", "thesis.txt"):
        (tmp_path / "mine" / name).write_text("mine")
    with pytest.raises(InputError, match="with other content"):
        write(checkpoint, tmp_path / "mine", form)
    assert len(list((tmp_path / "mine").iterdir())) == 4


@pytest.mark.parametrize("name", ["x.keras", "x.onnx", "x.tflite"])
def test_a_file_does_not_replace_a_folder(checkpoint, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="is a folder. Expected: the name of a file"):
        write(checkpoint, tmp_path / name)
    assert (tmp_path / name).is_dir()


def test_the_source_is_never_overwritten(checkpoint, tmp_path):
    before = sorted(p.name for p in (tmp_path / "hf").iterdir())
    for destination in (tmp_path / "hf", tmp_path, tmp_path / "x" / ".." / "hf"):
        with pytest.raises(InputError, match="holds the source, .* which would be lost"):
            write(checkpoint, destination, "hugging_face", source=tmp_path / "hf")
    (tmp_path / "link").symlink_to(tmp_path / "hf")
    with pytest.raises(InputError, match="is a link"):
        write(checkpoint, tmp_path / "link", "hugging_face")
    assert sorted(p.name for p in (tmp_path / "hf").iterdir()) == before


@pytest.mark.parametrize("name, form", [("", "auto"), ("..", "auto"), ("x", "keras")])
def test_an_invalid_destination_name_is_rejected(checkpoint, name, form):
    with pytest.raises(InputError, match="--destination="):
        write(checkpoint, name, form)


@pytest.mark.parametrize(
    "name, form", [("a.onnx", "auto"), ("a.tflite", "auto"), ("a", "saved_model"), ("b", "saved_model_strings")]
)
def test_exports_are_run_and_their_difference_is_reported(checkpoint, tmp_path, name, form):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are made on the TensorFlow backend")
    if not form.startswith("saved_model"):
        pytest.importorskip("onnx" if name.endswith("onnx") else "ai_edge_litert", reason="of the extra `export`")
    notes = write(checkpoint, tmp_path / "exports" / name, form)  # only the encoder, since one head is missing
    assert notes[0].startswith("The heads (masked_lm) are left out")
    assert float(notes[1].rpartition(" ")[2].rstrip(".")) < 1e-5
    assert re.match(
        r"Its outputs are .*sequence_output.*; its size is [\d.]+ MB\. One row of \d+ tokens takes", notes[2]
    )
    assert [p.name for p in (tmp_path / "exports").iterdir()] == [name]


@pytest.mark.parametrize("name, form", [("a.onnx", "onnx"), ("a.tflite", "litert"), ("a", "saved_model")])
@pytest.mark.parametrize(
    "kind, outputs", [(SpanBertQuestionAnswerer, "end_logits, start_logits"), (make_classifier, "logits")]
)
def test_an_export_has_the_head_of_its_task(make_encoder, tmp_path, kind, outputs, name, form):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are made on the TensorFlow backend")
    if form != "saved_model":
        pytest.importorskip("onnx" if form == "onnx" else "ai_edge_litert", reason="of the extra `export`")
    notes = write(from_model(kind(make_encoder())), tmp_path / name, form)
    assert float(re.search(r"by at most (\S+)\.$", notes[0])[1]) < 1e-5
    assert notes[1].startswith(f"Its outputs are {outputs};")


def test_an_export_has_no_head_if_the_encoder_is_asked_for(make_encoder, tmp_path):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("exports are made on the TensorFlow backend")
    checkpoint = from_model(make_classifier(make_encoder()))
    notes = write(checkpoint, tmp_path / "a", "saved_model", model="encoder")
    assert "heads (text_classifier) are left out" in notes[0]
    assert notes[-1].startswith("Its outputs are sequence_output;")


def test_a_saved_model_of_text_holds_the_tasks_that_a_graph_can_read_else_the_encoder(make_encoder, monkeypatch):
    written = []
    row = destinations.FORMATS["saved_model_strings"]
    monkeypatch.setattr(destinations, "_check_free", lambda *_: None)
    monkeypatch.setitem(
        destinations.FORMATS,
        "saved_model_strings",
        dataclasses.replace(row, write=lambda model, path: written.append(type(model)) or []),
    )
    extractor = SpanBertRelationExtractor(make_encoder(), ["no", "yes"], markers={"SUBJ-START": "w1"})
    reader, classifier = SpanBertQuestionAnswerer(make_encoder()), make_classifier(make_encoder())
    for model, kind in ((reader, "auto"), (classifier, "auto"), (classifier, "encoder"), (extractor, "auto")):
        notes = write(from_model(model), "x", "saved_model_strings", model=kind)
        assert bool(notes) == (kind == "encoder" or model is extractor)
    assert written == [SpanBertQuestionAnswerer, SpanBertTextClassifier, SpanBertEncoder, SpanBertEncoder]
    with pytest.raises(InputError, match="--format=saved_model_strings does not hold a relation extractor"):
        write(from_model(extractor), "x", "saved_model_strings", model="relation_extractor")


def test_the_parts_of_a_resolver_are_written_and_reported(make_encoder, tmp_path, monkeypatch):
    def export(resolver, folder):
        folder.mkdir()
        (folder / "encoder.onnx").write_bytes(b"x" * 200_000)
        return 1e-6

    monkeypatch.setattr(destinations, "export_resolver", export)
    monkeypatch.setattr(destinations, "open_onnx", lambda path: lambda inputs: {"sequence_output": path})
    resolver = SpanBertCoreferenceResolver(make_encoder(), max_span_width=2, hidden_dim=3, feature_dim=2)
    notes = write(from_model(resolver), tmp_path / "parts", "onnx_parts")
    assert notes[0] == "The parts were run: their outputs differ from the model's by at most 1.0e-06."
    assert notes[1].startswith("Of encoder.onnx, and the size of all parts: Its outputs are sequence_output; its size")
    assert "its size is 0.2 MB" in notes[1]


@pytest.mark.parametrize("name, form", [("a.onnx", "onnx"), ("a.tflite", "litert"), ("a", "saved_model")])
def test_a_head_that_was_never_trained_is_not_exported(checkpoint, tmp_path, name, form):
    with pytest.raises(InputError, match="no weights for the head of a question answerer, .* Received: a pretrainer"):
        write(checkpoint, tmp_path / name, form, model="question_answerer")
    assert not (tmp_path / name).exists()


def test_a_failed_write_keeps_the_old_file(checkpoint, tmp_path, monkeypatch):
    write(checkpoint, tmp_path / "a.keras")
    before = (tmp_path / "a.keras").read_bytes()

    def fail(model, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SpanBertPretrainer, "save", fail)
    with pytest.raises(InputError, match=r"a\.keras could not be written: No space left on device"):
        write(checkpoint, tmp_path / "a.keras")
    assert (tmp_path / "a.keras").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.keras", "hf"]


@pytest.mark.parametrize("name, form", [("a.onnx", "onnx"), ("a.tflite", "litert"), ("a", "saved_model")])
def test_a_resolver_is_not_exported_and_its_encoder_only_on_request(make_encoder, tmp_path, name, form):
    resolver = SpanBertCoreferenceResolver(make_encoder(), max_span_width=2, hidden_dim=3, feature_dim=2)
    for model in ("auto", "coreference_resolver"):
        with pytest.raises(
            InputError, match=f"A coreference resolver cannot be exported with --format={form}.*onnx_parts"
        ):
            write(from_model(resolver), tmp_path / name, form, model=model)
    with pytest.raises(InputError, match="has no weights for the head of a text classifier"):
        write(from_model(resolver), tmp_path / name, form, model="text_classifier")
    assert list(tmp_path.iterdir()) == []


def test_a_new_format_needs_one_row(checkpoint, tmp_path, monkeypatch):
    def write_names(content, destination):
        destination.write_text("\n".join(content.tensors))
        return ["Names alone."]

    row = destinations.Format(destinations._tensors, write_names, ".names", needs_suffix=True)
    monkeypatch.setitem(destinations.FORMATS, "names", row)
    notes = write(checkpoint, tmp_path / "a.names", model="encoder")
    assert notes == ["The heads (masked_lm) are left out.", "Names alone."]
    assert "bert.embeddings.word_embeddings.weight" in (tmp_path / "a.names").read_text()
    with pytest.raises(InputError, match=r"must end with \.names for --format=names"):
        write(checkpoint, tmp_path / "b", "names")
