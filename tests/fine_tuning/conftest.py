"""The smallest model, settings and task that can be fine-tuned, and the fixtures of training's tests that read logs."""

import dataclasses
import pathlib
import types
from collections.abc import Callable

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, fine_tune
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.fine_tuning import study
from spanbert_keras.fine_tuning.objective import ExampleObjective
from spanbert_keras.fine_tuning.run import FineTuningRun, TrainingFailed
from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.fine_tuning.study import FineTuningStudy
from spanbert_keras.models.named_inputs import NamedInputs
from spanbert_keras.program import to_flags
from spanbert_keras.settings import setting
from tests.training.conftest import lines, read_events, terminal  # noqa: F401


@keras.saving.register_keras_serializable(package="toy")
class ToyClassifier(NamedInputs, keras.Model):
    """Classifies whether a row has more even than odd pieces: the smallest model with the parts of a task model."""

    input_keys = ("token_ids", "padding_mask")
    target_keys = ("labels",)
    static_shapes = False

    def __init__(self, dropout=0.0, threshold=0.0, **kwargs):
        inputs = self.symbolic_inputs()
        x = keras.layers.Embedding(64, 6, name="embedding")(inputs["token_ids"])
        x = keras.layers.GlobalAveragePooling1D(name="mean")(x, mask=inputs["padding_mask"])
        x = keras.layers.Dropout(dropout, name="dropout")(x)
        super().__init__(inputs=inputs, outputs={"logits": keras.layers.Dense(1, name="head")(x)}, **kwargs)
        self.dropout, self.threshold = dropout, threshold

    def get_config(self):
        return {"dropout": self.dropout, "threshold": self.threshold, "name": self.name}

    def example_losses(self, outputs, batch):
        logits = keras.ops.cast(outputs["logits"], "float32")[:, 0]
        return keras.ops.softplus(logits * (1.0 - 2.0 * keras.ops.cast(batch["labels"], "float32")))


def toy_rows(count, seed):
    """Returns random rows of 2 to 16 pieces, and their labels."""
    random = np.random.default_rng(seed)
    rows = [random.integers(5, 64, length) for length in random.integers(2, 17, count)]
    return rows, np.array([(row % 2).mean() < 0.5 for row in rows], np.int32)


def toy_batch(rows, labels, examples, length, epoch=0):
    """Returns a batch of these examples, padded to `length`."""
    batch = {name: np.zeros((len(examples), length), np.int32) for name in ("token_ids", "padding_mask")}
    for i, example in enumerate(examples):
        batch["token_ids"][i, : len(rows[example])] = rows[example]
        batch["padding_mask"][i, : len(rows[example])] = 1
    return batch | {"labels": labels[examples]}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToySettings(FineTuningSettings):
    """Settings of a run of nine steps of eight rows, evaluated after every second step."""

    encoder: str = "none"
    learning_rate: float = 0.05
    batch_size: int = 8
    epochs: float = 1.5
    evaluations_per_epoch: int = 3
    dropout: float | None = 0.2
    log_every: int = setting("Steps between log points.", default=4, changeable=True)
    checkpoint_minutes: float = 0.0
    rows: int = 42
    color: str = setting("Color.", default="red", changeable=True)


class ToyTask:
    """`FineTuningTask` of `ToyClassifier`; records its calls in `events`.

    Args:
        settings: `ToySettings`.
        events: list.
        score_of: function of (number of this task's evaluation, from 1, and true score), or `None` for the true one.
    """

    model_name, select_by, task_learning_rate = "toy", "fit", None

    def __init__(self, settings, events, score_of=None):
        self.settings, self.events = settings, events
        self.score_of = score_of or (lambda number, score: score)
        self.evaluations = 0

    def facts(self):
        return {"train": f"{self.settings.rows} rows"}

    def make_model(self):
        self.events.append("model")
        keras.utils.set_random_seed(self.settings.seed)
        return ToyClassifier(self.settings.dropout, name="toy")

    def training_rows(self, model):
        rows, labels = toy_rows(self.settings.rows, 1)
        lengths = [len(row) for row in rows]
        return types.SimpleNamespace(lengths=lengths, batch=lambda *which: toy_batch(rows, labels, *which))

    def objective(self, model):
        return ExampleObjective(model)

    def true_score(self, predict, rows):
        found, labels = toy_rows(rows, 2)
        logits = predict(toy_batch(found, labels, np.arange(rows), 16))["logits"][:, 0].astype(np.float64)
        return float(100 * np.exp(-np.logaddexp(0, logits * (1 - 2 * labels)).mean()))

    def evaluate(self, model, predict, rows):
        self.evaluations += 1
        score = self.score_of(self.evaluations, self.true_score(predict, rows))
        self.events.append(("evaluate", score))
        return {"fit": score, "rows": rows}

    def finish(self, model, folder, predict, rows):
        model.threshold = 0.25
        score = self.true_score(predict, rows)
        self.events.append(("finish", score))
        return {"fit": score, "rows": rows}

    def test(self, model, folder):
        rows, labels = toy_rows(16, 3)
        logits = keras.ops.convert_to_numpy(model(toy_batch(rows, labels, np.arange(16), 16))["logits"])[:, 0]
        self.events.append(("test", folder.name))
        return {"hits": float(((logits > 0) == labels).mean()), "threshold": model.threshold}


@pytest.fixture(scope="session")
def toy_settings():
    """The class `ToySettings`."""
    return ToySettings


@pytest.fixture(scope="session")
def toy_task():
    """The class `ToyTask`."""
    return ToyTask


@pytest.fixture(scope="module", autouse=True)
def _plain_graphs(plain_graphs):
    """Runs the graphs of all tests here unoptimized."""


# --- classifiers that `fine_tune` trains

TEXTS = [" ".join(f"w{(5 * i + j * j) % 40}" for j in range(2 + i % 9)) + f" w{40 + i % 2}" for i in range(20)]
LABELS = [("no", "yes")[i % 2] for i in range(20)]  # as the last word says
DATA = (TEXTS, LABELS)
STEPS = 12  # three an epoch: 20 rows in batches of 8
QUICK = {"batch_size": 8, "learning_rate": 0.02, "checkpoint_minutes": 0.0}


@pytest.fixture(scope="module")
def make_encoder(toy_tokenizer):
    """Function that makes an encoder of one layer x 16; its weights, and those made next, are a function of `seed`."""

    def make(seed=1, dropout=0.1):
        keras.utils.set_random_seed(seed)
        size = toy_tokenizer.vocabulary_size()
        return SpanBertEncoder(size, 1, 2, 16, 24, dropout=dropout, max_sequence_length=24, tokenizer=toy_tokenizer)

    return make


@pytest.fixture(scope="module")
def make_classifier(make_encoder):
    """Function that makes a classifier of two classes."""

    def make(seed=1, dropout=0.1, **settings):
        return SpanBertTextClassifier(make_encoder(seed, dropout), **({"labels": ["no", "yes"]} | settings))

    return make


def weights_of(model):
    return [np.array(keras.ops.convert_to_numpy(weight.value)) for weight in model.weights]


def assert_equal_weights(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def record_of(folder):
    return read_json(folder / "run.json")


@pytest.fixture(scope="module")
def whole(make_classifier, tmp_path_factory):
    """A run from start to end: its folder, what was returned, and the scores of each evaluation."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fine_tune(make_classifier(), DATA, DATA, folder, **QUICK)


# --- studies whose training is a script of scores


class Killed(Exception):
    """What ends a process at once, as a kill would."""


@dataclasses.dataclass
class Script:
    """What stands for training: the scores of a run's evaluations, and after which of them something happens to it."""

    scores: Callable = lambda settings: [10.0, 20.0, 30.0, 40.0]
    hits: Callable = lambda settings: 0.5  # on test
    interrupted: dict = dataclasses.field(default_factory=dict)
    killed: dict = dataclasses.field(default_factory=dict)
    errors: dict = dataclasses.field(default_factory=dict)
    evaluated: list = dataclasses.field(default_factory=list)


@pytest.fixture
def script(monkeypatch):
    """The `Script` of all runs of a test."""
    found = Script()

    class ScriptedRun(FineTuningRun):
        def run(self):
            name, checkpoint = self.folder.name, self.folder / "checkpoint.json"
            done = read_json(checkpoint) if checkpoint.is_file() else 0
            facts = self.task.facts()
            changeable = self.settings.changeable() if done else (*self.flags, *facts)
            self.record.begin(self.flags, facts, changeable)
            self.record.update(facts=facts)
            scores = found.scores(self.settings)
            for number in range(done + 1, len(scores) + 1):
                if name in found.errors:
                    raise found.errors[name]
                found.evaluated.append((name, number))
                try:
                    self.on_score(number, scores[number - 1])
                except InputError as error:  # as the real run does
                    raise TrainingFailed(str(error)) from error
                if found.killed.get(name) == number:
                    del found.killed[name]
                    raise Killed
                write_json(checkpoint, number)
                if found.interrupted.get(name) == number:
                    return "interrupted"
            self.model_path.write_text(name)
            self.record.update(scores={"dev": {"fit": max(scores), "of": name}}, finished_steps=9, best_step=2)
            return "finished"

    monkeypatch.setattr(study, "FineTuningRun", ScriptedRun)
    monkeypatch.setattr(keras.saving, "load_model", lambda path: pathlib.Path(path).read_text())
    return found


@pytest.fixture
def make_study(toy_settings, toy_task, tmp_path, request):
    """Function that makes a study in the folder of the test; `events` is what its tasks are asked for."""

    class ScriptedTask(toy_task):
        def test(self, model, folder):
            self.events.append(("test", model))
            return {"hits": script.hits(self.settings)}

    script = request.getfixturevalue("script") if "script" in request.fixturenames else None

    def make(folder="run", **settings):
        settings, events = toy_settings(output_dir=str(tmp_path / folder), **settings), []
        study = FineTuningStudy(settings, lambda s: (ScriptedTask if script else toy_task)(s, events), to_flags)
        study.events = events
        return study

    return make


@pytest.fixture
def make_sweep(make_study):
    """Function that makes a sweep over three rates and two batch sizes, whose pruner waits for two evaluations."""
    grid = {"sweep_learning_rates": ("0.1", "0.2", "0.3"), "sweep_batch_sizes": ("8", "16")}
    return lambda **settings: make_study(**({"sweep": True, "evaluations_per_epoch": 2} | grid | settings))
