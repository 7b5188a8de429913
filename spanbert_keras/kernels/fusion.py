"""Fusion of elementwise arithmetic on TensorFlow's CPU."""

import functools
from collections.abc import Callable

import keras

SMALLEST = 2**16  # elements from which on a fused function is worth its compilation


def on_tensorflow() -> bool:
    """Returns whether Keras computes with TensorFlow."""
    return keras.backend.backend() == "tensorflow"


def on_tensorflow_or_jax() -> bool:
    """Returns whether Keras computes with TensorFlow or JAX; torch has fused operations of its own."""
    return keras.backend.backend() in ("tensorflow", "jax")


def has_kernels(dtype: str) -> bool:
    """Returns whether the fused functions serve a compute dtype on the backend in use; inside they are float32."""
    return on_tensorflow_or_jax() and dtype in ("float32", "bfloat16", "float16")


def fused(function: Callable) -> Callable:
    """Decorator that compiles a function of elementwise arithmetic and reductions with XLA.

    TensorFlow runs each operation by itself, so that a layer norm reads and writes its input a dozen times. XLA makes
    one loop of all. Its own matrix products are slower than TensorFlow's, so only what stands between them is compiled.

    It applies in a `tf.function` on a machine without GPU, to at least 65,536 elements; inside of a step that is
    compiled as a whole, on other backends and eagerly, the function runs as it is.
    """

    @functools.wraps(function)
    def call(*tensors, **constants):
        plain = functools.partial(function, **constants)
        if not fusion_applies():
            return plain(*tensors)
        import tensorflow as tf

        compiled = _compiled(function, tuple(sorted(constants.items())))
        if tensors[0].shape.is_fully_defined():
            return (compiled if tensors[0].shape.num_elements() >= SMALLEST else plain)(*tensors)
        return tf.cond(tf.size(tensors[0]) >= SMALLEST, lambda: compiled(*tensors), lambda: plain(*tensors))

    return call


def fusion_applies() -> bool:
    """Returns whether TensorFlow traces a function for the CPU that is not compiled as a whole."""
    if not on_tensorflow():
        return False
    import tensorflow as tf
    from tensorflow.python.framework import ops as framework_ops
    from tensorflow.python.ops import control_flow_util

    if tf.executing_eagerly() or tf.config.list_physical_devices("GPU"):
        return False
    return not control_flow_util.GraphOrParentsInXlaContext(framework_ops.get_default_graph())


@functools.cache
def _compiled(function: Callable, constants: tuple):
    import tensorflow as tf

    return tf.function(functools.partial(function, **dict(constants)), jit_compile=True, autograph=False)
