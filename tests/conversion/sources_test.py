"""Tests of detecting and reading checkpoints, against transformers and a NumPy oracle."""

import argparse
import fnmatch
import json
import shutil
import tarfile

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertQuestionAnswerer
from spanbert_keras.conversion import sources
from spanbert_keras.conversion.formats.own_models import to_model
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


def hidden(model, rows, to_numpy):
    encoder = getattr(model, "encoder", model)
    return to_numpy(encoder(rows)["sequence_output"])


@pytest.mark.parametrize(
    "changes", [{}, {"hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1}, {"num_attention_heads": 6}]
)
@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
def test_a_hugging_face_folder_computes_what_transformers_does(make_bert, bert_outputs, rows, to_numpy, kind, changes):
    folder, bert = make_bert(kind=kind, **changes)
    checkpoint = open_source(folder)
    expected = bert_outputs(getattr(bert, "bert", bert), rows)
    real = rows["padding_mask"] > 0
    np.testing.assert_allclose(hidden(to_model(checkpoint), rows, to_numpy)[real], expected[real], atol=1e-5)
    heads = {"BertModel": [], "BertForMaskedLM": ["masked_lm"], "BertForPreTraining": ["masked_lm", "next_sentence"]}
    assert checkpoint.heads == heads[kind]


def test_the_masked_lm_head_computes_what_transformers_does(make_bert, bert_outputs, rows, masked, to_numpy):
    folder, bert = make_bert()
    logits = to_numpy(to_model(open_source(folder))(masked)["masked_lm"])
    expected = np.take_along_axis(bert_outputs(bert, rows), masked["mask_positions"][..., None], 1)
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("source", ["", "bert_model.ckpt", "bert_model.ckpt.index"])
def test_googles_folder_computes_what_transformers_does(
    make_bert, bert_outputs, google_variables, rows, masked, to_numpy, tmp_path, source
):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow writes the checkpoint")
    folder, bert = make_bert()
    state = {name: value.numpy() for name, value in bert.state_dict().items() if not name.endswith("position_ids")}
    for tied in ("cls.predictions.decoder.weight", "cls.predictions.decoder.bias"):
        state.pop(tied, None)
    values = google_variables(state)
    google = tmp_path / "cased_L-2_H-12_A-3"
    google.mkdir()
    (folder / "config.json").rename(google / "bert_config.json")
    (folder / "vocab.txt").rename(google / "vocab.txt")
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(google / "bert_model.ckpt"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(values[name]) for name in names],
    )
    checkpoint = open_source(google / source if source else google)
    assert checkpoint.heads == ["masked_lm"] and any("tanh" in note for note in checkpoint.notes)
    model = to_model(checkpoint)
    logits = np.take_along_axis(bert_outputs(bert, rows), masked["mask_positions"][..., None], 1)
    np.testing.assert_allclose(to_numpy(model(masked)["masked_lm"]), logits, atol=1e-5)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("zipped", [True, False])
def test_old_pickles_are_read_in_their_dtype(make_bert, save_torch, half, zipped):
    folder, bert = make_bert(half=half)
    expected = open_source(folder)
    (folder / "model.safetensors").unlink()
    state = {name: value.numpy() for name, value in bert.state_dict().items()}
    save_torch(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    found = open_source(folder)
    for name, value in expected.tensors.items():
        assert found.tensors[name].dtype == value.dtype == (np.float16 if half else np.float32)
        np.testing.assert_array_equal(found.tensors[name], value)


def test_a_checkpoint_in_parts_is_read_whole(make_bert):
    whole, _ = make_bert("whole")
    parts, _ = make_bert("parts", max_shard_size="4KB")
    assert len(list(parts.glob("model-*.safetensors"))) > 1
    one, two = open_source(whole).tensors, open_source(parts).tensors
    assert one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)
    next(parts.glob("model-00001*")).unlink()
    with pytest.raises(InputError, match="lacks files .*model-00001"):
        open_source(parts)


@pytest.mark.parametrize("rows_of_table", [15, 20])
@pytest.mark.parametrize("form", ["archive", "model.pt", "training"])
def test_the_research_codes_files_contain_both_heads(
    research_state, save_torch, oracle, masked, pieces, to_numpy, tmp_path, form, rows_of_table
):
    state = research_state(position_rows=rows_of_table)
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(pieces) + "\n")
    if form == "training":
        args = argparse.Namespace(arch="cased_bert_pair", lr=[1e-4])
        path = tmp_path / "checkpoint_best.pt"
        save_torch({"args": args, "model": state, "best": np.float64(2.5), "extra_state": {"epoch": 1}}, path)
    else:
        path = save_torch(state, tmp_path / "model.pt")
    if form == "archive":
        with tarfile.open(tmp_path / "spanbert_large_with_head.tar.gz", "w:gz") as archive:
            archive.add(path, "spanbert_large_with_head/model.pt")
        path = tmp_path / "spanbert_large_with_head.tar.gz"
    with pytest.raises(InputError, match=r"has no vocabulary: a vocab.txt of 40 pieces .*--vocab_file"):
        (tmp_path / "alone").mkdir()
        open_source(path.rename(tmp_path / "alone" / path.name))
    checkpoint = open_source(tmp_path / "alone" / path.name, vocabulary)
    checkpoint.architecture["num_heads"] = 3  # no published model has a width of 12
    model = to_model(checkpoint)
    assert model.max_span_positions == rows_of_table and model.position_dim == 7
    outputs = to_numpy(model(masked))
    masked_lm, span_boundary = oracle(state, masked)
    np.testing.assert_allclose(outputs["masked_lm"], masked_lm, atol=2e-5)
    np.testing.assert_allclose(outputs["span_boundary"], span_boundary, atol=2e-5)
    assert any("CC BY-NC 4.0" in note for note in checkpoint.notes)
    assert any("1 attention heads are taken" in note for note in checkpoint.notes)


def test_the_folder_of_a_fine_tuning_run_is_its_model(make_bert, tmp_path):
    SpanBertQuestionAnswerer(to_model(open_source(make_bert()[0]), "encoder")).save(
        tmp_path / "question_answerer.keras"
    )
    (tmp_path / "run.json").write_text("{}")
    assert open_source(tmp_path).task == "question_answerer"


def test_our_own_formats_are_read_back(make_bert, tmp_path):
    folder, _ = make_bert()
    first = open_source(folder)
    model = to_model(first)
    model.save(tmp_path / "pretrainer.keras")
    model.encoder.save_to_preset(tmp_path / "preset")
    for path in (tmp_path / "pretrainer.keras", tmp_path / "preset"):
        again = open_source(path)
        names = [weight.name for weight in first.table().values() if weight.name in again.tensors]
        assert len(names) == (37 if path.suffix == "" else 42)
        for name in names:
            np.testing.assert_array_equal(first.tensors[name], again.tensors[name])
        assert again.architecture == first.architecture and again.vocabulary == first.vocabulary
        fresh = ["The head span_boundary was never trained, and is left out."] if path.suffix else []
        assert again.lowercase is False and again.notes == fresh


@pytest.mark.parametrize(
    "settings, lowercase", [({"do_lower_case": True}, True), ({"do_lower_case": False}, False), (None, False)]
)
def test_case_is_the_sources_setting_or_inferred_from_its_vocabulary(make_bert, settings, lowercase):
    folder, _ = make_bert()
    if settings is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert open_source(folder).lowercase is lowercase
    assert open_source(folder, lowercase=not lowercase).lowercase is not lowercase
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("The", "the"))
    assert open_source(folder).lowercase is (True if settings is None else lowercase)


@pytest.mark.parametrize("name", ["spanbert_hf_base", "SpanBERT--spanbert-base-cased", "spanbert-large-cased"])
def test_published_weights_come_with_their_licence(make_bert, name):
    assert any("CC BY-NC 4.0" in note for note in open_source(make_bert(name)[0]).notes)
    for own in ("my_spanbert_keras", "spanbert_base_experiments"):
        assert not any("CC BY-NC" in note for note in open_source(make_bert(own)[0]).notes)


def test_a_name_that_is_neither_a_path_nor_on_the_hub_is_rejected(monkeypatch, tmp_path):
    import huggingface_hub

    asked = []

    def fail(name, **settings):
        asked.append(name)
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    for source, handle in (("org/model", "org/model"), ("hf://a/b", "a/b"), ("bert-base-cased", "bert-base-cased")):
        with pytest.raises(
            InputError, match=f"{source}: there is no such file or folder, .* cannot be fetched: offline"
        ):
            open_source(source)
        assert asked.pop() == handle
    with pytest.raises(InputError, match="not a Hugging Face name either"):
        open_source(tmp_path / "absent" / "model")
    assert asked == []


def test_a_hub_name_is_fetched_once_and_read_as_its_folder(make_bert, monkeypatch, tmp_path):
    import huggingface_hub

    folder, _ = make_bert("SpanBERT--spanbert-base-cased")
    (folder / "pytorch_model.bin").write_bytes(b"a second copy")
    cache, asked = tmp_path / "cache" / "models--SpanBERT--spanbert-base-cased", []
    cache.mkdir(parents=True)

    def fetch(name, allow_patterns):
        asked.extend(allow_patterns)
        for path in folder.iterdir():
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copy(path, cache)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    checkpoint = open_source("hf://SpanBERT/spanbert-base-cased")
    assert checkpoint.heads == ["masked_lm"] and any("CC BY-NC" in note for note in checkpoint.notes)
    assert asked == ["*.json", "vocab.txt", "model*.safetensors"]  # no second copy of the weights
    for path in (folder / "model.safetensors", cache / "model.safetensors"):
        path.unlink()
    with pytest.raises(InputError, match="pytorch_model.bin"):
        open_source("SpanBERT/spanbert-base-cased")


def test_tensors_that_do_not_fit_are_rejected_by_name(make_bert, save_torch):
    folder, bert = make_bert()
    state = {name: value.numpy() for name, value in bert.state_dict().items()}
    (folder / "model.safetensors").unlink()
    lost = ("bert.encoder.layer.1.output.dense.bias", "cls.predictions.transform.dense.weight")
    changed = {name: value for name, value in state.items() if name not in lost}
    changed |= {"classifier.weight": np.zeros((2, 12)), "adapter.x": np.zeros(3)}
    save_torch(changed, folder / "pytorch_model.bin")
    with pytest.raises(InputError) as caught:
        open_source(folder)
    for name in (*lost, "classifier.weight", "adapter.x"):
        assert name in str(caught.value)
    checkpoint = open_source(folder, allow_mismatch=True)
    assert any(all(name in note for name in lost) for note in checkpoint.notes)
    keras.utils.clear_session()
    assert to_model(checkpoint).encoder.num_layers == 2
    save_torch(state | {lost[0]: np.zeros(13, np.float32)}, folder / "pytorch_model.bin")
    for allow in (False, True):
        with pytest.raises(InputError, match=r"layer\.1\.output\.dense\.bias has shape \(13,\), expected \(12,\)"):
            open_source(folder, allow_mismatch=allow)


@pytest.mark.parametrize(
    "setting, value",
    [
        ("hidden_act", "gelu_new"),
        ("layer_norm_eps", 1e-5),
        ("position_embedding_type", "relative_key"),
        ("model_type", "roberta"),
        ("is_decoder", True),
    ],
)
def test_a_bert_with_another_computation_is_rejected(make_bert, setting, value):
    folder, _ = make_bert()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {setting: value}))
    with pytest.raises(InputError, match=f"configuration says {setting}={value!r}. Expected: "):
        open_source(folder)


@pytest.mark.parametrize(
    "setting, value, words",
    [
        ("num_attention_heads", 5, "5 attention heads do not divide its width, 12"),
        ("num_attention_heads", "x", "num_attention_heads='x'. Expected: a number"),
        ("hidden_dropout_prob", -1, "hidden_dropout_prob=-1. Expected: a number"),
    ],
)
def test_a_damaged_configuration_is_reported_in_one_sentence(make_bert, setting, value, words):
    folder, _ = make_bert()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_probs_dropout_prob": None, setting: value}))
    with pytest.raises(InputError, match=words):
        open_source(folder)


def test_a_vocabulary_that_is_not_the_sources_is_rejected(make_bert, pieces, tmp_path):
    folder, _ = make_bert()
    (tmp_path / "other.txt").write_text("\n".join(pieces[::-1]) + "\n")
    with pytest.raises(InputError, match=r"other\.txt is not the vocabulary of .*, which has its own \(40 pieces\)"):
        open_source(folder, tmp_path / "other.txt")
    (tmp_path / "same.txt").write_text("\n".join(pieces) + "\n")
    assert open_source(folder, tmp_path / "same.txt").vocabulary == pieces
    (folder / "vocab.txt").write_text("\n".join(["a", *pieces[1:]]) + "\n")
    with pytest.raises(InputError, match="PAD"):
        open_source(folder)


def test_an_untied_output_matrix_is_rejected(make_bert):
    folder, _ = make_bert(tie_word_embeddings=False)
    with pytest.raises(InputError, match=r"cls\.predictions\.decoder\.weight differs from the word embeddings"):
        open_source(folder)
    checkpoint = open_source(folder, allow_mismatch=True)
    assert checkpoint.heads == [] and any("its head is dropped" in note for note in checkpoint.notes)


def test_a_bias_under_its_second_name_is_that_of_the_head(make_bert, save_torch):
    folder, bert = make_bert()
    state = {name: value.numpy() for name, value in bert.state_dict().items()}
    (folder / "model.safetensors").unlink()
    bias = state.pop("cls.predictions.bias")
    save_torch(state | {"cls.predictions.decoder.bias": bias}, folder / "pytorch_model.bin")
    np.testing.assert_array_equal(open_source(folder).tensors["cls.predictions.bias"], bias)
    save_torch(
        state | {"cls.predictions.bias": bias, "cls.predictions.decoder.bias": bias + 1}, folder / "pytorch_model.bin"
    )
    with pytest.raises(InputError, match=r"two different biases for its masked-LM head"):
        open_source(folder)


@pytest.mark.parametrize("form", ["folder", "text", "other preset"])
def test_a_path_without_a_checkpoint_is_rejected(tmp_path, form):
    path = tmp_path / "nothing"
    if form == "text":
        path.write_text("no checkpoint at all\n" * 100)
        expected = "cannot be read as"
    else:
        path.mkdir()
        expected = "holds no checkpoint. Expected: model.safetensors"
        if form == "other preset":
            (path / "config.json").write_text('{"registered_name": "keras_hub>GemmaBackbone"}')
            expected = "holds a preset of another model"
    with pytest.raises(InputError, match=expected):
        open_source(path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "spanbert_hf.tar.gz", "encoder.keras"])
def test_an_incomplete_download_is_detected(make_bert, save_torch, tmp_path, name):
    folder, bert = make_bert()
    path = folder / name
    if name == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
        save_torch({key: value.numpy() for key, value in bert.state_dict().items()}, path)
    elif name.endswith(".gz"):
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder / "model.safetensors", "spanbert_hf/model.safetensors")
    elif name.endswith(".keras"):
        to_model(open_source(folder)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cut short"):
        open_source(folder if name.startswith(("model", "pytorch")) else path)


def test_a_git_lfs_pointer_is_detected(make_bert):
    folder, _ = make_bert()
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match="is a git-lfs pointer"):
        open_source(folder)


def test_a_source_may_be_in_the_home_folder(make_bert, monkeypatch, tmp_path):
    make_bert("mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in ("~/mine", "$HOME/mine"):
        assert open_source(source, vocabulary_file="~/mine/vocab.txt").heads == ["masked_lm"]


def test_a_new_format_needs_one_row(make_bert, tmp_path, monkeypatch):
    folder, _ = make_bert()
    (tmp_path / "a.pointer").write_text(str(folder))
    row = sources.Format(
        lambda path: path.suffix == ".pointer" and path.read_text(),
        lambda path, found, kind: open_source(found, kind=kind),
    )
    monkeypatch.setattr(sources, "FORMATS", {**sources.FORMATS, "pointer": row})
    assert open_source(tmp_path / "a.pointer").tensors.keys() == open_source(folder).tensors.keys()
