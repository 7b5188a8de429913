"""Tests of head settings in Hugging Face folders; transformers is the oracle for labels and probabilities."""

import inspect
import json
import re
import tarfile

import numpy as np
import pytest

from spanbert_keras import (
    SpanBertEncoder,
    SpanBertPretrainer,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTextClassifier,
    convert,
    load_pretrained,
    program,
)
from spanbert_keras.conversion.formats.hugging_face import write_hugging_face
from spanbert_keras.conversion.formats.own_models import from_model
from spanbert_keras.conversion.head_settings import CLASSIFIER, row_length
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.conversion.tasks import longest_row, task_config
from spanbert_keras.errors import InputError
from spanbert_keras.model_flag import load_task_model

SINGLE, MULTI, REGRESSION = "single_label_classification", "multi_label_classification", "regression"
TEXTS = ["The a w3", "a w5 w7 w7", "w1"]
ADVICE = "convert --allow_mismatch loads only the encoder"


@pytest.fixture
def make_folder(make_bert):
    """Function that saves a model with the given labels, problem type and `BertConfig`; returns (folder, model)."""

    def make(labels=("no", "yes"), problem=None, kind=CLASSIFIER, tokenizer=None, **changes):
        named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        folder, model = make_bert(kind=kind, problem_type=problem, **named, **changes)
        for parameter in model.parameters():
            parameter.data.mul_(2.5)  # so that texts differ
        model.save_pretrained(folder)
        settings = {"do_lower_case": False, "tokenizer_class": "BertTokenizer"} | (tokenizer or {})
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        return folder, model

    return make


def change(folder, **changes):
    """Changes `config.json`; a key whose value is `...` is removed."""
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))
    return folder


def pipeline_scores(transformers, folder, regression=False):
    """Returns a dict from label to score for each text, computed by the pipeline of transformers."""
    pipe = transformers.pipeline("text-classification", model=str(folder), tokenizer=str(folder), device="cpu")
    found = pipe(TEXTS, top_k=None, **({"function_to_apply": "none"} if regression else {}))
    return [{one["label"]: one["score"] for one in answer} for answer in found]


def written(model, folder):
    folder.mkdir()
    write_hugging_face(from_model(model), folder)
    return folder


CASES = {
    "two labels": (("no", "yes"), SINGLE, "single_label"),
    "three labels, unspecified type": (("x", "y", "z"), None, "single_label"),
    "several labels per text": (("toxic", "rude", "spam"), MULTI, "multi_label"),
    "two labels, several per text": (("toxic", "rude"), MULTI, "multi_label"),
    "one label with a sigmoid": (("toxic",), MULTI, "multi_label"),
    "one number": (("LABEL_0",), REGRESSION, "regression"),
    "one number with a name": (("stars",), REGRESSION, "regression"),
    "one number, unspecified type": (("stars",), None, "regression"),
    "three numbers": (("valence", "arousal", "dominance"), REGRESSION, "regression"),
}


@pytest.mark.parametrize("labels, problem, ours", CASES.values(), ids=CASES.keys())
def test_probabilities_are_those_of_transformers_before_and_after_a_round_trip(
    make_folder, transformers, tmp_path, labels, problem, ours
):
    folder, _ = make_folder(labels, problem)
    model = load_pretrained(folder)
    assert isinstance(model, SpanBertTextClassifier) and model.problem_type == ours
    assert model.labels == (() if labels == ("LABEL_0",) else labels)
    expected = pipeline_scores(transformers, folder, ours == "regression")
    again = written(model, tmp_path / "again")
    config = json.loads((again / "config.json").read_text())
    assert config["problem_type"] == {"single_label": SINGLE, "multi_label": MULTI, "regression": REGRESSION}[ours]
    back = load_pretrained(again)
    assert (back.labels, back.problem_type) == (model.labels, model.problem_type)
    for one, other, mine, theirs in zip(
        model.classify(TEXTS), back.classify(TEXTS), expected, pipeline_scores(transformers, again), strict=True
    ):
        scores = one.scores or {"LABEL_0": one.score}
        assert scores == pytest.approx(mine, abs=1e-5) and theirs == pytest.approx(mine, abs=1e-5)
        assert (other.label, other.labels) == (one.label, one.labels)
        assert one.label == (None if ours == "regression" else max(mine, key=mine.get))
    spread = [list(answer.values()) for answer in expected]
    assert np.std(spread, axis=0).min() > 1e-3


def test_losses_are_those_of_transformers(make_folder, rows, to_numpy):
    import torch

    names = {"input_ids": "token_ids", "token_type_ids": "segment_ids", "attention_mask": "padding_mask"}
    inputs = {name: torch.tensor(rows[ours]).long() for name, ours in names.items()}
    targets = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], "float32")
    for problem in (MULTI, REGRESSION):
        folder, theirs = make_folder(("x", "y", "z"), problem, name=problem)
        with torch.no_grad():
            expected = theirs(**inputs, labels=torch.tensor(targets)).loss.item()
        model = load_pretrained(folder)
        found = to_numpy(model.example_losses(model(rows), {"label_targets": targets}))
        assert found.mean() == pytest.approx(expected, rel=1e-4)


REJECTED = {
    "one label with a softmax": (("x",), {"problem_type": SINGLE}, "for one output, whose softmax is always 1"),
    "another type": (("x", "y"), {"problem_type": "ranking"}, "problem_type='ranking'. Expected: single_label_class"),
    "several types": (("x", "y"), {"problem_type": ["x"]}, r"problem_type=\['x'\]. Expected: single_label"),
    "more names than outputs": (
        ("x", "y"),
        {"id2label": {"0": "x", "1": "y", "2": "z"}},
        "must name the 2 outputs of classifier.bias, from 0 to 1. Received: 0, 1, 2",
    ),
    "names with a gap": (("x", "y"), {"id2label": {"0": "x", "2": "y"}}, "from 0 to 1. Received: 0, 2"),
    "a list of names": (("x", "y"), {"id2label": ["x", "y"]}, r"from 0 to 1. Received: \['x', 'y'\]"),
    "one name twice": (("x", "y"), {"id2label": {"0": "x", "1": "x"}}, "must have distinct names. Received: x, x"),
    "another number of labels": (("x", "y", "z"), {"num_labels": 5}, "num_labels=5, but classifier.bias has 3 outputs"),
    "another old number": (("x", "y"), {"_num_labels": 3}, "_num_labels=3, but classifier.bias has 2 outputs"),
}


@pytest.mark.parametrize("labels, changes, message", REJECTED.values(), ids=REJECTED.keys())
def test_an_unusable_classifier_is_rejected_with_the_reason(make_folder, labels, changes, message):
    folder = change(make_folder(labels)[0], **changes)
    with pytest.raises(InputError, match=f"cannot become a text classifier: .*{message}.*{ADVICE}"):
        load_pretrained(folder)
    encoder = load_pretrained(folder, allow_mismatch=True)
    assert type(encoder) is SpanBertEncoder and any("cannot become" in note for note in encoder.conversion_notes)
    encoder = load_pretrained(folder, "encoder")
    assert any("Only the encoder is loaded" in note for note in encoder.conversion_notes)
    flags = [f"--source={folder}", f"--destination={folder}_e.keras", "--model=encoder"]
    notes = convert.convert(program.parse(convert.Config, flags))
    assert any("Only the encoder is loaded" in note for note in notes)


@pytest.mark.parametrize(
    "kind, what", [("BertForTokenClassification", "labels each token"), ("BertForMultipleChoice", "several choices")]
)
def test_classifiers_of_tokens_or_choices_are_rejected_as_text_classifiers(
    make_folder, bert_outputs, rows, to_numpy, kind, what
):
    folder, theirs = make_folder(kind=kind)
    for asked in ("auto", "text_classifier", "relation_extractor"):
        with pytest.raises(InputError, match=f"contains a {kind}, which .*{what}: this package has no such.*{ADVICE}"):
            load_pretrained(folder, asked)
    assert type(load_pretrained(folder, allow_mismatch=True)) is SpanBertEncoder
    encoder = load_pretrained(folder, "encoder")
    assert any("Only the encoder is loaded" in note for note in encoder.conversion_notes)
    real = rows["padding_mask"] > 0
    hidden = to_numpy(encoder(rows)["sequence_output"])
    np.testing.assert_allclose(hidden[real], bert_outputs(theirs.bert, rows)[real], atol=1e-5)


@pytest.mark.parametrize("architectures", [None, [], ["BertForMultiLabelSequenceClassification"], ["BertModel"], ...])
def test_a_classifier_of_unspecified_inputs_is_rejected_with_advice(make_folder, architectures):
    folder = change(make_folder()[0], architectures=architectures)
    with pytest.raises(InputError, match=f'Expected: "architectures": ."{CLASSIFIER}". if it classifies .*{ADVICE}'):
        load_pretrained(folder)
    assert type(load_pretrained(folder, allow_mismatch=True)) is SpanBertEncoder


@pytest.mark.parametrize(
    "labels, problem, architectures",
    [
        (("no", "yes"), SINGLE, ...),
        (("toxic", "rude", "spam"), MULTI, None),
        (("valence", "arousal"), REGRESSION, ["BertForSentiment"]),
        (("x", "y", "z"), None, ["MyBert", "BertModel"]),
    ],
)
def test_the_requested_kind_decides_what_an_unspecified_classifier_is(
    make_folder, transformers, tmp_path, labels, problem, architectures
):
    folder, _ = make_folder(labels, problem)
    expected = pipeline_scores(transformers, folder, problem == REGRESSION)
    change(folder, architectures=architectures)
    flags = [f"--source={folder}", f"--destination={tmp_path / 'a.keras'}", "--model=text_classifier"]
    convert.convert(program.parse(convert.Config, flags))
    for model in (load_pretrained(folder, "text_classifier"), load_pretrained(tmp_path / "a.keras")):
        assert model.labels == labels
        for one, scores in zip(model.classify(TEXTS), expected, strict=True):
            assert one.scores == pytest.approx(scores, abs=1e-5)


def test_the_requested_kind_also_decides_for_files_and_archives(make_folder, tmp_path):
    folder = change(make_folder()[0], architectures=...)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for path in folder.iterdir():
            archive.add(path, path.name)
    expected = load_pretrained(folder, "text_classifier").classify(TEXTS)
    for source in (folder / "model.safetensors", tmp_path / "a.tar.gz"):
        assert load_pretrained(source, "text_classifier").classify(TEXTS) == expected
    assert isinstance(load_pretrained(folder, "relation_extractor"), SpanBertRelationExtractor)
    for kind in ("auto", "question_answerer", "pretrainer"):
        with pytest.raises(InputError, match='what it classifies.*kind="text_classifier", convert --model=text_'):
            load_pretrained(folder, kind)


def test_a_classifier_without_its_weights_is_an_encoder_and_one_without_pooler_is_rejected(make_bert, make_folder):
    from safetensors.numpy import load_file, save_file

    folder = change(make_bert(kind="BertModel")[0], architectures=[CLASSIFIER])
    encoder = load_pretrained(folder)
    assert type(encoder) is SpanBertEncoder
    assert any(f"names {CLASSIFIER}, but there are no weights" in note for note in encoder.conversion_notes)
    folder, _ = make_folder(name="other")
    tensors = load_file(folder / "model.safetensors")
    save_file({name: x for name, x in tensors.items() if "pooler" not in name}, folder / "model.safetensors")
    with pytest.raises(InputError, match="2 tensors are missing .bert.pooler.dense.bias, bert.pooler.dense.weight"):
        load_pretrained(folder)


def test_unnamed_labels_and_an_unspecified_type_are_reported(make_folder):
    folder = change(make_folder(("x", "y", "z"))[0], id2label=..., label2id=...)
    model = load_pretrained(folder)
    assert model.labels == ("LABEL_0", "LABEL_1", "LABEL_2")
    assert any("has no label names (id2label): they are called LABEL_0 to LABEL_2" in x for x in model.conversion_notes)
    number = load_pretrained(make_folder(("LABEL_0",), name="number")[0])
    assert number.labels == () and number.problem_type == "regression"
    assert any("no problem_type: its single output is treated as a number" in note for note in number.conversion_notes)


def test_only_a_single_label_classifier_becomes_a_relation_extractor(make_folder):
    model = load_pretrained(make_folder(("no", "yes"), SINGLE)[0], "relation_extractor")
    assert isinstance(model, SpanBertRelationExtractor) and model.row_length == 16
    assert any('assumed to be "ner"' in note for note in model.conversion_notes)
    for problem in (MULTI, REGRESSION):
        folder, _ = make_folder(("x", "y"), problem, name=problem)
        with pytest.raises(InputError, match="one label per text .single_label.. Received: "):
            load_pretrained(folder, "relation_extractor")


def test_our_folder_has_the_new_labels_after_further_training_with_transformers(make_folder, transformers, tmp_path):
    model = load_pretrained(make_folder(("no", "yes"), SINGLE)[0])
    folder = written(model, tmp_path / "ours")
    changed = transformers.BertForSequenceClassification.from_pretrained(
        folder, num_labels=3, problem_type=MULTI, id2label=dict(enumerate("xyz")), ignore_mismatched_sizes=True
    )
    changed.save_pretrained(tmp_path / "new")
    (tmp_path / "new" / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    again = load_pretrained(tmp_path / "new")
    assert again.labels == ("x", "y", "z") and again.problem_type == "multi_label"
    assert any("are those of another model" in note for note in again.conversion_notes)
    transformers.BertModel.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    (tmp_path / "bare" / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    assert type(load_pretrained(tmp_path / "bare")) is SpanBertEncoder


@pytest.mark.parametrize("kind", ["BertForMaskedLM", CLASSIFIER])
def test_our_reader_that_transformers_saved_as_another_model_is_that_model(make_folder, transformers, tmp_path, kind):
    reader = load_pretrained(make_folder(kind="BertForQuestionAnswering")[0])
    folder = written(reader, tmp_path / "ours")
    getattr(transformers, kind).from_pretrained(folder).save_pretrained(tmp_path / "new")
    (tmp_path / "new" / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
    expected = SpanBertPretrainer if kind == "BertForMaskedLM" else SpanBertTextClassifier
    assert type(load_pretrained(tmp_path / "new")) is expected


def test_a_classifier_reads_as_many_tokens_as_its_encoder(make_folder, transformers):
    folder, theirs = make_folder(max_position_embeddings=200)
    model = load_pretrained(folder)
    assert model.row_length == 200
    assert any("they have up to 200 tokens, the encoder's maximum" in note for note in model.conversion_notes)
    text = " ".join(f"w{i % 28}" for i in range(150))
    found = model.classify(text)
    assert model.counts["texts_cut"] == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    expected = theirs(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()
    assert list(found.scores.values()) == pytest.approx(expected, abs=1e-5)
    short = theirs(**tokenizer(text, return_tensors="pt", truncation=True, max_length=128)).logits.softmax(-1)[0]
    assert np.abs(np.subtract(expected, short.tolist())).max() > 1e-3


LENGTHS = {
    "unspecified": ({}, None, 200, "No file specifies"),
    "a length": ({"model_max_length": 64}, None, 64, r"tokenizer_config.json \(model_max_length\) says 64\."),
    "as a fraction": ({"model_max_length": 64.0}, None, 64, "says 64"),
    "its old name": ({"max_len": 50}, None, 50, r"tokenizer_config.json \(max_len\) says 50"),
    "more than is encoded": ({"model_max_length": 512}, None, 200, "says 512, but the encoder reads at most 200"),
    "no maximum": ({"model_max_length": int(1e30)}, None, 200, "No file specifies"),
    "no maximum, but a truncation": ({"model_max_length": 1e30}, 99, 99, r"tokenizer.json \(truncation\) says 99"),
    "both": ({"model_max_length": 64}, 99, 64, "tokenizer_config.json .* says 64"),
    "null": ({"model_max_length": None}, None, 200, "No file specifies"),
}


@pytest.mark.parametrize("config, truncation, length, note", LENGTHS.values(), ids=LENGTHS.keys())
def test_the_length_of_a_row_is_read_from_the_files(tmp_path, config, truncation, length, note):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    cut = None if truncation is None else {"max_length": truncation, "strategy": "LongestFirst"}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"truncation": cut}))
    found, sentence = row_length(tmp_path, 200)
    assert found == length
    assert re.search(note, sentence)


@pytest.mark.parametrize("value", ["512", True, 0, -1, [512]])
def test_a_length_that_is_not_a_positive_number_is_rejected(tmp_path, value):
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": value}))
    with pytest.raises(InputError, match=r"tokenizer_config.json \(model_max_length\) must be a positive number"):
        row_length(tmp_path, 200)


def test_lengths_of_classifiers_and_readers_are_read_from_and_written_to_the_folder(make_folder, tmp_path):
    settings = {"model_max_length": 12}
    model = load_pretrained(make_folder(tokenizer=settings)[0])
    assert model.row_length == 12
    folder = written(model, tmp_path / "classifier")
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 12
    reader = load_pretrained(make_folder(kind="BertForQuestionAnswering", tokenizer=settings, name="reader")[0])
    assert isinstance(reader, SpanBertQuestionAnswerer) and reader.windows.window_length == 12
    notes = " ".join(reader.conversion_notes)
    assert "says 12" in notes and "does not specify how a question and its context are read" in notes
    assert "up to 64 tokens, windows begin every 128 tokens, answers have up to 30" in notes
    folder = written(reader, tmp_path / "again")
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 12
    assert load_pretrained(folder).conversion_notes == []
    whole = load_pretrained(make_folder(kind="BertForQuestionAnswering", name="whole")[0])
    assert whole.windows.window_length == 16 and any("No file specifies" in note for note in whole.conversion_notes)
    assert load_pretrained(make_folder(name="cut")[0], max_sequence_length=9).row_length == 9
    long = load_pretrained(make_folder(name="long")[0], max_sequence_length=40)
    assert long.row_length == 40 and "The longest row now has 40 tokens." in long.conversion_notes[-1]
    assert load_pretrained(make_folder(tokenizer=settings, name="l")[0], max_sequence_length=40).row_length == 12


@pytest.mark.parametrize(
    "kind, cls", [(CLASSIFIER, SpanBertTextClassifier), ("BertForQuestionAnswering", SpanBertQuestionAnswerer)]
)
def test_every_setting_of_a_foreign_model_is_set_explicitly(make_folder, kind, cls):
    folder, _ = make_folder(problem=MULTI if kind == CLASSIFIER else None, kind=kind)
    checkpoint = open_source(folder)
    parameters = inspect.signature(cls).parameters.keys() - {"encoder", "kwargs"}
    assert checkpoint.head_settings.keys() == parameters
    assert kind != CLASSIFIER or any("`threshold` is 0.5" in note for note in checkpoint.notes)


def test_settings_of_an_earlier_version_describe_the_same_labels(make_folder, tmp_path):
    assert task_config({}) == {}
    folder = written(load_pretrained(make_folder(("no", "yes"), SINGLE)[0]), tmp_path / "old")
    own = json.loads((folder / "config.json").read_text())["spanbert_keras"]
    (folder / "checksums.json").unlink()
    change(
        folder, spanbert_keras={key: own[key] for key in ("labels", "row_length", "pooler", "dropout", "takes_pairs")}
    )
    old = load_pretrained(folder)
    assert (old.labels, old.problem_type, old.threshold) == (("no", "yes"), "single_label", 0.5)
    assert old.conversion_notes == []
    old = task_config({"labels": ["a", "b"], "dropout": 0.2})
    assert old["problem_type"] == SINGLE and old["id2label"] == {"0": "a", "1": "b"}
    assert old["classifier_dropout"] == 0.2
    number = task_config({"labels": []})
    assert number["problem_type"] == REGRESSION and number["label2id"] == {"LABEL_0": 0}
    assert task_config({"window_length": 5}) == {"spanbert_keras": {"window_length": 5}}
    for settings, length in (({}, 9), ({"row_length": 5}, 5), ({"window_length": None}, 9), ({"window_length": 12}, 9)):
        assert longest_row(settings, 9) == length


def test_programs_log_what_a_foreign_model_does_not_specify(make_folder, caplog):
    caplog.set_level("INFO")
    load_task_model(str(make_folder()[0]), "SpanBertTextClassifier")
    assert "No file specifies the length of rows: they have up to 16 tokens" in caplog.text


def test_contradictory_label_names_are_reported_and_one_architecture_may_be_a_str(make_folder):
    folder, _ = make_folder()
    assert not any("label2id" in note for note in open_source(folder).notes)
    checkpoint = open_source(change(folder, label2id={"no": 1, "yes": 0}, architectures=CLASSIFIER))
    assert checkpoint.head_settings["labels"] == ["no", "yes"]
    assert any("label2id of config.json contradicts id2label" in note for note in checkpoint.notes)
