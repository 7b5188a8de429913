"""Tests of finding and reading files of tensors."""

import argparse
import json

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

import spanbert_keras
from spanbert_keras.conversion.formats.tensor_files import (
    find_tensor_files,
    read_safetensors,
    read_tensors,
    state_of,
    unwrapped,
)
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


def test_safetensors_come_before_pickles_and_whole_files_before_parts(tmp_path):
    assert find_tensor_files(tmp_path) == []
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": "b.bin", "y": "a.bin"}}))
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).touch()
    assert find_tensor_files(tmp_path) == [tmp_path / "a.bin", tmp_path / "b.bin"]
    for name in ("pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).touch()
        assert find_tensor_files(tmp_path) == [tmp_path / name]


def test_an_index_cannot_point_out_of_the_folder(tmp_path):
    (tmp_path / "secret").touch()
    (tmp_path / "folder").mkdir()
    index = {"weight_map": {"x": "../secret"}}
    (tmp_path / "folder" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="lacks files"):
        find_tensor_files(tmp_path / "folder")


@pytest.mark.parametrize(
    "index", [{}, {"weight_map": None}, {"weight_map": ["a"]}, {"weight_map": {"x": 3}}, {"weight_map": {"x": ["a"]}}]
)
def test_a_damaged_index_is_rejected(tmp_path, index):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"index\.json is damaged: .*weight_map.* Expected: the file of each tensor"):
        find_tensor_files(tmp_path)


@pytest.mark.parametrize("name", ["a" * 100_000, "a\0b", "", "\ud800"])
def test_an_index_with_a_name_that_no_file_has_is_rejected(tmp_path, name):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": name}}))
    with pytest.raises(InputError, match="lacks files"):
        find_tensor_files(tmp_path)


def test_a_long_name_in_safetensors_is_rejected(tmp_path):
    save_file({"x" * 100_000: np.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors is rejected: the name 'x+'\.\.\. has 100,000 characters"):
        read_tensors([tmp_path / "model.safetensors"])


def test_half_precision_is_kept(tmp_path):
    values = np.array([1.0, 2.5, -3.0])
    kinds = {"a": np.float16, "b": ml_dtypes.bfloat16, "c": np.float32}
    save_file({name: values.astype(kind) for name, kind in kinds.items()}, tmp_path / "model.safetensors")
    found = read_safetensors(tmp_path / "model.safetensors")
    assert {name: array.dtype for name, array in found.items()} == {n: np.dtype(k) for n, k in kinds.items()}
    assert all(array.astype(float).tolist() == values.tolist() for array in found.values())


def test_a_pickle_with_other_values_than_tensors_is_rejected(save_torch, tmp_path):
    path = save_torch({"x": np.zeros(2), "epoch": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="must hold only ordinary tensors. Received: epoch is a int"):
        read_tensors([path])


def test_the_state_of_a_training_checkpoint_is_its_entry_model():
    assert state_of({"model": {"a": 1}, "args": 2}) == {"a": 1}
    assert state_of({"a": 1}) == {"a": 1}


WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    "found, note",
    [
        ({"state_dict": {"a": 1}, "epoch": 3}, "The weights come from its entry `state_dict`. Left out: epoch."),
        (
            {"model_state_dict": {"a": 1}, "optimizer_state_dict": {0: 1}, "loss": 0.5},
            "Left out: optimizer_state_dict, l",
        ),
        ({"model": {"a": 1}}, "The weights come from its entry `model`."),
        ({"net": {"bert.embeddings.word_embeddings.weight": 1}}, "The weights come from its entry `net`."),
        ({"best": {"x.embeddings.word_embeddings.weight": 1}, "optimizer": {"state": {}}}, "Left out: optimizer."),
        ({"module": {"a": 1}, "ema": {"a": 2}, "score": np.ones(())}, "`module`. Left out: ema, score."),
    ],
)
def test_the_state_is_found_in_its_wrapper(found, note):
    notes = []
    assert state_of(found, "x.pt", notes) == next(iter(found.values())) and len(notes) == 1 and note in notes[0]


def test_wrappers_may_be_nested():
    notes = []
    assert state_of({"model": {"state_dict": {"a": 1}}, "step": 1}, "x.pt", notes) == {"a": 1} and len(notes) == 2


def test_the_entry_that_holds_a_bert_comes_before_one_with_the_name_of_a_state():
    bert, notes = {"module." + WORDS: 1}, []
    assert state_of({"model": {"size": 1}, "weights": {"net": bert}}, "x.pt", notes) == bert
    assert notes == [
        "The weights come from its entry `weights`. Left out: model.",
        "The weights come from its entry `net`.",
    ]
    assert state_of({WORDS: 1, "sub": {WORDS: 2}}, "x.pt", []) == {WORDS: 1, "sub": {WORDS: 2}}


def test_a_file_without_tensors_is_rejected_with_its_entries():
    with pytest.raises(InputError, match=r"x.pt holds no tensors.*Received: hyper \(dict\), names \(list\)\. Save"):
        state_of({"hyper": {"lr": 1}, "names": ["a"]}, "x.pt")
    with pytest.raises(InputError, match=r"several models: best, last\. Expected: one model\. Save the one"):
        state_of({"best": {WORDS: 1}, "last": {WORDS: 1}, "epoch": 1}, "x.pt")


def test_a_research_checkpoint_needs_no_note():
    notes = []
    assert state_of({"model": {"a": 1}, "args": 2, "extra_state": 3}, "x.pt", notes) == {"a": 1} and notes == []


def test_several_states_are_rejected():
    with pytest.raises(InputError, match="x.pt holds several models: state_dict, model. Expected: one model"):
        state_of({"model": {"a": 1}, "state_dict": {"a": 2}}, "x.pt")


@pytest.mark.parametrize(
    "prefix, said",
    [
        ("module.", "'module.'"),
        ("model.", "'model.'"),
        ("_orig_mod.", "'_orig_mod.'"),
        ("module._orig_mod.", "'module.' and '_orig_mod.'"),
        ("_orig_mod.module.", "'module.' and '_orig_mod.'"),
        ("model.module.model.", "'model.module.model.'"),
        ("net.", "'net.'"),
        ("backbone.", "'backbone.'"),
        ("_forward_module.", "'_forward_module.'"),
        ("_fsdp_wrapped_module.", "'_fsdp_wrapped_module.'"),
        ("_forward_module.model.", "'model.' and '_forward_module.'"),
        ("text.encoder.0.", "'text.encoder.0.'"),
    ],
)
@pytest.mark.parametrize("names", [(WORDS, "classifier.bias"), (WORDS[5:], "pooler.dense.bias"), ("decoder." + WORDS,)])
def test_prefixes_of_wrappers_are_removed_and_reported(prefix, said, names):
    notes = []
    assert unwrapped({prefix + name: name for name in names}, "x.pt", notes) == {name: name for name in names}
    assert notes == [f"Prefixes removed from the names of its tensors: {said}."]


def test_a_wrapper_is_removed_from_inside_a_name():
    tensors = {"model.bert._orig_mod." + WORDS[5:]: 1, "model.classifier.bias": 2}
    assert unwrapped(tensors, "x.pt", []) == {WORDS: 1, "classifier.bias": 2}


def test_names_without_the_prefix_stay():
    tensors = {"model." + WORDS: 1, "accuracy.total": 2, "modeling.x": 3}
    assert unwrapped(tensors, "x.pt", []) == {WORDS: 1, "accuracy.total": 2, "modeling.x": 3}


@pytest.mark.parametrize(
    "names",
    [
        (WORDS, "model.scale", "module.x"),
        ("decoder." + WORDS,),
        ("roberta.embeddings.word_embeddings.weight",),
        ("model.roberta.embeddings.word_embeddings.weight",),
        ("distilbert.embeddings.word_embeddings.weight",),
        ("xlm_roberta." + WORDS[5:],),
        ("net.electra." + WORDS[5:],),
        ("albert." + WORDS[5:],),
        ("model.decoder.layers.0.weight",),
        ("my_orig_mod.x",),
        (WORDS, "ema." + WORDS),
        (),
    ],
)
def test_other_names_are_unchanged(names):
    notes = []
    assert unwrapped({name: 1 for name in names}, "x.pt", notes) == {name: 1 for name in names} and notes == []


@pytest.mark.parametrize("others", [("ema_model.", "model."), ("student.", "teacher."), ("model.", "module.")])
def test_several_encoders_are_rejected_by_their_prefixes(others):
    with pytest.raises(InputError, match=f"x.pt holds several BERT encoders, under '{others[0]}', '{others[1]}'"):
        unwrapped({prefix + WORDS: 1 for prefix in others}, "x.pt", [])


def test_two_tensors_never_become_one():
    with pytest.raises(InputError, match="with and without model. in front of the same name"):
        unwrapped({"model." + WORDS: 1, "model.classifier.bias": 2, "classifier.bias": 3}, "x.pt", [])


def lightning(bert):
    state = {f"model.{name}": value for name, value in bert.state_dict().items()}
    return {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"Checkpoint": {"best_model_score": state[min(state)]}},
        "optimizer_states": [{"state": {0: {"step": 1}}, "param_groups": [{"lr": 1e-4, "params": [0]}]}],
        "hyper_parameters": {"lr": 1e-4},
    }


def wrapped(bert, form):
    """Returns what torch users save of a model in one of these wrappers."""
    import torch

    if form == "lightning":
        return lightning(bert)
    if form == "data parallel":
        return {"epoch": 1, "model_state_dict": torch.nn.DataParallel(bert).state_dict(), "optimizer": {"state": {}}}
    if form == "compiled":
        return torch.compile(bert).state_dict()
    if form.startswith("entry "):
        return {form.removeprefix("entry "): bert.state_dict()}
    if form.startswith("prefix "):
        return {f"{form.removeprefix('prefix ')}{name}": value for name, value in bert.state_dict().items()}
    if form == "compiled data parallel":
        return {"model": torch.nn.DataParallel(torch.compile(bert)).state_dict(), "step": 7}
    bert.bert = torch.compile(bert.bert)  # only a part of the model
    return bert.state_dict()


@pytest.mark.parametrize(
    "form, said",
    [
        ("lightning", "'model.'"),
        ("data parallel", "'module.'"),
        ("compiled", "'_orig_mod.'"),
        ("compiled data parallel", "'module.' and '_orig_mod.'"),
        ("a compiled part", "'_orig_mod.'"),
    ],
)
@pytest.mark.parametrize("place", ["pytorch_model.bin", "last.ckpt", "model.safetensors"])
def test_a_wrapped_state_dict_is_the_plain_one_with_a_note(make_bert, form, said, place):
    import torch
    from safetensors.torch import save_file

    folder, bert = make_bert()
    expected = open_source(folder)
    (folder / "model.safetensors").unlink()
    state = wrapped(bert, form)
    if place.endswith(".safetensors"):
        state = next((state[key] for key in ("state_dict", "model_state_dict", "model") if key in state), state)
        save_file({name: value.clone() for name, value in state.items()}, folder / place)
    else:
        torch.save(state, folder / place)
    model = spanbert_keras.load_pretrained(folder / place if place == "last.ckpt" else folder)
    found = open_source(folder / place)
    assert all(np.array_equal(found.tensors[name], value) for name, value in expected.tensors.items())
    assert f"Prefixes removed from the names of its tensors: {said}." in model.conversion_notes
    left_out = [note for note in model.conversion_notes if "Left out:" in note]
    assert len(left_out) == (form not in ("compiled", "a compiled part") and not place.endswith(".safetensors"))
    if form == "lightning" and left_out:
        assert "`state_dict`. Left out: epoch, global_step, pytorch-lightning_version, loops" in left_out[0]


@pytest.mark.parametrize(
    "form",
    [f"entry {key}" for key in ("net", "weights", "params", "model_state", "best_model_state_dict")]
    + [f"prefix {name}." for name in ("net", "backbone", "_forward_module", "_fsdp_wrapped_module", "model.encoder")],
)
def test_any_entry_and_any_prefix_is_the_plain_state_dict_with_a_note(make_bert, form):
    import torch

    folder, bert = make_bert()
    expected = open_source(folder)
    (folder / "model.safetensors").unlink()
    torch.save(wrapped(bert, form), folder / "pytorch_model.bin")
    found = open_source(folder)
    assert all(np.array_equal(found.tensors[name], value) for name, value in expected.tensors.items())
    kind, _, name = form.partition(" ")
    said = f"The weights come from its entry `{name}`." if kind == "entry" else f"names of its tensors: '{name}'."
    assert any(said in note for note in found.notes)


def test_a_wrapped_checkpoint_of_the_research_code_is_read(research_state, save_torch, pieces, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    plain = open_source(save_torch(research_state(), tmp_path / "model.pt")).tensors
    state = {f"module.{name}": value for name, value in research_state().items()}
    found = open_source(save_torch({"model": state, "args": argparse.Namespace()}, tmp_path / "wrapped.pt"))
    assert (
        found.tensors.keys() == plain.keys()
        and "Prefixes removed from the names of its tensors: 'module.'." in found.notes
    )


def test_other_models_in_a_wrapper_are_still_rejected(make_bert, save_torch):
    folder, bert = make_bert()
    state = {name: value.numpy() for name, value in bert.state_dict().items()}
    (folder / "model.safetensors").unlink()
    for change, said in (
        (lambda name: f"model.{name.replace('bert.', 'roberta.', 1)}", "does not contain a BERT encoder"),
        (lambda name: f"network.{name.replace('bert.', 'distilbert.', 1)}", "does not contain a BERT encoder"),
    ):
        save_torch({"state_dict": {change(name): value for name, value in state.items()}}, folder / "pytorch_model.bin")
        with pytest.raises(InputError, match=said):
            open_source(folder)
    both = {f"{prefix}.{name}": value for name, value in state.items() for prefix in ("model", "ema_model")}
    save_torch({"state_dict": both}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="holds several BERT encoders, under 'ema_model.', 'model.'"):
        open_source(folder)
    extra = {f"model.{name}": value for name, value in state.items()} | {"accuracy.total": np.zeros(1, np.float32)}
    save_torch({"state_dict": extra}, folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="1 are unknown .accuracy.total"):
        open_source(folder)
    assert any("accuracy.total" in note for note in open_source(folder, allow_mismatch=True).notes)
