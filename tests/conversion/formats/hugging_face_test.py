"""Tests of folders that transformers reads, by transformers itself."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from spanbert_keras.conversion.formats.hugging_face import SBO_FILE, write_hugging_face
from spanbert_keras.conversion.formats.own_models import from_model, to_model
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
def test_there_and_back_keeps_every_bit_of_what_we_hold(make_bert, tmp_path, kind, half):
    folder, _ = make_bert(kind=kind, half=half)
    checkpoint = open_source(folder)
    (tmp_path / "again").mkdir()
    assert write_hugging_face(checkpoint, tmp_path / "again") == []
    first, second = load_file(folder / "model.safetensors"), load_file(tmp_path / "again" / "model.safetensors")
    assert len({path.stat().st_mode for path in (tmp_path / "again").iterdir()}) == 1
    bare = {name if name.startswith(("bert.", "cls.")) else f"bert.{name}": value for name, value in first.items()}
    assert bare.keys() - second.keys() == set(checkpoint.without_place()) and second.keys() <= bare.keys()
    for name, value in second.items():
        assert value.dtype == bare[name].dtype and value.tobytes() == bare[name].tobytes()


def test_our_model_is_transformers_model(
    make_bert, bert_outputs, rows, masked, to_numpy, randomize, transformers, tmp_path
):
    model = to_model(open_source(make_bert()[0]))
    randomize(model.span_boundary_head)
    checkpoint = from_model(model)
    (tmp_path / "ours").mkdir()
    notes = write_hugging_face(checkpoint, tmp_path / "ours")
    assert len(notes) == 1 and SBO_FILE in notes[0]
    bert, info = transformers.BertForMaskedLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    logits = np.take_along_axis(bert_outputs(bert.eval(), rows), masked["mask_positions"][..., None], 1)
    np.testing.assert_allclose(to_numpy(model(masked)["masked_lm"]), logits, atol=1e-5)
    bert, info = transformers.BertModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert {n for n in info["missing_keys"] if "pooler" not in n} == set()
    assert {n for n in info["unexpected_keys"] if not n.startswith("cls.")} == set()
    real = rows["padding_mask"] > 0
    hidden = to_numpy(model.encoder(rows)["sequence_output"])
    np.testing.assert_allclose(hidden[real], bert_outputs(bert.eval(), rows)[real], atol=1e-5)


def test_bert_for_pre_training_loads_our_folder_and_both_logits_agree(
    make_pretrainer, rows, masked, to_numpy, transformers, tmp_path
):
    import torch

    model = make_pretrainer(next_sentence=True)
    (tmp_path / "ours").mkdir()
    write_hugging_face(from_model(model), tmp_path / "ours")
    config = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert config["architectures"] == ["BertForPreTraining"]
    bert, info = transformers.BertForPreTraining.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    inputs = (rows[name] for name in ("token_ids", "padding_mask", "segment_ids"))
    with torch.no_grad():
        found = bert.eval()(*(torch.tensor(values).long() for values in inputs))
    ours = to_numpy(model(masked))
    masked_lm = np.take_along_axis(found.prediction_logits.numpy(), masked["mask_positions"][..., None], 1)
    np.testing.assert_allclose(ours["masked_lm"], masked_lm, atol=1e-5)
    assert (masked["pair_positions"][:, 0] == 0).all()  # transformers reads the first [CLS] of a row
    np.testing.assert_allclose(ours["next_sentence"][:, 0], found.seq_relationship_logits.numpy(), atol=1e-5)
    again = to_model(open_source(tmp_path / "ours"))
    for name, values in to_numpy(again(masked)).items():
        np.testing.assert_array_equal(values, ours[name])


@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForNextSentencePrediction"])
def test_the_next_sentence_head_of_transformers_computes_the_same_here(make_bert, rows, masked, to_numpy, kind):
    import torch

    folder, bert = make_bert(kind=kind)
    model = to_model(open_source(folder))
    assert model.next_sentence
    inputs = (rows[name] for name in ("token_ids", "padding_mask", "segment_ids"))
    with torch.no_grad():
        found = bert(*(torch.tensor(values).long() for values in inputs))
    expected = found.seq_relationship_logits if kind == "BertForPreTraining" else found.logits
    np.testing.assert_allclose(to_numpy(model(masked))["next_sentence"][:, 0], expected.numpy(), atol=1e-5)


def test_an_encoder_alone_is_a_bert_model_without_unexpected_weights(make_bert, transformers, tmp_path):
    encoder = to_model(open_source(make_bert()[0]), "encoder")
    (tmp_path / "ours").mkdir()
    assert write_hugging_face(from_model(encoder), tmp_path / "ours") == []
    options = {"output_loading_info": True, "add_pooling_layer": False}
    _, info = transformers.BertModel.from_pretrained(tmp_path / "ours", **options)
    assert not any(info.values())


@pytest.mark.parametrize("lowercase", [False, True])
def test_the_tokenizer_of_transformers_gives_the_same_ids(make_bert, transformers, tmp_path, lowercase):
    checkpoint = open_source(make_bert()[0], lowercase=lowercase)
    (tmp_path / "ours").mkdir()
    write_hugging_face(checkpoint, tmp_path / "ours")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    ours = to_model(checkpoint, "encoder").tokenizer
    for text in ("The as w3 W3, a", "w1w2 As", "THE a"):
        assert theirs(text, add_special_tokens=False)["input_ids"] == ours.tokenize(text)
    assert json.loads((tmp_path / "ours" / "tokenizer_config.json").read_text())["do_lower_case"] is lowercase


def test_the_second_head_is_read_back(research_state, save_torch, pieces, tmp_path):
    path = save_torch(research_state(), tmp_path / "model.pt")
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n")
    first = open_source(path)
    (tmp_path / "ours").mkdir()
    write_hugging_face(first, tmp_path / "ours")
    again = open_source(tmp_path / "ours")
    assert again.heads == ["masked_lm", "span_boundary"]
    for weight in first.table().values():
        assert first.tensors[weight.name].tobytes() == again.tensors[weight.name].tobytes()


def test_a_damaged_file_of_our_own_folder_is_detected(make_pretrainer, tmp_path):
    write_hugging_face(from_model(make_pretrainer()), tmp_path)
    open_source(tmp_path)
    names = [path.name for path in tmp_path.iterdir()]
    assert len(names) == 7 and "checksums.json" in names
    for name in names:
        whole = (tmp_path / name).read_bytes()
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 1
        for content in (bytes(damaged), whole[:-1], whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)):
            (tmp_path / name).write_bytes(content)
            try:
                open_source(tmp_path)
            except InputError:
                continue
            finally:
                (tmp_path / name).write_bytes(whole)
            assert name == "checksums.json"  # the name of a file in it, or white space
    (tmp_path / "checksums.json").unlink()
    open_source(tmp_path)


def test_a_folder_that_transformers_wrote_again_is_read_with_a_note(transformers, make_pretrainer, tmp_path):
    write_hugging_face(from_model(make_pretrainer()), tmp_path)
    transformers.BertForMaskedLM.from_pretrained(tmp_path).save_pretrained(tmp_path)
    notes = open_source(tmp_path).notes
    assert f"transformers wrote {tmp_path} since: its checksums.json is outdated, and not used." in notes
