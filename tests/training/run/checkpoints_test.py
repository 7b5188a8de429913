"""Tests of checkpoints: whole or absent, and rejected if they are damaged or of another model."""

import errno
import math
import threading
import types

import keras
import numpy as np
import pytest
import safetensors.numpy
from absl import logging

from spanbert_keras.errors import InputError
from spanbert_keras.files import checkpoint_files
from spanbert_keras.files.checkpoint_files import FILE_NAME, MANIFEST
from spanbert_keras.training.run.checkpoints import Checkpoints
from spanbert_keras.training.steps.optimizers import make_adamw

STATE = {"scale": 8.0, "scale_steps": 3, "seed": [1, 2]}


def values_of(training):
    variables = [*training.model.weights, *training.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]


class Variable:
    """What `Checkpoints` needs of a variable."""

    def __init__(self, path, value):
        self.path, self.value = path, value

    @property
    def shape(self):
        return self.value.shape

    def assign(self, value):
        self.value = np.array(value, self.value.dtype)


@pytest.fixture
def variables():
    """Function that returns a model of one weight and an optimizer of two variables, all of `value`."""

    def make(value, size=500, dtype="float32", count="int64"):
        model = types.SimpleNamespace(weights=[Variable("kernel", np.full((2, 3), value, "float32"))])
        own = [Variable("m", np.full(size, value, dtype)), Variable("iterations", np.array(value, count))]
        return model, types.SimpleNamespace(variables=own)

    return make


def all_of(model, optimizer):
    return [*model.weights, *optimizer.variables]


@pytest.fixture
def slow_disk(monkeypatch):
    """Event: nothing is written until it is set."""
    event, save_file = threading.Event(), safetensors.numpy.save_file

    def slow(*arguments, **settings):
        assert event.wait(60)
        save_file(*arguments, **settings)

    monkeypatch.setattr(safetensors.numpy, "save_file", slow)
    yield event
    event.set()


@pytest.fixture
def errors(monkeypatch):
    """List of what was logged as an error."""
    messages = []
    monkeypatch.setattr(logging, "error", lambda message, *arguments: messages.append(message % arguments))
    return messages


def flip(path):
    """Changes one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.fixture
def make_training(make_model):
    """Function that returns a model with its optimizer, both as new."""

    def make(**settings):
        model = make_model(**settings)
        return types.SimpleNamespace(model=model, optimizer=make_adamw(model.trainable_variables, 1e-2))

    return make


@pytest.fixture
def trained(make_training):
    """A model and its optimizer after two updates."""
    training = make_training()
    for number in range(2):
        update(training, number)
    return training


def update(training, number):
    """Updates by gradients that are a function of `number`."""
    random = np.random.default_rng(number)
    weights = training.model.trainable_variables
    gradients = [keras.ops.convert_to_tensor(random.normal(size=v.shape).astype("float32")) for v in weights]
    training.optimizer.apply(gradients, weights)


def save(folder, training, number=2):
    Checkpoints(folder).save(number, training.model, training.optimizer, STATE, wait=True)
    return folder / f"step_{number:08d}" / FILE_NAME


def restore(folder, training):
    return Checkpoints(folder).restore(training.model, training.optimizer)


def test_everything_comes_back_in_another_model(trained, make_training, tmp_path):
    save(tmp_path, trained)
    fresh = make_training(seed=9)
    assert any((a != b).any() for a, b in zip(values_of(trained), values_of(fresh), strict=True))
    assert restore(tmp_path, fresh) == {"step": 2, **STATE}
    for one, two in zip(values_of(trained), values_of(fresh), strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(one, two)


def test_every_variable_is_stored_under_its_own_name(trained, tmp_path):
    stored = safetensors.numpy.load_file(save(tmp_path, trained))
    assert len(stored) == len(values_of(trained))


def test_the_next_update_after_a_restore_is_the_same(trained, make_training, tmp_path):
    save(tmp_path, trained)
    fresh = make_training(seed=9)
    restore(tmp_path, fresh)
    for training in (trained, fresh):
        update(training, 5)
    for one, two in zip(values_of(trained), values_of(fresh), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_a_checkpoint_there_is_nothing_to_restore(trained, tmp_path):
    assert restore(tmp_path / "none", trained) is None
    assert Checkpoints(tmp_path).steps() == []


def test_the_state_is_a_copy_and_a_value_that_is_not_json_is_rejected_at_once(variables, tmp_path):
    model, optimizer = variables(1)
    checkpoints, state = Checkpoints(tmp_path), {"names": ["a"], "pair": (1, 2)}
    checkpoints.save(1, model, optimizer, state)
    state["names"].append("b")
    assert checkpoints.restore(model, optimizer) == {"step": 1, "names": ["a"], "pair": [1, 2]}
    with pytest.raises(TypeError, match="JSON"):
        checkpoints.save(2, model, optimizer, {"a": object()})


def test_a_save_returns_before_the_file_is_in_place_with_the_values_of_its_moment(variables, slow_disk, tmp_path):
    model, optimizer = variables(1)
    checkpoints, written = Checkpoints(tmp_path), []
    checkpoints.on_written = lambda *arguments: written.append(arguments)
    checkpoints.save(4, model, optimizer, STATE)
    assert checkpoints.steps() == [] and not written
    for variable in all_of(model, optimizer):
        variable.value += 100  # in place
    slow_disk.set()
    checkpoints.wait()
    assert checkpoints.steps() == [4]
    assert [step for step, _ in written] == [4] and written[0][1] > 0
    assert checkpoints.restore(model, optimizer) == {"step": 4, **STATE}
    assert all((v.value == 1).all() for v in all_of(model, optimizer))


def test_a_save_waits_for_the_one_before_and_restoring_for_both(variables, slow_disk, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, *variables(1), STATE)
    second = threading.Thread(target=checkpoints.save, args=(2, *variables(2), STATE))
    second.start()
    second.join(0.2)
    assert second.is_alive() and checkpoints.steps() == []
    slow_disk.set()
    second.join()
    assert checkpoints.steps()[0] == 1
    assert checkpoints.restore(*variables(0))["step"] == 2


def test_a_save_can_be_waited_for(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.wait()
    checkpoints.save(1, *variables(1), STATE, wait=True)
    assert checkpoints.steps() == [1]


def test_the_newest_are_kept_and_any_of_them_can_be_asked_for(variables, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "step_00000099").write_text("no folder")
    checkpoints = Checkpoints(tmp_path)
    for number in (1, 5, 30):
        checkpoints.save(number, *variables(number), STATE, wait=True)
    assert checkpoints.steps() == [5, 30]
    model, optimizer = variables(0)
    for number in (None, 5):
        assert checkpoints.restore(model, optimizer, number)["step"] == (number or 30)
        assert all((v.value == (number or 30)).all() for v in all_of(model, optimizer))
    with pytest.raises(InputError, match=r"no checkpoint of step 1\..*5, 30"):
        checkpoints.restore(model, optimizer, 1)
    assert (tmp_path / "notes").is_dir()


def test_the_best_and_every_mth_are_kept_too(variables, tmp_path):
    scores = {1: None, 2: math.nan, 3: 0.5, 4: 0.2, 5: 0.3, 6: -math.inf, 7: 0.2, 8: 9.0, 9: None, 10: 0.4, 11: 0.9}
    checkpoints = Checkpoints(tmp_path, keep=2, keep_every=5)
    left = []
    for number, score in scores.items():
        checkpoints.save(number, *variables(number), STATE, score, wait=True)
        left.append(checkpoints.steps())
    assert left[3] == [3, 4] and left[4] == [4, 5] and left[8] == [4, 5, 8, 9]
    assert left[10] == [4, 5, 10, 11]
    checkpoints = Checkpoints(tmp_path, keep=1)  # another process knows the scores too
    checkpoints.save(12, *variables(12), STATE, 0.1, wait=True)
    assert checkpoints.steps() == [12]


def test_the_best_is_that_of_the_lowest_score_and_the_first_of_equals(variables, errors, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=9)
    assert checkpoints.best() is None and checkpoints.scores() == {}
    for number, score in {1: None, 2: 0.5, 3: -0.25, 4: math.nan, 5: -0.25, 6: 0.5}.items():
        checkpoints.save(number, *variables(number), STATE, score)  # the last is being written yet
    assert checkpoints.best() == (3, -0.25)
    assert checkpoints.scores() == Checkpoints(tmp_path).scores() == {2: 0.5, 3: -0.25, 5: -0.25, 6: 0.5}
    (tmp_path / "step_00000003" / MANIFEST).write_text("{")
    assert checkpoints.best() == (5, -0.25)
    flip(tmp_path / "step_00000005" / FILE_NAME)
    with pytest.raises(InputError):
        checkpoints.restore(*variables(0), 5)
    assert checkpoints.best() == (2, 0.5)  # 5 turned out to be damaged


def test_damaged_manifests_do_not_stop_the_removal_of_old_checkpoints(variables, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for number in (1, 2):
        checkpoints.save(number, *variables(number), STATE, wait=True)
    (tmp_path / "step_00000002" / MANIFEST).write_text("{")
    checkpoints.save(3, *variables(3), STATE, wait=True)
    assert checkpoints.steps() == [1, 2, 3]  # 1 is one of the two newest that are good
    checkpoints.save(4, *variables(4), STATE, wait=True)
    assert checkpoints.steps() == [3, 4]

    def failing(folder):
        raise OSError("no such device")

    monkeypatch.setattr(checkpoint_files, "read_manifest", failing)
    checkpoints.save(5, *variables(5), STATE, wait=True)
    assert checkpoints.steps() == [3, 4, 5]  # whether 3 is the best cannot be seen now
    monkeypatch.undo()
    monkeypatch.setattr(checkpoint_files, "remove", failing)
    checkpoints.save(6, *variables(6), STATE, wait=True)
    assert checkpoints.steps() == [3, 4, 5, 6] and checkpoints.failures == 0


def test_after_a_rollback_the_new_checkpoints_are_kept(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for number in (10, 20, 30):
        checkpoints.save(number, *variables(number), STATE, wait=True)
    flip(tmp_path / "step_00000030" / FILE_NAME)
    assert checkpoints.restore(*variables(0))["step"] == 20
    for number in (22, 24):
        checkpoints.save(number, *variables(number), STATE, wait=True)
    assert checkpoints.steps() == [22, 24, 30]


def test_a_full_disk_is_reported_and_training_continues(variables, small_disk, errors, tmp_path):
    checkpoints, written = Checkpoints(tmp_path), []
    checkpoints.on_written = lambda *arguments: written.append(arguments)
    with small_disk(300):
        checkpoints.save(1, *variables(1), STATE, wait=True)
    assert checkpoints.failures == 1 and list(tmp_path.iterdir()) == []
    checkpoints.save(2, *variables(2), STATE, wait=True)
    for limit, number in ((300, 3), (0, 3), (300, 2)):
        with small_disk(limit):
            checkpoints.save(number, *variables(number), STATE)
            checkpoints.wait()
    assert [p.name for p in tmp_path.iterdir()] == ["step_00000002"]
    assert checkpoints.failures == 4 and [step for step, _ in written] == [2]
    assert f"The checkpoint of step 1 could not be written to {tmp_path}: " in errors[0]
    assert "File too large" in errors[0] and "There is no earlier one; training continues." in errors[0]
    assert "That of step 2 is kept; training continues." in errors[1] and len(errors) == 4
    checkpoints.save(4, *variables(4), STATE, wait=True)
    assert checkpoints.restore(*variables(0))["step"] == 4


def test_a_disk_error_costs_only_the_checkpoint(variables, errors, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, *variables(1), STATE, wait=True)
    checkpoints.save(2, *variables(2), STATE, wait=True)

    def failing(self):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(Checkpoints, "steps", failing)
    checkpoints.save(3, *variables(3), STATE, wait=True)
    assert checkpoints.failures == 1
    assert errors[0].endswith(": Stale file handle. That of step 1 is kept; training continues.")


def test_an_error_in_the_background_is_raised_by_the_next_call(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)

    def defect(step, seconds):
        raise ZeroDivisionError("a defect")

    checkpoints.on_written = defect
    checkpoints.save(1, *variables(1), STATE)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        checkpoints.save(2, *variables(2), STATE)
    checkpoints.wait()
    assert checkpoints.steps() == [1] and checkpoints.failures == 0


def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(variables, errors, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=3)
    for number in (1, 2, 3):
        checkpoints.save(number, *variables(number), STATE, wait=True)
    flip(tmp_path / "step_00000003" / FILE_NAME)
    manifest = tmp_path / "step_00000002" / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-20])
    model, optimizer = variables(0)
    assert Checkpoints(tmp_path).restore(model, optimizer) == {"step": 1, **STATE}
    assert all((v.value == 1).all() for v in all_of(model, optimizer))
    assert "step_00000003 cannot be used: the checksum of state.safetensors" in errors[0]
    assert "step_00000002 cannot be used: manifest.json is damaged" in errors[1] and len(errors) == 2
    with pytest.raises(InputError, match="step_00000003 cannot be used: the checksum"):
        Checkpoints(tmp_path).restore(model, optimizer, 3)


def test_without_a_good_checkpoint_the_run_ends_and_no_weight_changes(trained, errors, tmp_path):
    path, before = save(tmp_path, trained), values_of(trained)
    flip(path)
    with pytest.raises(InputError, match="None of the 1 checkpoints in .*; that of step 2: the checksum"):
        restore(tmp_path, trained)
    assert "step_00000002" in errors[0]
    assert all((a == b).all() for a, b in zip(before, values_of(trained), strict=True))


def test_a_checkpoint_of_another_model_is_rejected(trained, make_training, errors, tmp_path):
    save(tmp_path, trained)
    deeper = make_training(num_layers=2)
    with pytest.raises(InputError, match="another model"):
        restore(tmp_path, deeper)
    assert len(errors) == 0


def test_a_model_of_other_shapes_or_precision_is_rejected_and_unchanged(variables, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, *variables(1), STATE, wait=True)
    for settings, match in (({"size": 9}, "shape"), ({"dtype": "float16"}, "float32 there and float16 here")):
        model, optimizer = variables(0, **settings)
        with pytest.raises(InputError, match=f"another model: optimizer/00000 .*{match}"):
            checkpoints.restore(model, optimizer)
        assert all((v.value == 0).all() for v in all_of(model, optimizer))
    assert checkpoints.restore(*variables(0, count="int32"))["step"] == 1  # int64 on TensorFlow, int32 on JAX
