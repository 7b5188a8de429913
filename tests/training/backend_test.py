"""Tests of the choice by backend: devices, distribution and step."""

import sys

import keras
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.backend import (
    configure_devices,
    device_name,
    has_accelerator,
    make_distribution,
    make_step,
)
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.objective import StepSettings


def test_devices_are_ready_and_tensorflow_takes_no_gpu_from_others():
    configure_devices()
    configure_devices()
    assert isinstance(has_accelerator(), bool)
    if keras.backend.backend() != "tensorflow" and "tensorflow" in sys.modules:
        assert sys.modules["tensorflow"].config.get_visible_devices("GPU") == []


def test_the_step_is_that_of_the_backend():
    name = {"tensorflow": "TensorFlowStep", "jax": "JaxStep", "torch": "TorchStep"}[keras.backend.backend()]
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model.input_keys = ()
    step = make_step(model, keras.optimizers.SGD(), StepSettings(objective=PretrainingObjective()))
    assert type(step).__name__ == name


def test_a_backend_that_cannot_train_is_rejected(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    for call in (has_accelerator, device_name, lambda: make_distribution("mirrored")):
        with pytest.raises(InputError, match="one of tensorflow, jax, torch. Received: numpy"):
            call()


def test_without_a_distribution_there_is_one_device_of_one_process():
    assert make_distribution("none") == Distribution()
    assert (Distribution().replicas, Distribution().num_workers, Distribution().is_chief) == (1, 1, True)


def test_torch_has_no_distribution(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    for kind in ("mirrored", "multi_worker"):
        with pytest.raises(InputError, match=f"--distribution={kind} .*TensorFlow or JAX.*Received: torch"):
            make_distribution(kind)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch shares no work")
def test_several_workers_must_be_described():
    with pytest.raises(InputError, match="TF_CONFIG"):
        make_distribution("multi_worker", environ={})


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="torch shares no work")
def test_without_an_accelerator_the_number_of_cpu_devices_must_be_given():
    if has_accelerator():
        pytest.skip("there is an accelerator")
    with pytest.raises(InputError, match="--distribution=mirrored finds no GPU.*--replicas"):
        make_distribution("mirrored")


def test_only_an_accelerator_has_a_name():
    assert isinstance(device_name(), str)
    assert bool(device_name()) == has_accelerator()
