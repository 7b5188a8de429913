"""Tests of the table of foreign keys: it is complete, documented and followed."""

import json
import re

import numpy as np
import pytest

from spanbert_keras import load_pretrained
from spanbert_keras.conversion.foreign_keys import CONFIG, KEY_TABLES, REJECTED, REPORTED, ForeignKey, check_keys
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError

ROW = re.compile(r"\| `([^`]+)` \| (\w+) \| (.*) \| (.*) \|")
# A value that every rejecting or reporting key of the tables rejects or reports.
OTHER = "something else"


def test_the_documentation_lists_every_key_with_its_status_and_values(root):
    text = (root / "docs" / "configuration_keys.md").read_text(encoding="utf-8")
    sections = dict(zip(*[iter(re.split(r"^## (.*)$", text, flags=re.M)[1:])] * 2, strict=True))
    assert sections.keys() == KEY_TABLES.keys()
    for name, table in KEY_TABLES.items():
        rows = {match[1]: match for match in map(ROW.match, sections[name].splitlines()) if match}
        assert rows.keys() == table.keys(), name
        for key, entry in table.items():
            assert (rows[key][2], rows[key][4]) == (entry.status, entry.meaning), key
            if entry.status in (REJECTED, REPORTED):
                assert [json.loads(value) for value in re.findall("`(.*?)`", rows[key][3])] == list(
                    json.loads(json.dumps(entry.allowed))
                )


def test_every_key_that_transformers_writes_is_known(tmp_path, transformers):
    names = ["BertModel", "BertForMaskedLM", "BertForSequenceClassification", "BertForQuestionAnswering"]
    config = transformers.BertConfig(architectures=names, problem_type="regression", num_labels=1)
    config.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text()) | config.to_dict()
    assert check_keys(written, CONFIG, "config.json") == []
    assert len(written) > 20


@pytest.mark.parametrize("name", sorted(KEY_TABLES))
def test_a_value_that_is_not_accepted_is_rejected_or_reported_for_every_key(name):
    for key, entry in KEY_TABLES[name].items():
        if entry.status == REJECTED:
            with pytest.raises(InputError, match=rf"{re.escape(key)}='{OTHER}'\. Expected: "):
                check_keys({key: OTHER}, KEY_TABLES[name], name)
        else:
            notes = check_keys({key: OTHER}, KEY_TABLES[name], name)
            assert len(notes) == (entry.status == REPORTED) and all(key in note for note in notes)
        assert check_keys({key: None}, KEY_TABLES[name], name) == []
        for value in entry.allowed:
            assert check_keys({key: value}, KEY_TABLES[name], name) == []


def test_unknown_keys_are_reported_in_one_sentence():
    table = {"known": ForeignKey(REJECTED, "meaning", (1,))}
    notes = check_keys({"b": 2, "known": 1, "a": False, "none": None}, table, "config.json")
    assert notes == ["config.json has unknown keys, which are ignored: a, b."]


CHANGES = {
    "hidden_act": "relu",
    "layer_norm_eps": 1e-6,
    "position_embedding_type": "relative_key",
    "is_decoder": True,
    "add_cross_attention": True,
    "pruned_heads": {"0": [1]},
    "quantization_config": {"bits": 8},
    "auto_map": {"AutoModel": "modeling.X"},
    "tokenizer_class": "BertJapaneseTokenizer",
    "is_encoder_decoder": True,
}


@pytest.mark.parametrize("change", sorted(CHANGES))
@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification", "BertForQuestionAnswering"])
def test_settings_of_another_architecture_are_rejected_by_name(make_bert, kind, change):
    folder, _ = make_bert(kind=kind)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {change: CHANGES[change]}))
    with pytest.raises(InputError, match=f"config.json cannot be used: its configuration says {change}="):
        open_source(folder)


@pytest.mark.parametrize(
    "name", ["hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size", "vocab_size"]
)
def test_sizes_that_contradict_the_tensors_are_rejected(make_bert, name):
    folder, _ = make_bert()
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {name: config[name] + 1}))
    with pytest.raises(InputError, match=f"configuration says {name}={config[name] + 1}, its tensors {config[name]}"):
        open_source(folder)


def test_a_dropout_rate_missing_in_the_configuration_is_berts(make_bert):
    folder, _ = make_bert(hidden_dropout_prob=0.0)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["attention_probs_dropout_prob"]
    path.write_text(json.dumps(config))
    sizes = open_source(folder).architecture
    assert (sizes["dropout"], sizes["attention_dropout"]) == (0.0, 0.1)


def test_both_names_of_the_exact_gelu_are_accepted(make_bert, transformers, rows, to_numpy):
    import torch

    folder, model = make_bert(kind="BertModel", hidden_act="gelu_python")
    encoder = load_pretrained(folder, "encoder")
    inputs = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}
    with torch.no_grad():
        expected = model(**{name: torch.tensor(rows[ours]) for name, ours in inputs.items()}).last_hidden_state.numpy()
    real = rows["padding_mask"] > 0
    np.testing.assert_allclose(to_numpy(encoder(rows)["sequence_output"])[real], expected[real], atol=1e-5)


def test_unknown_keys_and_padding_sides_are_in_the_models_notes(make_bert):
    folder, _ = make_bert(kind="BertModel")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"frobnicate": 1}))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "truncation_side": "left"}')
    notes = "\n".join(load_pretrained(folder).conversion_notes)
    assert "config.json has unknown keys, which are ignored: frobnicate" in notes and "truncation_side='left'" in notes
