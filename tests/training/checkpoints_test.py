"""Tests of checkpoints: whole or absent, the same on every backend, refused when they do not fit."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

from spanbert_keras.errors import InputError
from spanbert_keras.training.checkpoints import FILE_NAME, Checkpoints
from spanbert_keras.training.objective import target_counts

OTHER_BACKEND = {"tensorflow": "jax", "jax": "torch", "torch": "tensorflow"}
STATE = {"scale": 8.0, "scale_steps": 3, "seed": [1, 2]}


def values_of(step):
    variables = [*step.model.weights, *step.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]


@pytest.fixture
def trained(make_training_step, batch, seeds_of):
    """A step after two updates."""
    step = make_training_step(dropout=0.1)
    for _ in range(2):
        step.train(batch, target_counts(batch), seeds_of(step), 1.0, 0)
    return step


def save(folder, step, number=2, keep=2):
    Checkpoints(folder, keep).save(number, step.model, step.optimizer, STATE)
    return folder / f"step_{number:08d}" / FILE_NAME


def restore(folder, step, number=None):
    return Checkpoints(folder).restore(step.model, step.optimizer, number)


def test_everything_comes_back_in_another_model(trained, make_training_step, tmp_path):
    save(tmp_path, trained)
    fresh = make_training_step(dropout=0.1, seed=9)
    assert any((a != b).any() for a, b in zip(values_of(trained), values_of(fresh), strict=True))
    assert restore(tmp_path, fresh) == {"step": 2, **STATE}
    for one, two in zip(values_of(trained), values_of(fresh), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def test_every_variable_is_stored_under_a_name_of_its_own(trained, tmp_path):
    stored = safetensors.numpy.load_file(save(tmp_path, trained))
    assert len(stored) == len(values_of(trained))


def test_the_next_step_is_what_it_would_have_been(trained, make_training_step, batch, seeds_of, tmp_path):
    save(tmp_path, trained)
    fresh = make_training_step(dropout=0.1)
    restore(tmp_path, fresh)
    for step in (trained, fresh):
        step.train(batch, target_counts(batch), seeds_of(step, 5), 1.0, 0)
    for one, two in zip(values_of(trained), values_of(fresh), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_a_checkpoint_there_is_nothing_to_restore(trained, tmp_path):
    assert restore(tmp_path / "none", trained) is None
    assert Checkpoints(tmp_path).steps() == []


def test_the_last_are_kept_and_any_of_them_can_be_asked_for(trained, tmp_path):
    (tmp_path / "notes").mkdir()
    for number in (1, 5, 30):
        save(tmp_path, trained, number)
    assert Checkpoints(tmp_path).steps() == [5, 30]
    assert restore(tmp_path, trained)["step"] == 30
    assert restore(tmp_path, trained, 5)["step"] == 5
    assert (tmp_path / "notes").is_dir()


def test_a_write_that_fails_leaves_the_old_checkpoints(trained, tmp_path, monkeypatch):
    save(tmp_path, trained, 1)
    save(tmp_path, trained, 2)

    def failing(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(safetensors.numpy, "save_file", failing)
    for number in (2, 3):
        with pytest.raises(OSError, match="no space"):
            save(tmp_path, trained, number)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step_00000001", "step_00000002"]
    assert restore(tmp_path, trained)["step"] == 2


def test_a_damaged_file_is_named_and_changes_no_weight(trained, tmp_path):
    path = save(tmp_path, trained)
    content, before = path.read_bytes(), values_of(trained)
    for damaged in (b"", content[:5], content[:300], content[:-1], content + b"x", b"\xff" * 100):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="step_00000002"):
            restore(tmp_path, trained)
    path.unlink()
    with pytest.raises(InputError, match="step_00000002"):
        restore(tmp_path, trained)
    assert all((a == b).all() for a, b in zip(before, values_of(trained), strict=True))


def test_a_damaged_header_is_refused_or_harmless(trained, tmp_path):
    path = save(tmp_path, trained)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    refused = 0
    for place in np.random.default_rng(0).integers(0, 8 + length, 60).tolist():
        path.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place + 1 :])
        try:
            restore(tmp_path, trained)
        except InputError as error:
            assert "step_00000002" in str(error)
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("metadata", [None, {}, {"state": "{"}, {"state": "[]"}, {"state": json.dumps({"scale": 1.0})}])
def test_a_file_without_state_is_refused(trained, tmp_path, metadata):
    path = save(tmp_path, trained)
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path, metadata=metadata)
    with pytest.raises(InputError, match="step_00000002"):
        restore(tmp_path, trained)


def test_a_checkpoint_of_another_model_is_refused(trained, make_training_step, tmp_path):
    path = save(tmp_path, trained)
    deeper = make_training_step(num_layers=2)
    with pytest.raises(InputError, match="another model"):
        restore(tmp_path, deeper)
    arrays = safetensors.numpy.load_file(path)
    name = next(name for name in arrays if name.startswith("model/"))
    arrays[name] = arrays[name][..., :-1].copy()
    safetensors.numpy.save_file(arrays, path, metadata={"state": json.dumps({"step": 2, **STATE})})
    with pytest.raises(InputError, match="shape"):
        restore(tmp_path, trained)


SCRIPT = """
import sys, keras, numpy as np
import spanbert_keras
from spanbert_keras.training.checkpoints import Checkpoints
from spanbert_keras.training.optimizers import make_adamw
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
Checkpoints(sys.argv[1]).save(7, model, optimizer, {"scale": 1.0, "scale_steps": 0})
batch = dict(np.load(sys.argv[2]))
outputs = model({key: batch[key] for key in model.input_keys}, training=False)
np.savez(sys.argv[3], **{k: np.asarray(keras.ops.convert_to_numpy(v)) for k, v in outputs.items()})
"""


def test_a_checkpoint_of_another_backend_is_the_same_model(make_training_step, batch, tmp_path, root):
    other = OTHER_BACKEND[keras.backend.backend()]
    if importlib.util.find_spec(other) is None:
        pytest.skip(f"{other} is not installed")
    np.savez(tmp_path / "batch.npz", **batch)
    command = [sys.executable, "-c", SCRIPT, tmp_path / "checkpoints", tmp_path / "batch.npz", tmp_path / "outputs.npz"]
    done = subprocess.run(command, cwd=root, env=os.environ | {"KERAS_BACKEND": other}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    step = make_training_step(dropout=0.1)
    assert restore(tmp_path / "checkpoints", step)["step"] == 7
    assert int(keras.ops.convert_to_numpy(step.optimizer.iterations.value)) == 7
    outputs = step.model({key: batch[key] for key in step.model.input_keys}, training=False)
    expected = np.load(tmp_path / "outputs.npz")
    for name, value in outputs.items():
        np.testing.assert_allclose(keras.ops.convert_to_numpy(value), expected[name], atol=1e-4)
