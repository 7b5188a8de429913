"""What the machine is to the backend in use."""

import importlib
import sys


def configure_devices() -> None:
    """Readies the devices: on TensorFlow memory grows as needed; on JAX and torch TensorFlow never takes a GPU."""
    import keras

    if keras.backend.backend() != "tensorflow" and "tensorflow" not in sys.modules:
        return
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        tf.config.set_visible_devices([], "GPU")
        return
    for device in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:  # the device is in use already, and its memory taken
            pass


def has_accelerator() -> bool:
    """Says whether the backend computes on something other than the processor."""
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        return importlib.import_module("jax").default_backend() != "cpu"
    if backend == "torch":  # Keras lists no devices there
        torch = importlib.import_module("torch")
        return torch.cuda.is_available() or torch.backends.mps.is_available()
    return any(
        "gpu" in d.lower() or "tpu" in d.lower() or "cuda" in d.lower() for d in keras.distribution.list_devices()
    )


def make_step(model, optimizer, settings):
    """Returns the training step of the backend in use: one interface, see `TensorFlowStep`."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        from spanbert_keras.training.tensorflow_step import TensorFlowStep as Step
    elif backend == "jax":
        from spanbert_keras.training.jax_step import JaxStep as Step
    else:
        from spanbert_keras.training.torch_step import TorchStep as Step
    return Step(model, optimizer, settings)
