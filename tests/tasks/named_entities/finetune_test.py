"""Fine-tuning learns nested entities from a file, writes predictions as they were read, and reports what is wrong."""

import json

import keras
import pytest

from spanbert_keras.program import InputError
from tasks.named_entities import data
from tasks.named_entities.finetune import Config, NamedEntities, main


def config(tmp_path, encoder, train, dev, **others):
    settings = {
        "encoder": str(encoder),
        "train_file": (str(train),),
        "dev_file": str(dev),
        "output_dir": str(tmp_path / "run"),
        "epochs": 30.0,
        "evaluations_per_epoch": 1,
        "warmup_ratio": 0.0,
        "learning_rate": 1e-2,
        "task_learning_rate": 1e-2,
        "batch_size": 4,
        "max_span_width": 4,
        "hidden_dim": 32,
        "max_sequence_length": 32,
    }
    return Config(**(settings | others))


def test_a_run_learns_and_writes_what_it_finds(tmp_path, entity_encoder, entity_file):
    train, dev = entity_file(count=18), entity_file("dev.tsv", count=9)
    main(config(tmp_path, entity_encoder, train, dev, test_file=str(dev), context="sentence"))
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    scores = run["scores"]["dev"]
    assert scores["f1"] > 90 and scores["outermost_f1"] > 90 and run["scores"]["test"]["f1"] == scores["f1"]
    model = keras.saving.load_model(tmp_path / "run" / "entity_recognizer.keras")
    assert model.labels == ("PER", "LOC") and model.nested and model.row_length == 32
    found = data.read(tmp_path / "run" / "dev" / "predictions.tsv").examples
    gold = data.read(dev, context="sentence").examples
    assert [one.text for one in found] == [one.text for one in gold]
    shared = sum(len({*one.entities} & {*other.entities}) for one, other in zip(found, gold, strict=True))
    assert shared == scores["correct"] > 0
    lines = (tmp_path / "run" / "dev" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [one.id for one in gold]


@pytest.mark.parametrize("flag", ["train_file", "dev_file"])
def test_files_without_entities_are_reported(tmp_path, entity_encoder, entity_file, flag):
    empty = tmp_path / "empty.tsv"
    empty.write_text("ann\tO\n")
    files = {"train_file": (str(entity_file()),), "dev_file": str(entity_file("dev.tsv"))}
    files[flag] = (str(empty),) if flag == "train_file" else str(empty)
    with pytest.raises(InputError, match=f"--{flag} must have entities"):
        NamedEntities(config(tmp_path, entity_encoder, "x", "y", **files))
