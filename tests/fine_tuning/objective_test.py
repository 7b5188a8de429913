"""Tests of a task model's objective: a mean over examples that parts, steps and replicas share."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from spanbert_keras.fine_tuning.objective import ExampleObjective
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.steps.objective import StepSettings, batch_keys, seed_generators, target_counts

B, T = 8, 5


def make_batch(seed=0):
    """Returns a batch whose rows 2 and 7 only fill it up."""
    random = np.random.default_rng(seed)
    weights = np.ones(B, np.float32)
    weights[[2, 7]] = 0
    return {
        "token_ids": random.integers(5, 64, (B, T)).astype(np.int32),
        "padding_mask": (np.arange(T) < random.integers(1, T + 1, (B, 1))).astype(np.int32),
        "labels": random.integers(0, 2, B).astype(np.int32),
        "example_weights": weights,
    }


def tensors(batch, rows=slice(None)):
    """Returns some rows of a batch as a step's function gets them."""
    return {key: keras.ops.convert_to_tensor(value[rows]) for key, value in batch.items()}


@pytest.fixture
def make_toy(toy_task, toy_settings):
    """Function that makes the toy model with weights of a seed, without dropout."""

    def make(seed=3):
        keras.utils.set_random_seed(seed)
        return toy_task(toy_settings(output_dir="none", dropout=0.0), []).make_model()

    return make


def update(make_toy, batch, **settings):
    """Returns the results of a training step by plain gradient descent, and how far the weights moved."""
    model = make_toy()
    before = [np.array(keras.ops.convert_to_numpy(v.value)) for v in model.trainable_variables]
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    objective = ExampleObjective(model)
    step = make_step(model, optimizer, StepSettings(objective=objective, clip_norm=None, **settings))
    seeds = np.zeros((1, 1, step.settings.accumulation_steps, len(seed_generators(model)), 2), np.uint32)
    results = step.to_numpy(step.train({key: x[None] for key, x in batch.items()}, seeds, 1.0, 0))
    after = [keras.ops.convert_to_numpy(v.value) for v in model.trainable_variables]
    return results, [a - b for a, b in zip(after, before, strict=True)]


def expected_loss(logits, batch):
    signed = np.asarray(logits, np.float64) * (1 - 2 * batch["labels"])
    return (np.logaddexp(0, signed) * batch["example_weights"]).sum() / batch["example_weights"].sum()


def test_the_loss_is_the_mean_over_the_examples_and_parts_add_up(make_toy):
    model, batch = make_toy(), make_batch()
    objective = ExampleObjective(model)
    assert batch_keys(model, objective) == ("token_ids", "padding_mask", "labels", "example_weights")
    logits = np.random.default_rng(5).normal(size=(B, 1)).astype(np.float32)
    counts = target_counts(batch, objective)
    assert counts.tolist() == [6]

    def loss_of(rows):
        part = tensors(batch, rows)
        scores = objective.score({"logits": keras.ops.convert_to_tensor(logits[rows])}, part)
        assert tuple(scores["losses"].shape) == (part["labels"].shape[0],)
        return float(objective.loss(scores, part, counts))

    whole = loss_of(slice(None))
    assert whole == pytest.approx(expected_loss(logits[:, 0], batch), rel=1e-6)
    assert sum(loss_of(rows) for rows in (slice(0, 3), slice(3, 4), slice(4, 8))) == pytest.approx(whole, rel=1e-6)


def test_a_part_without_examples_has_loss_0(make_toy):
    objective, batch = ExampleObjective(make_toy()), make_batch() | {"example_weights": np.zeros(B, np.float32)}
    part = tensors(batch)
    scores = objective.score({"logits": keras.ops.ones((B, 1))}, part)
    assert float(objective.loss(scores, part, target_counts(batch, objective))) == 0.0


def test_predictions_are_the_models_outputs_in_float32(make_toy):
    model = make_toy()
    objective, batch = ExampleObjective(model), make_batch()
    found = objective.predict({"logits": keras.ops.cast(keras.ops.ones((B, 1)), "float16")}, batch)
    assert set(found) == {"logits"} and keras.backend.standardize_dtype(found["logits"].dtype) == "float32"
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer, StepSettings(objective=objective))
    inputs = {key: batch[key] for key in model.input_keys}  # no targets
    logits = step.to_numpy(step.evaluate(inputs))["logits"]
    np.testing.assert_allclose(logits, keras.ops.convert_to_numpy(model(inputs)["logits"]), atol=1e-6)


def test_rows_of_weight_0_change_nothing(make_toy):
    batch = make_batch()
    results, moved = update(make_toy, batch)
    logits = keras.ops.convert_to_numpy(
        make_toy()({key: batch[key] for key in ("token_ids", "padding_mask")})["logits"]
    )
    assert results["loss"][0] == pytest.approx(expected_loss(logits[:, 0], batch), rel=1e-5)
    assert results["losses"].shape == (1, B)
    other = {key: value.copy() for key, value in batch.items()}
    other["token_ids"][[2, 7]], other["labels"][[2, 7]] = 6, 1 - other["labels"][[2, 7]]
    results_of_other, moved_by_other = update(make_toy, other)
    assert results_of_other["loss"] == pytest.approx(results["loss"], rel=1e-6)
    assert max(np.abs(a).max() for a in moved) > 1e-3
    for a, b in zip(moved, moved_by_other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_gives_the_same_update(make_toy, parts):
    """The parts have 3 and 3, or 2, 1, 2 and 1 examples."""
    batch = make_batch()
    results, moved = update(make_toy, batch)
    in_parts, moved_in_parts = update(make_toy, batch, accumulation_steps=parts)
    assert in_parts["loss"] == pytest.approx(results["loss"], rel=1e-5)
    np.testing.assert_allclose(in_parts["losses"], results["losses"], rtol=1e-5)
    for a, b in zip(moved, moved_in_parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


# Logical devices are made once a process.
PROGRAM = """
import json, sys
import keras
import numpy as np
import tensorflow as tf
from spanbert_keras.models.encoder import SpanBertEncoder
from spanbert_keras.models.question_answerer import SpanBertQuestionAnswerer
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.training.backend import make_distribution, make_step
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.fine_tuning.objective import ExampleObjective
from spanbert_keras.training.steps.objective import StepSettings

tf.config.set_visible_devices([], "GPU")
mirrored = make_distribution("mirrored", 2)
random = np.random.default_rng(0)
batch = {
    "token_ids": random.integers(5, 64, (8, 10)), "segment_ids": np.zeros((8, 10)), "padding_mask": np.ones((8, 10)),
    "start_positions": random.integers(0, 5, (8, 1)), "end_positions": random.integers(5, 10, (8, 1)),
}
batch = {key: x.astype(np.int32) for key, x in batch.items()}
batch |= {"answer_weights": np.ones((8, 1), np.float32), "example_weights": np.float32([1, 1, 1, 1, 1, 0, 0, 0])}


def train(distribution, parts=1):
    with distribution.scope():
        keras.utils.set_random_seed(3)
        encoder = SpanBertEncoder(
            vocabulary_size=64, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=24, dropout=0.0,
            max_sequence_length=24, tokenizer=SpanBertTokenizer(json.loads(sys.argv[1])),
        )
        model = SpanBertQuestionAnswerer(encoder, stride=4, max_question_pieces=8)
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
        settings = StepSettings(objective=ExampleObjective(model), clip_norm=0.1, accumulation_steps=parts)
        step = make_step(model, optimizer, settings, distribution)
    seeds = np.zeros((1, distribution.local_replicas, parts, 0, 2), np.uint32)
    results = step.to_numpy(step.train({key: x[None] for key, x in batch.items()}, seeds, 1.0, 0))
    logits = step.to_numpy(step.evaluate({key: batch[key] for key in model.input_keys}))["start_logits"]
    values = [results["loss"], results["losses"], results["gradient_norm"], logits]
    return [np.asarray(v, float) for v in (*values, *model.trainable_variables)]


one = train(Distribution())
found = [max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
         for other in (train(mirrored), train(mirrored, 2))]
print(json.dumps([mirrored.replicas, float(one[2][0]), *found]))
"""


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="logical processors are TensorFlow's")
def test_replicas_with_unequal_numbers_of_examples_give_the_update_of_one_device(root, toy_pieces):
    """Of eight rows one replica has four examples, the other one."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(toy_pieces)]
    done = subprocess.run(command, cwd=root, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    replicas, norm, *differences = json.loads(done.stdout.splitlines()[-1])
    assert replicas == 2 and norm > 0.1  # it is clipped
    assert max(differences) < 2e-5
