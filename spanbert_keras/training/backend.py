"""What the machine is to the backend in use."""

import os
import sys
from collections.abc import Mapping

from spanbert_keras.errors import InputError
from spanbert_keras.training.distributed.cluster import read_cluster
from spanbert_keras.training.distributed.distribution import Distribution


def configure_devices(deterministic: bool = False) -> None:
    """Readies the devices: on TensorFlow memory grows as needed; on JAX and torch TensorFlow never takes a GPU.

    Args:
        deterministic: bool. TensorFlow's operations give the same bits in every run, some of them more slowly.
    """
    import keras

    if keras.backend.backend() != "tensorflow" and "tensorflow" not in sys.modules:
        return
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")
        return
    tf.get_logger().setLevel("WARNING")  # it tells of every collective operation
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:  # the device is in use already, and its memory taken
            pass


def make_distribution(kind: str, replicas: int | None = None, environ: Mapping[str, str] = os.environ) -> Distribution:
    """Makes the devices and processes of the backend in use ready to share the work, before any model is made.

    Args:
        kind: `"none"`, `"mirrored"` (this machine's devices) or `"multi_worker"` (those of several processes, each of
            which calls this; it returns when all have).
        replicas: int or `None`. Devices of this process; all by default.
        environ: environment variables: `TF_CONFIG` or Slurm's.

    Raises:
        InputError: the devices are not there, the cluster is not described, or the backend is torch.
    """
    if kind == "none":
        return Distribution()
    module = _backend_module()
    if not hasattr(module, kind):
        import keras

        raise InputError(
            f"--distribution={kind} is for the TensorFlow and JAX backends (KERAS_BACKEND). Received: "
            f"{keras.backend.backend()}."
        )
    return module.mirrored(replicas) if kind == "mirrored" else module.multi_worker(read_cluster(environ), replicas)


def _backend_module():
    """Returns the module that knows the devices of the backend in use."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        from spanbert_keras.training.distributed import tensorflow_distribution as module
    elif backend == "jax":
        from spanbert_keras.training.distributed import jax_distribution as module  # type: ignore[no-redef]
    else:
        from spanbert_keras.training.steps import torch_step as module  # type: ignore[no-redef]
    return module


def has_accelerator() -> bool:
    """Says whether the backend computes on something other than the processor."""
    return _backend_module().has_accelerator()


def device_name() -> str:
    """Returns the model of the device that the backend computes on, as its driver names it; "" for a processor."""
    return _backend_module().device_name()


def make_step(model, optimizer, settings, distribution: Distribution | None = None):
    """Returns the training step of the backend in use: one interface, see `TensorFlowStep`."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        from spanbert_keras.training.steps.tensorflow_step import TensorFlowStep as Step
    elif backend == "jax":
        from spanbert_keras.training.steps.jax_step import JaxStep as Step  # type: ignore[assignment]
    else:
        from spanbert_keras.training.steps.torch_step import TorchStep as Step  # type: ignore[assignment]
    return Step(model, optimizer, settings, distribution)
