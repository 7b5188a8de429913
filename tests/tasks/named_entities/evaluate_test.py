"""Evaluation: scores, calibration, files and page of a recognizer with entities that are known, and errors."""

import json
import shutil

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEntityRecognizer
from spanbert_keras.program import InputError
from tasks.named_entities import data, metrics
from tasks.named_entities.evaluate import Config, main


@pytest.fixture(scope="module")
def trained(tmp_path_factory, entity_encoder, entity_file):
    """Path of a recognizer after a few steps: it finds some entities, right and wrong ones."""
    keras.utils.set_random_seed(0)
    encoder = keras.saving.load_model(entity_encoder)
    model = SpanBertEntityRecognizer(encoder, ["PER", "LOC"], max_span_width=4, hidden_dim=32, row_length=32)
    model.compile(keras.optimizers.Adam(1e-2))
    examples = data.read(entity_file(), context="sentence").examples
    rows = [list(one.text) for one in examples], [list(one.entities) for one in examples]
    for _ in range(15):
        model.train_on_batch(*rows)
    path = tmp_path_factory.mktemp("trained") / "model.keras"
    model.save(path)
    return path


@pytest.fixture
def model_file(tmp_path, trained):
    return shutil.copy(trained, tmp_path)


def test_scores_files_and_page_agree_with_what_the_model_finds(tmp_path, model_file, entity_file, capsys):
    path = entity_file("dev.tsv", count=4)
    calibrated = tmp_path / "calibrated.keras"
    main(Config(model=str(model_file), data=str(path), calibrated_model=str(calibrated)))
    folder = tmp_path / "evaluation" / "dev"
    scores = json.loads((folder / "scores.json").read_text())
    examples = data.read(path).examples
    model = keras.saving.load_model(model_file)
    found = [
        [one for one in entities if any(start <= one.start and one.end <= end for start, end in example.sentences)]
        for example, entities in zip(examples, model.recognize([list(one.text) for one in examples]), strict=True)
    ]
    spans = [[(one.start, one.end, one.label) for one in each] for each in found]
    expected = metrics.score([one.entities for one in examples], spans)
    for name, table in expected.items():
        assert scores[name] == pytest.approx(table)
    assert expected["all"]["correct"] > 0
    right = [
        (one.start, one.end, one.label) in example.entities
        for example, each in zip(examples, found, strict=True)
        for one in each
    ]
    confidence = np.array([one.score for each in found for one in each])
    calibration = scores["calibration"]
    assert calibration["share_correct"] == pytest.approx(100 * np.mean(right))
    assert calibration["mean_confidence"] == pytest.approx(100 * confidence.mean(), abs=1e-3)
    assert calibration["brier_score"] == pytest.approx(100 * np.mean((confidence - right) ** 2), abs=1e-3)
    assert keras.saving.load_model(calibrated).temperature != 1.0
    assert (folder / "reliability.png").read_bytes()[:4] == b"\x89PNG"
    page = (folder / "errors.html").read_text()
    assert "namedEntities" in page and "king" in page and "</html>" in page
    said = capsys.readouterr().out
    assert "outermost" in said and f"{expected['all']['f1']:.2f}" in said


def test_predictions_need_no_gold(tmp_path, model_file):
    path = tmp_path / "raw.jsonl"
    path.write_text('{"id": "a", "text": "Ann met the king of Rome."}\n{"id": "b", "text": "eve met bob"}\n')
    main(Config(model=str(model_file), data=str(path), predict_only=True, output_dir=str(tmp_path / "out")))
    lines = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == ["a", "b"] and not (tmp_path / "out" / "scores.json").exists()
    assert any(line["entities"] for line in lines)
    for line in lines:
        assert all(line["text"][one["start"] : one["end"]] == one["text"] for one in line["entities"])


def test_a_file_with_other_labels_is_one_sentence(tmp_path, model_file):
    path = tmp_path / "other.tsv"
    path.write_text("ann\tB-VEH\nmet\tO\n")
    with pytest.raises(InputError, match="has no entity of --model=.*Expected: PER, LOC.*Received: VEH"):
        main(Config(model=str(model_file), data=str(path)))


def test_a_model_that_finds_nothing_has_scores_without_calibration(tmp_path, entity_encoder, entity_file, caplog):
    model = SpanBertEntityRecognizer(keras.saving.load_model(entity_encoder), ["PER", "LOC"], row_length=32)
    model.compile(keras.optimizers.Adam(0.1))
    for _ in range(3):
        model.train_on_batch(["ann met bob ."] * 2, [[], []])
    model.save(tmp_path / "model.keras")
    given = {"model": str(tmp_path / "model.keras"), "data": str(entity_file("dev.tsv", count=3))}
    main(Config(**given, output_dir=str(tmp_path / "out")))
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["all"]["f1"] == scores["all"]["predicted"] == 0 < scores["all"]["gold"]
    assert scores["calibration"] == {"temperature": 1.0} and "finds no entity" in caplog.text
    with pytest.raises(InputError, match="finds no entity in .*dev.tsv, so that it cannot be calibrated"):
        main(Config(**given, calibrated_model=str(tmp_path / "calibrated.keras")))
