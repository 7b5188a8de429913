"""Tests of the base of classification tasks: sets, rows with targets, scores and files of dev and test."""

import dataclasses
import types

import numpy as np
import pytest

from tasks.shared.classification_task import ClassificationTask


@dataclasses.dataclass(frozen=True)
class Example:
    text: str
    label: str


@dataclasses.dataclass(frozen=True)
class Row:
    text: str
    cut: bool = False

    def __len__(self):
        return len(self.text)


class Rows:
    """Rows of at most four letters."""

    def __init__(self, texts, targets=None):
        self.rows = [Row(text[:4], len(text) > 4) for text in texts]
        self.lengths = [len(row) for row in self.rows]
        self.cut = sum(row.cut for row in self.rows)
        self.labels = targets


class Model:
    """Gives each row its length and twice that, and records the arguments."""

    labels = ("no", "yes")
    problem_type = "single_label"

    def __init__(self):
        self.asked = []

    def logits_of(self, rows, batch_size, compute):
        self.asked.append((len(rows), batch_size, compute))
        return np.array([[len(row), 2 * len(row)] for row in rows], np.float32)

    @property
    def preprocessor(self):
        return types.SimpleNamespace(rows=Rows)


class Texts(ClassificationTask):
    model_name, select_by = "texts", "sum"

    def __init__(self, config, test_examples=()):
        super().__init__(config)
        self.train = [Example("a", "no"), Example("bbbbbb", "no"), Example("cc", "no"), Example("dd", "yes")]
        self.dev = [Example("ee", "no")]
        self.test_examples = list(test_examples)
        self.written = []

    def inputs_of(self, examples):
        return [example.text for example in examples]

    def places_of(self, model, examples):
        return [model.labels.index(example.label) for example in examples]

    def scores_of(self, model, examples, logits):
        return {"sum": float(logits.sum()), "examples": len(examples)}

    def write(self, model, folder, examples, logits):
        self.written.append((folder, [example.text for example in examples], logits.tolist()))


@pytest.fixture
def make_task():
    """Function of settings and test examples that returns the task."""

    def make(test_examples=(), **settings):
        return Texts(
            types.SimpleNamespace(**{"label_smoothing": 0.0, "class_weights": "none"} | settings), test_examples
        )

    return make


def test_sets_have_checksums_by_name(make_task):
    task = make_task([Example("t", "no")])
    assert {name: len(examples) for name, examples in task.sets().items()} == {"train": 4, "dev": 1, "test": 1}
    facts = task.facts()
    task.dev = [Example("other", "no")]
    changed = task.facts()
    assert {name for name in facts if facts[name] != changed[name]} == {"dev"}


def test_training_rows_have_targets_by_the_settings(make_task, caplog):
    caplog.set_level("INFO")
    rows = make_task().training_rows(Model())
    assert rows.lengths == [1, 4, 2, 2] and rows.cut == 1
    assert rows.labels.tolist() == [[1, 0]] * 3 + [[0, 1]]
    assert "4 training examples, 1 of them cut; 1 dev examples" in caplog.text
    balanced = make_task(class_weights="balanced").training_rows(Model()).labels
    np.testing.assert_allclose(balanced, [[2 / 3, 0]] * 3 + [[0, 2]], rtol=1e-6)
    smooth = make_task(label_smoothing=0.2).training_rows(Model()).labels
    np.testing.assert_allclose(smooth, [[0.9, 0.1]] * 3 + [[0.1, 0.9]], rtol=1e-6)


def test_labels_without_a_training_row_are_reported(make_task, caplog):
    make_task().training_rows(Model())
    assert "no example to train on" not in caplog.text
    model = Model()
    model.labels = ("no", "maybe", "yes", "never")
    make_task().training_rows(model)
    assert "2 labels have no training example: maybe, never." in caplog.text


def test_dev_is_scored_with_the_given_function_and_written_at_the_end(make_task, tmp_path):
    task, model = make_task(), Model()

    def predict(batch):
        raise AssertionError("the model is asked, and would ask this")

    assert task.evaluate(model, predict, 7) == {"sum": 6.0, "examples": 1} and not task.written
    assert task.finish(model, tmp_path, predict, 7) == {"sum": 6.0, "examples": 1}
    assert model.asked == [(1, 7, predict)] * 2
    assert task.written == [(tmp_path / "dev", ["ee"], [[2.0, 4.0]])]


def test_test_is_scored_where_there_is_one(make_task, tmp_path):
    model = Model()
    assert make_task().test(model, tmp_path) == {} and model.asked == []
    task = make_task([Example("fff", "yes"), Example("g", "no")])
    assert task.test(model, tmp_path) == {"sum": 12.0, "examples": 2}
    assert task.written == [(tmp_path / "test", ["fff", "g"], [[3.0, 6.0], [1.0, 2.0]])]
    assert model.asked == [(2, 32, None)]


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("pooler", [False, True])
def test_a_pooler_starts_from_that_of_the_encoders_source(make_task, caplog, known, pooler):
    caplog.set_level("INFO")
    taken = []
    head = types.SimpleNamespace(pooler=pooler, pooler_dense=types.SimpleNamespace(set_weights=taken.append))
    weights = [np.ones((2, 2)), np.ones(2)] if known else None
    encoder = types.SimpleNamespace(source_pooler=weights)
    task = make_task(encoder="runs/x")
    model = task.build(lambda encoder, **settings: types.SimpleNamespace(head=head, **settings), encoder, labels=["a"])
    assert model.labels == ["a"] and taken == ([weights] if known and pooler else [])
    assert ("The pooler starts from that of --encoder=runs/x." in caplog.text) == (known and pooler)
    new = "The pooler is initialised randomly: there is none in --encoder=runs/x."
    assert (new in caplog.text) == (pooler and not known)
