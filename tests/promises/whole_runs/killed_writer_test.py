"""Tests of checkpoints with other processes: one of another backend, and ones that are killed."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import spanbert_keras
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.steps.optimizers import make_adamw

OTHER_BACKEND = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}

SCRIPT = """
import sys, keras, numpy as np
import spanbert_keras
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.steps.optimizers import make_adamw
encoder = spanbert_keras.SpanBertEncoder(
    vocabulary_size=64, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=24, max_sequence_length=24
)
model = spanbert_keras.SpanBertPretrainer(encoder, max_span_positions=4, position_dim=6)
optimizer = make_adamw(model.trainable_variables, 1e-2)
for i, variable in enumerate(model.trainable_variables + optimizer.variables):
    if "float" in str(variable.dtype):
        size = int(np.prod(variable.shape))
        variable.assign(0.1 * np.sin(np.arange(size) + i).reshape(variable.shape))
optimizer.iterations.assign(7)
Checkpoints(sys.argv[1]).save(7, model, optimizer, {"scale": 1.0, "scale_steps": 0}, wait=True)
batch = dict(np.load(sys.argv[2]))
outputs = model({key: batch[key] for key in model.input_keys}, training=False)
np.savez(sys.argv[3], **{k: np.asarray(keras.ops.convert_to_numpy(v)) for k, v in outputs.items()})
"""


@pytest.fixture
def batch():
    """A batch of random pieces, 2 rows of 24 with 4 masked."""
    random = np.random.default_rng(3)
    positions = np.tile([2, 7, 11, 20], (2, 1))
    values = {
        "token_ids": random.integers(5, 64, (2, 24)),
        "segment_ids": np.zeros((2, 24)),
        "padding_mask": np.ones((2, 24)),
        "mask_positions": positions,
        "left_positions": positions - 1,
        "right_positions": positions + 1,
        "span_offsets": random.integers(0, 4, (2, 4)),
    }
    return {name: value.astype("int32") for name, value in values.items()}


@pytest.mark.slow
def test_a_checkpoint_of_another_backend_is_the_same_model(batch, tmp_path, root):
    other = OTHER_BACKEND[keras.backend.backend()]
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    np.savez(tmp_path / "batch.npz", **batch)
    command = [sys.executable, "-c", SCRIPT, tmp_path / "checkpoints", tmp_path / "batch.npz", tmp_path / "outputs.npz"]
    done = subprocess.run(command, cwd=root, env=os.environ | {"KERAS_BACKEND": other}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    encoder = spanbert_keras.SpanBertEncoder(
        vocabulary_size=64, num_layers=1, num_heads=2, hidden_dim=16, intermediate_dim=24, max_sequence_length=24
    )
    model = spanbert_keras.SpanBertPretrainer(encoder, max_span_positions=4, position_dim=6)
    optimizer = make_adamw(model.trainable_variables, 1e-2)
    assert Checkpoints(tmp_path / "checkpoints").restore(model, optimizer)["step"] == 7
    assert int(keras.ops.convert_to_numpy(optimizer.iterations.value)) == 7
    outputs = model({key: batch[key] for key in model.input_keys}, training=False)
    expected = np.load(tmp_path / "outputs.npz")
    for name, value in outputs.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(value), expected[name], atol=1e-4)


KILLED = """
import os, random, signal, sys, time
import numpy as np
from pathlib import Path
from spanbert_keras.training.run.checkpoints import Checkpoints

class Variable:
    path = "v"
    def __init__(self, value):
        self.value = np.full(300_000, value, "float32")
        self.shape = self.value.shape
    def assign(self, value):
        self.value = np.array(value)

class Holder:
    def __init__(self, value):
        self.weights, self.variables = [Variable(value)], [Variable(-value)]

folder, left, reached = Path(sys.argv[1]), 0, 0
for _ in range(3):
    began = time.perf_counter()
    Checkpoints(folder).save(0, Holder(0), Holder(0), {}, wait=True)
took = time.perf_counter() - began
for kill in range(20):
    child = os.fork()
    if not child:
        checkpoints = Checkpoints(folder)
        for step in range(reached, reached + 1000):
            for _ in range(2):  # the second replaces the first
                checkpoints.save(step, Holder(step), Holder(step), {"a": step}, wait=True)
        os._exit(1)
    if kill % 2:  # every other one gets on, however busy the machine is
        end = time.monotonic() + 30
        while not (folder / f"step_{reached + 1:08d}").exists() and time.monotonic() < end:
            time.sleep(took / 20)
    time.sleep(random.Random(kill).uniform(0.2, 3) * took)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    left += any(p.name.startswith(".") for p in folder.iterdir())
    checkpoints = Checkpoints(folder)
    checkpoints.clean()
    assert all(p.name.startswith("step_") for p in folder.iterdir())
    model, optimizer = Holder(-1), Holder(-1)
    found = checkpoints.restore(model, optimizer)
    step = checkpoints.steps()[-1]
    assert found["step"] == step >= reached, (found, step, reached)  # the newest is good, and none was lost
    assert (model.weights[0].value == step).all() and (optimizer.variables[0].value == -step).all()
    reached = step
print(left, reached)
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_newest_checkpoint_is_good(tmp_path, root):
    # One process that starts Python once and forks those that are killed.
    command = [sys.executable, "-c", KILLED, tmp_path / "checkpoints"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "cannot be used" not in done.stderr
    left, reached = map(int, done.stdout.split()[-2:])
    assert left >= 3 and reached >= 3  # it was killed while it wrote, and got on
