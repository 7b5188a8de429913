"""Tests of models as checkpoints, and of checkpoints as models."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from spanbert_keras import (
    SpanBertCoreferenceResolver,
    SpanBertEncoder,
    SpanBertPretrainer,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTextClassifier,
    load_pretrained,
)
from spanbert_keras.conversion.formats.hugging_face import write_hugging_face
from spanbert_keras.conversion.formats.own_models import (
    assign,
    from_model,
    make_tokenizer,
    pooler_weights,
    read_keras_file,
    to_model,
)
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError


@pytest.fixture
def pretrainer(pieces, randomize):
    from spanbert_keras import SpanBertTokenizer

    tokenizer = SpanBertTokenizer(pieces, lowercase=True)
    sizes = {"max_sequence_length": 16, "num_segments": 3}
    encoder = SpanBertEncoder(40, 2, 3, 12, 20, dropout=0.2, **sizes, tokenizer=tokenizer)
    model = SpanBertPretrainer(encoder, 6, 7, sbo_weight=0.5, loss_normalization="separate")
    randomize(model)
    return model


def test_a_model_comes_back_whole(pretrainer, masked, to_numpy):
    again = to_model(from_model(pretrainer))
    one, two = to_numpy(pretrainer(masked)), to_numpy(again(masked))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    settings = [m.get_config() for m in (pretrainer, again)]
    for config in settings:
        config["encoder"]["config"].pop("name"), config.pop("name")
        config["encoder"].pop("build_config", None), config["encoder"]["config"]["tokenizer"]["config"].pop("name")
    assert settings[0] == settings[1]
    assert again.tokenizer.get_vocabulary() == pretrainer.tokenizer.get_vocabulary() and again.tokenizer.lowercase


def test_tensors_are_in_torchs_layout(pretrainer):
    tensors = from_model(pretrainer).tensors
    block = pretrainer.encoder.blocks[1]
    kernel = keras.ops.convert_to_numpy(block.intermediate.kernel)  # (D, inner)
    np.testing.assert_array_equal(tensors["bert.encoder.layer.1.intermediate.dense.weight"], kernel.T)
    assert tensors["cls.pair_target_predictions.position_embeddings.weight"].shape == (6, 7)
    assert len(tensors) == len([w for w in pretrainer.weights if "seed_generator" not in w.path])


def test_a_head_that_was_never_trained_is_left_out(make_bert, masked, tmp_path):
    model = to_model(open_source(make_bert()[0]))  # with a fresh span-boundary head
    checkpoint = from_model(model)
    assert checkpoint.heads == ["masked_lm"]
    assert checkpoint.notes == ["The head span_boundary was never trained, and is left out."]
    model.span_boundary_head.vocabulary_bias.assign(np.full(40, 1e-6))
    assert from_model(model).heads == ["masked_lm", "span_boundary"]


def test_a_next_sentence_head_comes_back_whole_and_is_left_out_if_it_was_never_trained(
    make_pretrainer, masked, to_numpy
):
    model = make_pretrainer(next_sentence=True)
    model.nsp_weight = 0.5
    checkpoint = from_model(model)
    assert checkpoint.heads == ["masked_lm", "span_boundary", "next_sentence"] and checkpoint.notes == []
    again = to_model(checkpoint)
    assert again.next_sentence and again.nsp_weight == 0.5
    np.testing.assert_array_equal(to_numpy(again(masked))["next_sentence"], to_numpy(model(masked))["next_sentence"])
    for dense in (model.next_sentence_head.pooler_dense, model.next_sentence_head.classifier):
        dense.bias.assign(np.zeros(dense.bias.shape))
    checkpoint = from_model(model)
    assert checkpoint.heads == ["masked_lm", "span_boundary"]
    assert checkpoint.notes == ["The head next_sentence was never trained, and is left out."]
    assert to_model(checkpoint).next_sentence  # with a new head


def test_the_pooler_of_a_checkpoint_is_in_kerass_layout(make_bert, make_encoder):
    folder, bert = make_bert(kind="BertForPreTraining")
    kernel, bias = pooler_weights(open_source(folder))
    theirs = bert.bert.pooler.dense
    np.testing.assert_array_equal(kernel, theirs.weight.detach().numpy().T)
    np.testing.assert_array_equal(bias, theirs.bias.detach().numpy())
    assert pooler_weights(from_model(make_encoder())) is None


def test_an_encoder_alone_has_no_head(pretrainer):
    checkpoint = from_model(pretrainer.encoder)
    assert checkpoint.heads == [] and checkpoint.problems() == ([], [], [])
    assert isinstance(to_model(checkpoint), SpanBertEncoder)
    assert isinstance(to_model(checkpoint, "pretrainer"), SpanBertPretrainer)


@pytest.mark.parametrize("kind, expected", [("auto", SpanBertPretrainer), ("encoder", SpanBertEncoder)])
def test_the_kind_determines_the_class(pretrainer, kind, expected):
    assert type(to_model(from_model(pretrainer), kind)) is expected


def test_the_paths_of_missing_weights_are_returned(pretrainer):
    checkpoint = from_model(pretrainer)
    tensors = {name: value for name, value in checkpoint.tensors.items() if "pair_target" not in name}
    fresh = assign(pretrainer, dataclasses.replace(checkpoint, tensors=tensors))
    assert fresh and all(path.startswith("span_boundary_head/") for path in fresh)


def test_arguments_override_settings_other_than_sizes(pretrainer):
    assert to_model(from_model(pretrainer), "encoder", dropout=0.0).dropout == 0.0


@pytest.mark.parametrize("arguments", [{"num_layers": 1}, {"kind": "foo"}, {"max_sequence_length": 4}])
def test_overridden_sizes_and_unknown_kinds_are_rejected(pretrainer, arguments):
    with pytest.raises(InputError, match="Invalid arguments for a model"):
        to_model(from_model(pretrainer), **arguments)


@pytest.mark.parametrize("make", [lambda: keras.Sequential([keras.layers.Dense(1)]), dict])
def test_other_objects_are_rejected(make):
    with pytest.raises(InputError, match="Expected: one of SpanBertEncoder, SpanBertPretrainer, SpanBertQ"):
        from_model(make())


def test_a_lora_model_is_rejected_by_the_path_of_its_weight(pretrainer):
    pretrainer.masked_lm_head.dense.enable_lora(2)
    with pytest.raises(InputError, match=r"Received: masked_lm_head/\S+lora\S+\. Quantized and LoRA models"):
        from_model(pretrainer)


def test_a_file_of_another_class_is_rejected(tmp_path):
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "x.keras")
    with pytest.raises(InputError, match="Received: Sequential"):
        read_keras_file(tmp_path / "x.keras")
    (tmp_path / "x.keras").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"not a complete \.keras file"):
        read_keras_file(tmp_path / "x.keras")


def test_case_is_inferred_from_the_vocabulary_if_no_setting_gives_it(make_bert):
    checkpoint = open_source(make_bert()[0])
    checkpoint.lowercase = None
    assert make_tokenizer(checkpoint).lowercase is False
    checkpoint.vocabulary = [p.replace("The", "the") for p in checkpoint.vocabulary]
    assert make_tokenizer(checkpoint).lowercase is True


def test_a_fine_tuned_question_answerer_computes_what_transformers_does(make_bert, rows, to_numpy, tmp_path):
    import torch

    folder, theirs = make_bert(kind="BertForQuestionAnswering")
    reader = load_pretrained(folder)
    assert isinstance(reader, SpanBertQuestionAnswerer) and reader.tokenizer.get_vocabulary()[:2] == ["[PAD]", "[UNK]"]
    names = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}
    with torch.no_grad():
        expected = theirs(**{name: torch.tensor(rows[ours]).long() for name, ours in names.items()})
    found, real = to_numpy(reader(rows)), rows["padding_mask"] > 0
    for name in ("start_logits", "end_logits"):
        assert np.abs(found[name] - expected[name].numpy())[real].max() <= 1e-5

    again = type(theirs).from_pretrained(written(reader, tmp_path / "back"))
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def written(model, folder):
    """Returns the folder, after writing the model there in Hugging Face's form."""
    folder.mkdir()
    write_hugging_face(from_model(model), folder)
    return folder


def test_a_question_answerer_keeps_its_settings_and_gives_its_encoder(make_encoder, tmp_path, to_numpy, rows):
    settings = {"input_order": "passage_first", "window_length": 14, "stride": 3, "max_question_pieces": 4}
    settings |= {"max_answer_pieces": 5, "no_answer_threshold": 1.5, "special_tokens_in_text": True}
    model = SpanBertQuestionAnswerer(make_encoder(), **settings)
    model.answer_head.set_weights([np.ones((model.encoder.hidden_dim, 2)), np.array([1.0, 2.0])])
    model.save(tmp_path / "reader.keras")
    again = load_pretrained(tmp_path / "reader.keras")
    assert {name: again.get_config()[name] for name in settings} == settings
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    encoder = load_pretrained(tmp_path / "reader.keras", "encoder")
    np.testing.assert_array_equal(
        to_numpy(encoder(rows)["sequence_output"]), to_numpy(model.encoder(rows)["sequence_output"])
    )
    assert load_pretrained(tmp_path / "reader.keras", max_sequence_length=10).windows.window_length == 10
    assert isinstance(load_pretrained(tmp_path / "reader.keras", "pretrainer"), SpanBertPretrainer)


def test_a_fine_tuned_classifier_computes_what_transformers_does(make_bert, rows, to_numpy, tmp_path):
    import torch

    folder, theirs = make_bert(kind="BertForSequenceClassification")
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "no", "1": "yes"}, "label2id": {"no": 0, "yes": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    classifier = load_pretrained(folder)
    assert isinstance(classifier, SpanBertTextClassifier) and classifier.labels == ("no", "yes")
    names = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}
    with torch.no_grad():
        expected = theirs(**{name: torch.tensor(rows[ours]).long() for name, ours in names.items()}).logits
    assert np.abs(to_numpy(classifier(rows))["logits"] - expected.numpy()).max() <= 1e-5

    again = type(theirs).from_pretrained(written(classifier, tmp_path / "back"))
    assert again.config.id2label == {0: "no", 1: "yes"}
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_a_relation_extractor_keeps_its_markers_and_they_are_not_guessed_for_a_folder_without_them(
    make_encoder, make_bert, tmp_path
):
    encoder = make_encoder()
    pieces = [piece for piece in encoder.tokenizer.get_vocabulary() if piece.isalpha()][:2]
    markers = {"SUBJ-PERSON": pieces[1], "OBJ-CITY": pieces[0]}
    model = SpanBertRelationExtractor(
        encoder, ["no_relation", "born_in"], feature_mode="ner_text", markers=markers, row_length=16, pooler=True
    )
    asked = {"subject": (0, 1), "object": (2, 3), "subject_type": "PERSON", "object_type": "CITY"}
    expected = model.extract([pieces[0], "in", pieces[1]], **asked)
    model.save(tmp_path / "extractor.keras")
    for source in (tmp_path / "extractor.keras", written(model, tmp_path / "folder")):
        again = load_pretrained(source)
        assert isinstance(again, SpanBertRelationExtractor) and again.markers == markers
        assert again.entities.mode == "ner_text" and again.row_length == 16
        found = again.extract([pieces[0], "in", pieces[1]], **asked)
        assert found.label == expected.label and found.score == pytest.approx(expected.score, abs=1e-6)
    bare = load_pretrained(make_bert(kind="BertForSequenceClassification")[0], "relation_extractor")
    with pytest.raises(InputError, match="does not know which pieces mark entities, and does not guess"):
        bare.extract([pieces[0], "in", pieces[1]], **asked)


def test_a_classifier_of_pairs_remains_one_after_conversion_and_its_extractor_takes_no_pairs(make_encoder, tmp_path):
    model = SpanBertTextClassifier(make_encoder(), ["no", "yes"], row_length=16, takes_pairs=True)
    folder = written(model, tmp_path / "folder")
    assert load_pretrained(folder).takes_pairs is True
    assert load_pretrained(folder, "relation_extractor").labels == ("no", "yes")


def test_invalid_settings_of_a_folder_are_rejected(make_bert, tmp_path):
    folder, _ = make_bert(kind="BertForSequenceClassification")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"spanbert_keras": {"labels": ["a", "a"]}}))
    with pytest.raises(
        InputError, match=r"/hf cannot become a text classifier: `labels` must be several different names"
    ):
        load_pretrained(folder, allow_mismatch=True)


def test_settings_of_other_sizes_than_the_tensors_are_rejected_naming_the_weight(make_encoder, tmp_path):
    model = SpanBertCoreferenceResolver(make_encoder(), segment_length=8, feature_dim=4, hidden_dim=5)
    folder = written(model, tmp_path / "folder")
    config = json.loads((folder / "config.json").read_text())
    config["spanbert_keras"]["hidden_dim"] = 6
    (folder / "checksums.json").unlink()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError) as caught:
        load_pretrained(folder)
    assert str(caught.value) == (
        f"{folder} cannot be used: the settings of its head give mention_scorer/span_score/hidden/kernel the shape "
        "(40, 6). Received: a tensor of shape (40, 5). Restore the settings that it was written with."
    )
