"""Tests of runs of a given model that are stopped, finished, or of something else."""

import json
import os
import signal
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest

from spanbert_keras import fine_tune
from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.monitor import FineTuningMonitor
from spanbert_keras.fine_tuning.run import FineTuningRun
from spanbert_keras.training.run.checkpoints import Checkpoints
from tests.fine_tuning.conftest import DATA, LABELS, QUICK, TEXTS, assert_equal_weights, weights_of

BACKEND = keras.backend.backend()


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
from tests.fine_tuning.conftest import DATA, QUICK, TEXTS, weights_of

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
    """TensorFlow optimizes its graphs by the lengths that come first, which may change the last bit."""
    _, (best_step, scores), weights = in_process("whole")
    assert in_process("killed", kill_at)[0] == 9
    code, found, found_weights = in_process("killed")
    assert code == 0 and found == [best_step, pytest.approx(scores, abs=1e-6)]
    for a, b in zip(weights, found_weights, strict=True):
        if np.abs(a).max() > 1e-4:
            np.testing.assert_allclose(a, b, atol=1e-6)
        else:  # a bias of keys, whose gradient is 0: Adam makes steps of its rounding
            assert np.abs(b).max() < 1e-4


@pytest.mark.slow
@pytest.mark.skipif(BACKEND == "torch", reason="several devices are for TensorFlow and JAX")
def test_a_model_that_a_function_makes_is_trained_on_several_devices(in_process, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    code, found, _ = in_process("mirrored", distribution="mirrored")
    assert code == 0, found
    assert found[0] in (3, 6, 9, 12) and 0.4 < found[1]["loss"] < 0.8  # as on one device: 0.63
