"""Backend dispatch: devices, distribution and training step of the backend in use."""

import os
import pkgutil
import sys
from collections.abc import Mapping

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.cluster import read_cluster
from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.objective import StepSettings
from spanbert_keras.training.steps.step import Step

# Names, not objects: a framework is imported when it is used, and only the one in use.
STEPS = {
    "tensorflow": "spanbert_keras.training.steps.tensorflow_step:TensorFlowStep",
    "jax": "spanbert_keras.training.steps.jax_step:JaxStep",
    "torch": "spanbert_keras.training.steps.torch_step:TorchStep",
}
# Each has `has_accelerator` and `device_name`; those that share work also `mirrored` and `multi_worker`.
DISTRIBUTIONS = {
    "tensorflow": "spanbert_keras.training.distributed.tensorflow_distribution",
    "jax": "spanbert_keras.training.distributed.jax_distribution",
    "torch": "spanbert_keras.training.distributed.torch_distribution",
}


def configure_devices(deterministic: bool = False) -> None:
    """Prepares the devices: on TensorFlow memory grows as needed; on JAX and torch TensorFlow never takes a GPU.

    Args:
        deterministic: bool. Whether TensorFlow's operations give the same bits in every run; some are then slower.
    """
    import keras

    if keras.backend.backend() != "tensorflow" and "tensorflow" not in sys.modules:
        return
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")
        return
    tf.get_logger().setLevel("WARNING")  # it reports every collective operation
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:  # the device is in use already, and its memory taken
            pass


def make_distribution(kind: str, replicas: int | None = None, environ: Mapping[str, str] = os.environ) -> Distribution:
    """Returns the devices and processes that share the work; call it before any model is made.

    Args:
        kind: `"none"`, `"mirrored"` (this machine's devices) or `"multi_worker"` (those of several processes, each of
            which calls this; it returns when all have).
        replicas: int or `None`. Devices of this process. Defaults to all.
        environ: environment variables: `TF_CONFIG` or Slurm's.

    Raises:
        InputError: the devices are not there, the cluster is not described, or the backend is torch.
    """
    if kind == "none":
        return Distribution()
    devices = _of_backend(DISTRIBUTIONS)
    if not hasattr(devices, kind):
        import keras

        raise InputError(
            f"--distribution={kind} needs the TensorFlow or JAX backend (KERAS_BACKEND). Received: "
            f"{keras.backend.backend()}."
        )
    return devices.mirrored(replicas) if kind == "mirrored" else devices.multi_worker(read_cluster(environ), replicas)


def has_accelerator() -> bool:
    """Returns whether the backend computes on something other than the CPU."""
    return _of_backend(DISTRIBUTIONS).has_accelerator()


def device_name() -> str:
    """Returns the model of the device that the backend computes on, as its driver names it; "" for a CPU."""
    return _of_backend(DISTRIBUTIONS).device_name()


def make_step(model, optimizer, settings: StepSettings, distribution: Distribution | None = None) -> Step:
    """Returns the training step of the backend in use.

    Args:
        model, optimizer, settings, distribution: as for `Step`.
    """
    return _of_backend(STEPS)(model, optimizer, settings, distribution)


def _of_backend(names: dict[str, str]):
    """Returns the module or class that a table names for the backend in use."""
    import keras

    backend = keras.backend.backend()
    if backend not in names:
        raise InputError(f"Training needs KERAS_BACKEND to be one of {', '.join(names)}. Received: {backend}.")
    return pkgutil.resolve_name(names[backend])
