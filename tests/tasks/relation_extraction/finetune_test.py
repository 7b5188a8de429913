"""Tests of the fine-tuning program for relations: files in, an extractor out, labels, modes, resume, bad input."""

import functools
import json
import os
import pathlib
import signal

import keras
import numpy as np
import pytest

from spanbert_keras import program
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.program import InputError
from tasks.relation_extraction import data, finetune
from tests.tasks.relation_extraction.conftest import RELATIONS, record

MODEL = "relation_extractor.keras"
FAST = ["--learning_rate=2e-2", "--classifier_dropout=0", "--dropout=0"]


@pytest.fixture
def fine_tune(run_classification):
    """Function of flags that runs the program and returns its output directory."""
    return functools.partial(run_classification, finetune)


def config_of(*flags):
    return program.parse(finetune.Config, ["--encoder=e", "--output_dir=o", *flags])


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def predictions_of(folder):
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    return {row["id"]: row["relation"] for row in rows}


def extracted(model, examples):
    pairs = [example.pair for example in examples]
    found = model.extract(
        [list(pair.units) for pair in pairs],
        subject=[pair.subject for pair in pairs],
        object=[pair.object for pair in pairs],
        subject_type=[pair.subject_type for pair in pairs],
        object_type=[pair.object_type for pair in pairs],
    )
    return {example.id: relation.label for example, relation in zip(examples, found, strict=True)}


def test_relations_that_the_types_decide_are_learnt_and_come_back_in_a_loaded_model(fine_tune, relation_file):
    dev, test = relation_file("dev.json", first=40), relation_file("test.json", first=60)
    files = [f"--train_file={relation_file(count=32)}", f"--dev_file={dev}", f"--test_file={test}"]
    folder = fine_tune(*files, *FAST, "--epochs=60", "--batch_size=8", "--weight_decay=0")
    scores = read_json(folder / "run.json")["scores"]
    for part in ("dev", "test"):
        assert scores[part]["f1"] == scores[part]["accuracy"] == 100.0 and scores[part]["examples"] == 8
    model = keras.saving.load_model(folder / MODEL)
    assert model.labels[0] == "no_relation" and set(model.labels) == set(RELATIONS.values())
    assert model.markers == {
        "SUBJ-ORGANIZATION": "[unused1]",
        "SUBJ-PERSON": "[unused2]",
        "OBJ-CITY": "[unused3]",
        "OBJ-DATE": "[unused4]",
    }
    assert model.row_length == 24 and model.entities.mode == "ner" and not model.head.pooler
    for part, path in (("dev", dev), ("test", test)):
        examples = data.read(path).examples
        assert extracted(model, examples) == predictions_of(folder / part) == {e.id: e.relation for e in examples}
        assert (folder / part / "gold.txt").read_text().splitlines() == [e.relation for e in examples]


def test_relations_of_dev_that_training_lacks_count_as_not_found(fine_tune, relation_file, eagerly, caplog):
    caplog.set_level("INFO")
    dev = relation_file("dev.json", records=[record(i) | {"relation": "per:unseen"} for i in range(4)])
    folder = fine_tune(
        f"--train_file={relation_file()}",
        f"--dev_file={dev}",
        "--label_smoothing=0.1",
        "--pooler",
        "--class_weights=balanced",
    )
    assert "The pooler is initialised randomly: there is none in --encoder=" in caplog.text
    assert read_json(folder / "run.json")["scores"]["dev"]["recall"] == 0.0
    model = keras.saving.load_model(folder / MODEL)
    assert "per:unseen" not in model.labels and model.head.pooler


@pytest.mark.slow
def test_a_run_stopped_by_ctrl_c_ends_as_one_that_was_not(fine_tune, relation_file, monkeypatch):
    files = [f"--train_file={relation_file()}", f"--dev_file={relation_file('dev.json', first=9)}", "--epochs=2"]
    files.append("--learning_rate=5e-3")
    whole = fine_tune(*files, name="whole")
    steps = []

    def on_step(self, done):
        steps.append(done)
        if steps == [1, 2, 3]:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(FineTuningMonitor, "on_step", on_step)
    with pytest.raises(SystemExit) as ended:
        fine_tune(*files)
    assert ended.value.code == 130
    folder = fine_tune(*files)
    assert steps == [1, 2, 3, 4]
    models = [keras.saving.load_model(place / MODEL) for place in (whole, folder)]
    pairs = [example.pair for example in data.read(relation_file()).examples]
    one, other = (model.logits_of(model.entities.rows(pairs)) for model in models)
    np.testing.assert_allclose(one, other, atol=1e-5)


def task_of(encoder_path, relation_file, *flags):
    files = [f"--train_file={relation_file()}", f"--dev_file={relation_file('dev.json', first=8, count=3)}"]
    arguments = [f"--encoder={encoder_path}", "--output_dir=o", "--max_sequence_length=24", *files, *flags]
    return finetune.RelationExtraction(program.parse(finetune.Config, arguments))


@pytest.mark.parametrize("mode, markers", [("ner", 4), ("text", 4), ("text_ner", 8), ("ner_text", 4)])
def test_every_mode_makes_rows_and_a_model(encoder_path, relation_file, mode, markers):
    task = task_of(encoder_path, relation_file, f"--feature_mode={mode}")
    model = task.make_model()
    assert model.entities.mode == mode and len(model.markers) == markers
    rows = task.training_rows(model)
    batch = rows.batch(np.arange(8), 24)
    assert batch["token_ids"].shape == (8, 24) and batch["label_targets"].argmax(axis=1).tolist() == [
        model.labels.index(example.relation) for example in task.train
    ]
    ids = set(batch["token_ids"].ravel().tolist())
    assert {model.encoder.tokenizer.token_to_id(piece) for piece in model.markers.values()} <= ids
    assert set(task.evaluate(model, None, 8)) == {"precision", "recall", "f1", "accuracy", "examples"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["text", "text_ner", "ner_text"])
def test_every_mode_runs(fine_tune, relation_file, mode):
    path = relation_file()
    folder = fine_tune(f"--train_file={path}", f"--dev_file={path}", f"--feature_mode={mode}")
    model = keras.saving.load_model(folder / MODEL)
    assert extracted(model, data.read(path).examples) == predictions_of(folder / "dev")


def test_long_sentences_are_cut_and_counted(encoder_path, relation_file, caplog):
    caplog.set_level("INFO")
    long = record(0) | {"token": [f"w{i}" for i in range(40)], "subj_start": 38, "subj_end": 39}
    path = relation_file("long.json", records=[long, record(1), record(2)])
    task = task_of(encoder_path, relation_file, f"--train_file={path}")
    model = task.make_model()
    rows = task.training_rows(model)
    assert rows.cut == 1 and max(rows.lengths) == 24 and "3 training examples, 1 of them cut" in caplog.text
    first = rows.rows[0].token_ids.tolist()
    for name in ("SUBJ-PERSON", "OBJ-CITY"):
        assert model.encoder.tokenizer.token_to_id(model.markers[name]) in first


def test_types_of_dev_and_test_have_markers_too(encoder_path, relation_file):
    other = relation_file("test.json", records=[record(0) | {"obj_type": "TITLE"}])
    model = task_of(encoder_path, relation_file, f"--test_file={other}").make_model()
    assert "OBJ-TITLE" in model.markers


def test_class_weights_and_smoothing_reach_the_targets(encoder_path, relation_file):
    path = relation_file("some.json", records=[record(0), record(4), record(8), record(1)])
    flags = [f"--train_file={path}", "--class_weights=balanced", "--label_smoothing=0.3"]
    task = task_of(encoder_path, relation_file, *flags)
    model = task.make_model()  # no_relation, which never occurs, and two others
    expected = np.array([[0.1, 0.8, 0.1]] * 3 + [[0.1, 0.1, 0.8]]) * np.array([[2 / 3]] * 3 + [[2.0]])
    np.testing.assert_allclose(task.training_rows(model).labels, expected, rtol=1e-5)


def test_retacreds_labels_apply_to_each_file(relation_file, tmp_path, caplog):
    caplog.set_level("INFO")
    train, dev = relation_file(), relation_file("dev.json", first=20)
    labels = {name: tmp_path / f"{name}_id2label.json" for name in ("train", "dev")}
    labels["train"].write_text(json.dumps({f"e{i}": "org:members" for i in range(6)}))
    labels["dev"].write_text(json.dumps({f"e{i}": "no_relation" for i in range(20, 23)}))
    flags = [f"--train_file={train}", f"--dev_file={dev}", *(f"--{k}_labels={path}" for k, path in labels.items())]
    task = finetune.RelationExtraction(config_of(*flags))
    assert [len(task.train), len(task.dev)] == [6, 3]
    assert {one.relation for one in task.train} == {"org:members"}
    assert {one.relation for one in task.dev} == {"no_relation"}
    assert "train.json: 2 examples have no entry" in caplog.text and "dev.json: 5 examples have no" in caplog.text
    with pytest.raises(InputError, match="--train_labels needs a single training file. Received: several"):
        finetune.RelationExtraction(config_of(*flags, f"--train_file={train},{dev}"))
    assert {"train_labels", "dev_labels", "test_labels", "train_file"} <= set(task.config.changeable())


def test_bad_examples_are_rejected_or_left_out(relation_file):
    bad = relation_file("bad.json", records=[record(0), record(1) | {"subj_end": 99}, record(2)])
    flags = [f"--train_file={relation_file()},{bad}", f"--dev_file={bad}"]
    with pytest.raises(InputError, match=r"bad.json, example 1 \('e1'\): subj_start and subj_end must be indices"):
        finetune.RelationExtraction(config_of(*flags))
    task = finetune.RelationExtraction(config_of(*flags, "--skip_bad_examples"))
    assert [len(task.train), len(task.dev), len(task.left_out)] == [10, 2, 2]


def test_a_label_of_no_relation_without_training_examples_is_reported(relation_file, caplog):
    files = [f"--train_file={relation_file()}", f"--dev_file={relation_file()}"]
    finetune.RelationExtraction(config_of(*files))
    assert "--no_relation" not in caplog.text
    finetune.RelationExtraction(config_of(*files, "--no_relation=Other"))
    assert "No training example has the label --no_relation=Other." in caplog.text


def test_relations_of_dev_that_training_lacks_are_reported(relation_file, caplog):
    dev = relation_file("dev.json", records=[record(0, relation="per:new"), record(1, relation="a"), record(2)])
    finetune.RelationExtraction(config_of(f"--train_file={relation_file()}", f"--dev_file={dev}"))
    assert "--dev_file has relations that are not in the training data (2 occurrences): a, per:new." in caplog.text
    assert "--test_file has" not in caplog.text


def test_test_labels_without_a_test_file_are_rejected(relation_file):
    files = [f"--train_file={relation_file()}", f"--dev_file={relation_file()}"]
    with pytest.raises(InputError, match="--test_labels=x.json needs --test_file. Received: none."):
        finetune.RelationExtraction(config_of(*files, "--test_labels=x.json"))


def test_settings_out_of_range_are_rejected_before_files_are_read(fine_tune, tmp_path):
    for flag in ("label_smoothing", "classifier_dropout"):
        with pytest.raises(InputError, match=f"--{flag} must be at least 0 and below 1"):
            fine_tune("--train_file=no", "--dev_file=no", f"--{flag}=1")
    assert not (tmp_path / "run").exists()


def test_settings_of_an_invalid_model_are_reported_with_the_encoder(encoder_path, relation_file):
    many = relation_file("many.json", records=[record(i) | {"obj_type": f"T{i}"} for i in range(14)])
    with pytest.raises(InputError, match=r"The model cannot be built on .*needs an \[unusedN\] piece"):
        task_of(encoder_path, relation_file, f"--train_file={many}").make_model()
    with pytest.raises(InputError, match="`row_length` must be a whole number of at least 16"):
        task_of(encoder_path, relation_file, "--max_sequence_length=8").make_model()
    alone = relation_file("alone.json", records=[record(2)])
    with pytest.raises(
        InputError, match="must have a relation besides --no_relation=no_relation. Received: 1 examples"
    ):
        task_of(encoder_path, relation_file, f"--train_file={alone}").make_model()


def test_relations_with_directions_have_semevals_score_in_log_and_record(fine_tune, relation_file, caplog, eagerly):
    caplog.set_level("INFO")
    labels = ["Other", "A(e1,e2)", "A(e2,e1)", "B(e1,e2)"]
    path = relation_file(records=[record(i, relation=labels[i % 4]) for i in range(8)])
    folder = fine_tune(f"--train_file={path}", f"--dev_file={path}", "--no_relation=Other")
    scores = read_json(folder / "run.json")["scores"]["dev"]
    assert {"macro_precision", "macro_recall", "macro_f1", "f1"} < set(scores)
    assert f"macro_f1 {scores['macro_f1']:.2f}" in caplog.text
