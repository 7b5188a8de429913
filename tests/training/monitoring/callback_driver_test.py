"""Tests of Keras callbacks in a loop that is not Keras'."""

import h5py
import keras
import numpy as np
import pytest

from spanbert_keras.training.monitoring.callback_driver import CallbackDriver

RESULTS = {"loss": np.float32([4.0, 2.0]), "gradient_norm": np.float32([1.0, 2.0])}


class Recorder(keras.callbacks.Callback):
    """Notes every call."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append(("train_begin",))

    def on_train_end(self, logs=None):
        self.seen.append(("train_end", dict(logs)))

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(("epoch_begin", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(("epoch_end", epoch, dict(logs)))

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(("batch_begin", batch))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(("batch_end", batch, dict(logs)))


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])


def test_callbacks_are_called_as_fit_calls_them(model):
    recorder = Recorder()
    driver = CallbackDriver([recorder], model)
    assert driver and recorder.model is model
    driver.begin()
    driver.before(0)
    driver.after(1, RESULTS)
    driver.evaluated(2, 2.5)
    driver.before(2)
    driver.after(3, RESULTS)
    driver.evaluated(4, None)
    driver.end()
    logs = {"loss": 3.0, "gradient_norm": 1.5}  # means of the call's steps
    assert recorder.seen == [
        ("train_begin",),
        ("epoch_begin", 0),
        ("batch_begin", 0),
        ("batch_end", 1, logs),
        ("epoch_end", 0, {**logs, "val_loss": 2.5}),
        ("epoch_begin", 1),
        ("batch_begin", 2),
        ("batch_end", 3, logs),
        ("epoch_end", 1, logs),
        ("epoch_begin", 2),
        ("train_end", logs),
    ]
    assert all(type(value) is float for value in recorder.seen[3][2].values())


def test_without_callbacks_nothing_happens(model):
    driver = CallbackDriver([], model)
    assert not driver and not driver.stop
    driver.begin()
    driver.before(0)
    driver.after(0, RESULTS)
    driver.evaluated(1, 1.0)
    driver.end()
    assert not driver.stop


def test_a_callback_stops_a_run_but_not_the_next_one(model):
    driver = CallbackDriver([Recorder()], model)
    driver.begin()
    assert not driver.stop
    model.stop_training = True
    assert driver.stop
    assert not CallbackDriver([], model).stop
    driver.begin()
    assert not driver.stop


def test_early_stopping_of_keras_watches_the_held_out_loss(model):
    driver = CallbackDriver([keras.callbacks.EarlyStopping("val_loss", patience=2)], model)
    driver.begin()
    stops = []
    for step, score in enumerate((3.0, 2.0, 2.1, 2.2)):
        driver.after(step, RESULTS)
        driver.evaluated(step + 1, score)
        stops.append(driver.stop)
    assert stops == [False, False, False, True]
    driver.end()


@pytest.fixture
def optimizer(model):
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    return optimizer


def test_callbacks_find_the_optimizer_and_its_learning_rate(model, optimizer):
    rates = []

    def note(epoch, logs):
        rates.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))

    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.1, patience=1),
        keras.callbacks.LambdaCallback(on_epoch_end=note),
    ]
    driver = CallbackDriver(callbacks, model, optimizer)
    driver.begin()
    for step, score in enumerate((1.0, 2.0)):
        driver.before(step)
        driver.after(step, RESULTS)
        driver.evaluated(step + 1, score)
    np.testing.assert_allclose(rates, [0.25, 0.0125], rtol=1e-6)  # halved; halved, and a tenth for the worse score
    driver.end()


def test_a_model_saved_after_training_holds_no_optimizer(model, optimizer, tmp_path):
    def tensors(name):
        model.save_weights(tmp_path / name)
        with h5py.File(tmp_path / name) as file:
            found = []
            file.visititems(lambda path, item: found.append(path) if isinstance(item, h5py.Dataset) else None)
        return sorted(found)

    before = tensors("before.weights.h5")
    driver = CallbackDriver([Recorder()], model, optimizer)
    driver.begin()
    assert tensors("between.weights.h5") != before
    driver.end()
    assert tensors("after.weights.h5") == before
    keras.saving.load_model(_saved(model, tmp_path / "model.keras"))


def test_without_callbacks_the_model_gets_no_optimizer(model, optimizer):
    driver = CallbackDriver([], model, optimizer)
    driver.begin()
    assert getattr(model, "optimizer", None) is None
    driver.end()


def _saved(model, path):
    model.save(path)
    return path
