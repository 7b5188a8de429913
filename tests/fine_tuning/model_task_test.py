"""Tests of what `fine_tune` trains: names, checksums, and scores of rows that do not fill a batch."""

import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier
from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.model_task import ModelTask, config_checksum, rows_checksum
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

TEXTS = [f"w{i} w{i + 1}" * (1 + i % 3) for i in range(11)]
LABELS = [i % 2 for i in range(11)]


@pytest.fixture
def make_model(toy_pieces):
    """Function that makes a small classifier with a tokenizer of its own."""

    def make(labels=("no", "yes"), **settings):
        encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=SpanBertTokenizer(toy_pieces))
        return SpanBertTextClassifier(encoder, labels=list(labels), **settings)

    return make


def test_the_model_is_named_by_its_class(make_model):
    model = make_model()
    assert ModelTask(model, model.preprocessor.rows(TEXTS, LABELS)).model_name == "text_classifier"
    reader = type("SpanBertQuestionAnswerer", (), {})()
    assert ModelTask(reader, None).model_name == "question_answerer"


def test_the_checksum_of_a_model_is_that_of_its_settings(make_model):
    model = make_model()
    assert config_checksum(model) == config_checksum(make_model())  # of other names
    others = [
        make_model(dropout=0.2),
        make_model(labels=("a", "b")),
        make_model(pooler=True),
        make_model(dtype="mixed_bfloat16"),
    ]
    assert len({config_checksum(one) for one in (model, *others)}) == 5


def test_the_checksum_of_rows_is_that_of_examples_targets_and_weights(make_model, monkeypatch):
    make = make_model().preprocessor.rows
    first = rows_checksum(make(TEXTS, LABELS))
    assert first == rows_checksum(make(TEXTS, LABELS))
    others = [
        make(TEXTS[1:], LABELS[1:]),
        make([*TEXTS[:-1], "w9"], LABELS),
        make(TEXTS, [*LABELS[:-1], 1 - LABELS[-1]]),
        make(TEXTS, LABELS, np.ones(11)),
        make(TEXTS, LABELS, np.arange(11)),
    ]
    assert len({first, *map(rows_checksum, others)}) == 6


def test_rows_beyond_the_first_part_count_too(make_model, monkeypatch):
    monkeypatch.setattr("spanbert_keras.fine_tuning.model_task.ROWS_HASHED", 4)
    make = make_model().preprocessor.rows
    assert rows_checksum(make(TEXTS, LABELS)) != rows_checksum(make([*TEXTS[:-1], "w9 w9"], LABELS))


def test_every_validation_row_counts_once_with_its_weight(make_model):
    """Three batches of four, the last one with an empty row."""
    model = make_model()
    weights = np.arange(11, dtype="float32")
    task = ModelTask(model, model.preprocessor.rows(TEXTS, LABELS), model.preprocessor.rows(TEXTS, LABELS, weights), 4)
    seen = []

    def predict(batch):
        seen.append(batch)
        return {"losses": batch["row_weights"], "right": np.ones(4, np.float32)}

    found = task.evaluate(model, predict, 32)
    assert found == {"loss": pytest.approx(weights.sum() / 11), "accuracy": 1.0}
    assert len(seen) == 3 and sum(batch["example_weights"].sum() for batch in seen) == 11
    assert all(batch["token_ids"].shape[0] == 4 for batch in seen)
    assert "row_weights" in task.objective(model).target_keys  # though the training rows have none
    assert task.training_rows(model).batch(np.arange(3), 24, 0)["row_weights"].tolist() == [1, 1, 1]


def test_scores_of_a_function_choose_and_are_added(make_model):
    model = make_model()
    rows = model.preprocessor.rows(TEXTS, LABELS)
    predict = lambda batch: {"losses": np.ones(4), "right": np.ones(4)}  # noqa: E731
    task = ModelTask(model, rows, rows, 4, lambda model: {"f1": np.float32(0.5), "recall": 1})
    assert task.evaluate(model, predict, 4) == {"loss": 1.0, "accuracy": 1.0, "f1": 0.5, "recall": 1.0}
    assert task.select_by == "f1" and ModelTask(model, rows, rows).select_by == "loss"
    for evaluate, select_by, named in ((lambda model: {}, None, "the scores"), (lambda model: {"a": 1}, "b", "a")):
        with pytest.raises(InputError, match=f"`select_by` must be the name of a score. Expected: one of {named}"):
            ModelTask(model, rows, None, 4, evaluate, select_by).evaluate(model, predict, 4)


def test_without_anything_to_evaluate_there_are_no_scores(make_model):
    model = make_model()
    task = ModelTask(model, model.preprocessor.rows(TEXTS, LABELS))
    assert task.finish(model, None, None, 4) == {} == task.test(model, None)
