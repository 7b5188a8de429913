"""Tests of fine-tuning from Python: what is left in the model and in the folder, and runs that are stopped."""

import json
import os
import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTextClassifier, fine_tune
from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.fine_tune import FineTuned
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.fine_tuning.run import FineTuningRun
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.training.run.checkpoints import Checkpoints
from tests.models import fit_oracle

BACKEND = keras.backend.backend()
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
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def whole(make_classifier, tmp_path_factory):
    """A run from start to end: its folder, what was returned, and the scores of each evaluation."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fine_tune(make_classifier(), DATA, DATA, folder, **QUICK)


class ArrayRows(ExampleRows):
    """Rows that are arrays already."""

    def __init__(self, x, targets, sample_weight=None):
        super().__init__(x["padding_mask"].sum(axis=1), sample_weight=sample_weight)
        self.input_keys, self.target_keys = tuple(x), tuple(targets)
        self.arrays = x | targets

    def batch(self, rows, length, epoch=0):
        return {key: values[rows] for key, values in self.arrays.items()}


# --- what it learns, leaves and writes


def test_a_classifier_learns_and_the_best_weights_are_in_it_and_saved(make_classifier, whole):
    folder, found = whole
    assert isinstance(found, FineTuned) and found.steps == STEPS and found.path == folder / "text_classifier.keras"
    start = make_classifier()
    start.compile(metrics=["accuracy"])
    assert found.scores["loss"] < start.evaluate(TEXTS, LABELS, verbose=0)[0] * 0.9 and found.scores["accuracy"] > 0.9
    assert_equal_weights(weights_of(keras.saving.load_model(found.path)), weights_of(found.model))
    assert not (folder / "checkpoints").exists()
    record = record_of(folder)
    assert record["scores"] == {"dev": found.scores} and record["best_step"] == found.best_step
    assert record["select_by"] == "loss" and record["flags"]["epochs"] == 4


def test_scores_are_those_that_keras_computes(whole):
    found = whole[1]
    found.model.compile(metrics=["accuracy"])
    loss, accuracy = found.model.evaluate(TEXTS, LABELS, verbose=0)
    assert (loss, accuracy) == (pytest.approx(found.scores["loss"], rel=1e-4), pytest.approx(found.scores["accuracy"]))


def test_curves_are_written_and_a_terminal_shows_a_bar(make_classifier, tmp_path, read_events, terminal):
    stream = terminal()
    found = fine_tune(make_classifier(), DATA, DATA, tmp_path, log_every=5, **QUICK)
    assert f"{STEPS}/{STEPS}" in stream.getvalue()
    dev, train = read_events(tmp_path / "dev"), read_events(tmp_path / "train")
    assert list(dev["loss"]) == list(dev["accuracy"]) == [3, 6, 9, 12] and min(dev["loss"].values()) == pytest.approx(
        found.scores["loss"]
    )
    assert list(train["optimization/loss"]) == [5, 10, 12]


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        ({"labels": ["joy", "fear"], "problem_type": "multi_label"}, [["joy"], ["fear", "joy"]] * 10),
        ({"labels": []}, [i % 2 - 0.5 for i in range(20)]),
    ],
    ids=["multi_label", "regression"],
)
def test_other_kinds_of_classifiers_learn(make_classifier, tmp_path, settings, labels):
    model = make_classifier(**settings)
    model.compile()
    before = model.evaluate(TEXTS, labels, verbose=0)
    before = before[0] if isinstance(before, list) else before
    found = fine_tune(model, (TEXTS, labels), (TEXTS, labels), tmp_path, **QUICK)
    assert list(found.scores) == ["loss"] and found.scores["loss"] < 0.9 * before


def test_a_question_answerer_learns_from_raw_examples(make_encoder, tmp_path):
    reader = SpanBertQuestionAnswerer(make_encoder(dropout=0.0), stride=4, max_question_pieces=6)
    contexts = [f"w1 w2 w{3 + i} w20 w21" for i in range(12)]
    examples = {
        "question": ["w20 w1"] * 12,
        "context": contexts,
        "answer_text": [f"w{3 + i}" for i in range(12)],
        "answer_start": [6] * 12,
    }
    reader.compile()
    before = reader.evaluate(examples, verbose=0)
    found = fine_tune(reader, examples, examples, tmp_path, **QUICK)
    assert found.path.name == "question_answerer.keras" and found.scores["loss"] < before / 2
    assert reader.answer("w20 w1", contexts[4]).text == "w7"


@pytest.mark.parametrize("task", fit_oracle.TASKS)
def test_every_model_learns_from_rows_that_are_given_and_scores_as_plain_keras_does(task, tmp_path):
    """Two batches, the second one filled up: the loss is that of the eight rows."""
    case = fit_oracle.make_case(task)
    model, weights = case.ours, np.float32([1, 2, 0.5, 1, 0, 1, 3, 1])
    rows = ArrayRows(case.x, case.targets, weights)

    def loss_now():
        model.compile()
        values = model.evaluate(case.x, case.targets, sample_weight=weights, batch_size=8, verbose=0)
        return values[0] if isinstance(values, list) else values

    before = loss_now()
    found = fine_tune(model, rows, rows, tmp_path, epochs=6, batch_size=5, learning_rate=0.01)
    assert found.scores["loss"] == pytest.approx(loss_now(), rel=1e-5) and found.scores["loss"] < before
    assert found.steps == 12


def test_without_validation_the_last_model_is_kept(make_classifier, tmp_path):
    found = fine_tune(make_classifier(), DATA, output_dir=tmp_path, epochs=1, **QUICK)
    assert found.scores == {} and found.best_step == found.steps == 3
    assert_equal_weights(weights_of(keras.saving.load_model(found.path)), weights_of(found.model))


# --- the best model


def scripted(values, seen=None):
    """Returns an `evaluate` whose scores are `values`, then the last one; `seen` gets the weights of each call."""
    calls = iter(values)
    last = values[-1]
    seen = [] if seen is None else seen

    def evaluate(model):
        seen.append(weights_of(model))
        return {"f1": next(calls, last), "exact": 0.0}

    return evaluate


def test_the_best_weights_by_the_first_score_are_left_in_the_model(make_classifier, tmp_path, eagerly):
    seen = []
    model = make_classifier()
    found = fine_tune(model, DATA, output_dir=tmp_path, evaluate=scripted([1, 9, 2, 3, 7], seen), **QUICK)
    assert found.best_step == 6 and found.steps == STEPS and found.model is model
    assert_equal_weights(seen[1], weights_of(model))
    assert_equal_weights(seen[1], weights_of(keras.saving.load_model(found.path)))
    assert not all(np.array_equal(a, b) for a, b in zip(seen[1], seen[3], strict=True))


def test_select_by_names_a_score_and_the_lowest_loss_is_the_best(make_classifier, tmp_path, eagerly):
    evaluate = scripted([1, 9, 2, 3, 7])
    found = fine_tune(make_classifier(), DATA, DATA, tmp_path, evaluate=evaluate, select_by="loss", **QUICK)
    assert list(found.scores) == ["loss", "accuracy", "f1", "exact"] and record_of(tmp_path)["select_by"] == "loss"
    with pytest.raises(InputError, match="`select_by` must be the name of a score. Expected: one of loss, accuracy"):
        fine_tune(make_classifier(), DATA, DATA, tmp_path / "other", select_by="f2", **QUICK)


def test_patience_ends_training(make_classifier, tmp_path, eagerly):
    evaluate = scripted([1, 9, 2, 3, 7])
    found = fine_tune(make_classifier(), DATA, output_dir=tmp_path, evaluate=evaluate, patience=1, **QUICK)
    assert (found.best_step, found.steps) == (6, 9)


# --- the model that was given


def test_nothing_but_the_weights_of_a_given_model_changes(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer=optimizer, metrics=["accuracy"])
    config, policy, other = model.get_config(), keras.mixed_precision.dtype_policy(), keras.layers.Dense(1)
    first = fine_tune(model, DATA, DATA, tmp_path / "a", epochs=1, **QUICK)
    assert model.get_config() == config and keras.mixed_precision.dtype_policy() is policy
    assert model.optimizer is optimizer and keras.layers.Dense(1).name != other.name  # the session was not cleared
    assert model.classify("w1 w2").label in ("no", "yes")
    model.fit(TEXTS, LABELS, epochs=1, verbose=0)
    model.save(tmp_path / "own.keras")
    assert_equal_weights(weights_of(keras.saving.load_model(tmp_path / "own.keras")), weights_of(model))
    again = fine_tune(model, DATA, DATA, tmp_path / "b", epochs=1, **QUICK)
    assert again.scores["loss"] < first.scores["loss"]


def test_frozen_layers_stay_as_they_are(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    model.encoder.trainable = False
    before, head = weights_of(model.encoder), weights_of(model.head)
    fine_tune(model, DATA, output_dir=tmp_path, epochs=1, **QUICK)
    assert_equal_weights(before, weights_of(model.encoder))
    assert any((a != b).any() for a, b in zip(head, weights_of(model.head), strict=True))


def test_the_models_own_precision_is_used(toy_tokenizer, tmp_path, read_events):
    encoder = SpanBertEncoder(64, 1, 2, 16, 24, max_sequence_length=24, tokenizer=toy_tokenizer, dtype="mixed_float16")
    model = SpanBertTextClassifier(encoder, labels=["no", "yes"])
    fine_tune(model, DATA, output_dir=tmp_path, epochs=1, log_every=1, **QUICK)
    assert min(read_events(tmp_path / "train")["optimization/loss_scale"].values()) > 1
    assert keras.mixed_precision.dtype_policy().name == "float32"


# --- seeds, weights and learning rates


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(make_classifier, whole, tmp_path):
    """The second model of a process has other automatic names than the first."""
    same = fine_tune(make_classifier(), DATA, DATA, tmp_path / "same", **QUICK)
    assert_equal_weights(weights_of(same.model), weights_of(whole[1].model))
    other = fine_tune(make_classifier(), DATA, DATA, tmp_path / "other", seed=7, **QUICK)
    assert any((a != b).any() for a, b in zip(weights_of(other.model), weights_of(whole[1].model), strict=True))


def test_a_function_makes_the_model_after_the_seed_is_set(toy_tokenizer, tmp_path, eagerly):
    def make():
        encoder = SpanBertEncoder(64, 1, 2, 16, 24, max_sequence_length=24, tokenizer=toy_tokenizer)
        return SpanBertTextClassifier(encoder, labels=["no", "yes"])

    runs = [fine_tune(make, DATA, output_dir=tmp_path / name, epochs=1, **QUICK) for name in "ab"]
    assert_equal_weights(*(weights_of(run.model) for run in runs))
    assert runs[0].model is not runs[1].model


def test_rows_of_weight_0_are_not_learned_from(make_classifier, tmp_path, eagerly):
    weights = np.float32([i % 3 != 0 for i in range(20)])
    wrong = [label if weight else "no" for label, weight in zip(LABELS, weights, strict=True)]
    found = [
        fine_tune(make_classifier(), (TEXTS, labels, weights), output_dir=tmp_path / name, epochs=1, **QUICK).model
        for name, labels in (("right", LABELS), ("wrong", wrong))
    ]
    for a, b in zip(weights_of(found[0]), weights_of(found[1]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_logged_loss_is_the_weighted_sum_divided_by_the_rows(make_classifier, tmp_path, read_events):
    model, weights = make_classifier(dropout=0.0), np.linspace(0, 3, 20).astype("float32")
    model = SpanBertTextClassifier(model.encoder, labels=["no", "yes"], dropout=0.0)
    logits = np.stack([np.log(list(one.scores.values())) for one in model.classify(TEXTS)])
    losses = -logits[np.arange(20), [("no", "yes").index(label) for label in LABELS]]
    data = (TEXTS, LABELS, weights)
    fine_tune(model, data, output_dir=tmp_path, epochs=1, batch_size=20, log_every=1)
    logged = read_events(tmp_path / "train")["optimization/loss"][1]
    assert float(logged) == pytest.approx((losses * weights).sum() / 20, rel=1e-4)


def test_the_task_learning_rate_is_that_of_all_layers_but_the_encoder(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    before = weights_of(model.encoder), weights_of(model.head)
    settings = QUICK | {"learning_rate": 1e-12, "epochs": 1}
    fine_tune(model, DATA, output_dir=tmp_path, task_learning_rate=0.1, **settings)
    moved = [
        max(np.abs(a - b).max() for a, b in zip(old, weights_of(layer), strict=True) if a.dtype == np.float32)
        for old, layer in zip(before, (model.encoder, model.head), strict=True)
    ]
    assert moved[0] < 1e-6 < 0.05 < moved[1]


# --- runs that are stopped


class Broken(Exception):
    """What ends a run at once."""


@pytest.mark.parametrize("number", [1, 3])
def test_a_run_that_broke_in_an_evaluation_continues_exactly(make_classifier, tmp_path, number, eagerly):
    """And the given model is as it was before: without a checkpoint the next call starts with it."""

    def score(model):
        logits = np.log(list(model.classify(TEXTS[3]).scores.values()))
        return {"score": float(logits[1])}

    calls = []

    def broken(model):
        calls.append(0)
        if len(calls) == number:
            raise Broken
        return score(model)

    whole = fine_tune(make_classifier(), DATA, output_dir=tmp_path / "whole", evaluate=score, **QUICK)
    model, folder = make_classifier(), tmp_path / "broken"
    before = weights_of(model)
    with pytest.raises(Broken):
        fine_tune(model, DATA, output_dir=folder, evaluate=broken, **QUICK)
    assert_equal_weights(before, weights_of(model))
    again = fine_tune(model, DATA, output_dir=folder, evaluate=score, **QUICK)
    assert_equal_weights(weights_of(whole.model), weights_of(model))
    assert (again.scores, again.best_step) == (whole.scores, whole.best_step)


@pytest.mark.parametrize(
    ("number", "error", "code"), [(signal.SIGINT, KeyboardInterrupt, None), (signal.SIGTERM, SystemExit, 75)]
)
def test_a_signal_leaves_a_checkpoint_and_raises(make_classifier, whole, tmp_path, monkeypatch, number, error, code):
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patched, pytest.raises(error) as stopped:
        patched.setattr(FineTuningMonitor, "on_step", lambda self, done: done == 4 and os.kill(os.getpid(), number))
        fine_tune(make_classifier(), DATA, DATA, tmp_path, **QUICK)
    assert code is None or stopped.value.code == code
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert Checkpoints(tmp_path / "checkpoints").steps()[-1] == 4
    found = fine_tune(make_classifier(), DATA, DATA, tmp_path, **QUICK)
    assert_equal_weights(weights_of(found.model), weights_of(whole[1].model))
    assert found.scores == whole[1].scores


def test_a_finished_run_is_not_repeated_and_its_weights_are_loaded(make_classifier, whole, monkeypatch):
    folder, found = whole
    monkeypatch.setattr(FineTuningRun, "run", lambda self: pytest.fail("it trains"))
    model = make_classifier(seed=9)
    again = fine_tune(model, DATA, DATA, folder, **QUICK)
    assert_equal_weights(weights_of(model), weights_of(found.model))
    assert (again.scores, again.best_step, again.steps) == (found.scores, found.best_step, found.steps)


def test_another_run_in_the_same_folder_is_an_error_that_names_arguments(make_classifier, whole):
    folder = whole[0]
    reversed_labels = (TEXTS, LABELS[::-1])
    for name, arguments in {
        "train": ((TEXTS[::-1], LABELS[::-1]), DATA),
        "validation": (DATA, reversed_labels),
    }.items():
        with pytest.raises(InputError, match=f"holds another run: {name} was .* Give another output_dir, or"):
            fine_tune(make_classifier(), *arguments, folder, **QUICK)
    with pytest.raises(InputError, match="holds another run: train was "):
        fine_tune(make_classifier(), (*DATA, [0.5] * 20), DATA, folder, **QUICK)
    with pytest.raises(InputError, match="holds another run: model was "):
        fine_tune(make_classifier(dropout=0.2), DATA, DATA, folder, **QUICK)
    with pytest.raises(InputError, match=r"holds another run: learning_rate was 0\.02 there and is 0\.01 now"):
        fine_tune(make_classifier(), DATA, DATA, folder, **(QUICK | {"learning_rate": 0.01}))
    fine_tune(make_classifier(), DATA, DATA, folder, **(QUICK | {"log_every": 3}))  # may change


def test_it_trains_in_another_thread(make_classifier, whole, tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(fine_tune(make_classifier(), DATA, DATA, tmp_path, **QUICK)))
    thread.start()
    thread.join()
    assert_equal_weights(weights_of(found[0].model), weights_of(whole[1].model))


PROGRAM = """
import json, os, sys
import keras
import numpy as np
from spanbert_keras import SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer, fine_tune
from spanbert_keras.training.backend import make_distribution
from tests.fine_tuning.fine_tune_test import DATA, QUICK, TEXTS, weights_of

pieces, folder, kill_at, distribution = json.loads(sys.argv[1])
calls = []


def make():
    encoder = SpanBertEncoder(64, 1, 2, 16, 24, max_sequence_length=24, tokenizer=SpanBertTokenizer(pieces))
    return SpanBertTextClassifier(encoder, labels=["no", "yes"])


def evaluate(model):
    calls.append(0)
    if len(calls) == kill_at:
        os._exit(9)
    return {"yes": model.classify(TEXTS[1]).scores["yes"]}


shared = {} if distribution == "none" else {"distribution": distribution, "replicas": 2}
found = fine_tune(make, DATA, DATA, folder, evaluate=evaluate, **QUICK, **shared)
np.savez(folder + "/weights.npz", *weights_of(found.model))
print(json.dumps([found.best_step, found.scores]))
"""


@pytest.fixture
def in_process(root, toy_pieces, tmp_path):
    """Function that fine-tunes in a process of its own; returns its exit code, results and weights."""

    def run(name, kill_at=0, distribution="none"):
        folder = tmp_path / name
        argument = json.dumps([toy_pieces, str(folder), kill_at, distribution])
        command = [sys.executable, "-c", PROGRAM, argument]
        done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True)
        if done.returncode:
            return done.returncode, done.stderr, []
        with np.load(folder / "weights.npz") as arrays:
            return 0, json.loads(done.stdout.splitlines()[-1]), [arrays[name] for name in arrays.files]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [1, 3])
def test_a_process_that_was_killed_is_continued_by_another_one(in_process, kill_at):
    _, results, weights = in_process("whole")
    assert in_process("killed", kill_at)[0] == 9
    code, found, found_weights = in_process("killed")
    assert (code, found) == (0, results)
    assert_equal_weights(weights, found_weights)


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="several devices are for TensorFlow and JAX")
def test_a_model_that_a_function_makes_is_trained_on_several_devices(in_process, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    code, (_, scores), _ = in_process("mirrored", distribution="mirrored")
    assert code == 0 and scores["loss"] < 0.5


# --- what cannot be used


def test_what_cannot_be_used_is_named(make_classifier, tmp_path, eagerly):
    model = make_classifier()
    before = weights_of(model)

    def error(*arguments, kind=InputError, **settings):
        with pytest.raises(kind) as found:
            fine_tune(*arguments, output_dir=tmp_path, **settings)
        return str(found.value)

    assert error(model, DATA, learning_rate=-1.0) == "learning_rate must be positive. Received: -1.0."
    assert "batch_size=6 must be a multiple of 4" in error(model, DATA, batch_size=6, accumulation_steps=4)
    assert "`patience` and `select_by` need scores" in error(model, DATA, patience=2)
    assert "Expected: (x, y). Received: only x." in error(model, TEXTS)
    assert "`train` must have at least one example" in error(model, ([], []))
    assert "Expected: a function that makes the model" in error(model, DATA, distribution="mirrored")
    plain = make_classifier(preprocessor=None)
    assert 'Set `model.preprocessor = "auto"`' in error(plain, DATA, kind=ValueError)
    assert "model.fit` takes datasets" in error(model, _Dataset())
    assert_equal_weights(before, weights_of(model))


class _Dataset(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, number):
        return DATA


def test_a_loss_that_is_not_finite_is_an_error_and_the_model_is_as_before(make_classifier, tmp_path, eagerly):
    model = make_classifier(labels=[])
    before = weights_of(model)
    with pytest.raises(InputError, match="lower learning_rate or raise warmup_ratio"):
        fine_tune(model, (TEXTS, [float("nan")] * 20), output_dir=tmp_path, **QUICK)
    assert_equal_weights(before, weights_of(model))
