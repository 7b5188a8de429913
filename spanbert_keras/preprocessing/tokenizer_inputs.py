"""Inputs of a tokenizer, of any framework, as plain lists: texts to cut, ids to join."""

import sys

import keras
import numpy as np

from spanbert_keras.errors import shown


def is_symbolic(inputs) -> bool:
    """Returns whether `inputs` is a TensorFlow tensor of a graph being traced."""
    if isinstance(inputs, str | list | tuple | np.ndarray) or not type(inputs).__module__.startswith("tensorflow"):
        return False
    import tensorflow as tf

    return tf.is_tensor(inputs) and not tf.executing_eagerly()


def in_tf_graph() -> bool:
    """Returns whether this call is traced by TensorFlow, without importing it."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and not tensorflow.executing_eagerly()


def plain_array(values: np.ndarray) -> np.ndarray:
    """Returns an array of TensorFlow's strings, bytes, as one of str; any other unchanged."""
    if values.dtype != object:
        return values
    texts = [one.decode("utf-8", "replace") if isinstance(one, bytes) else one for one in values.reshape(-1).tolist()]
    return np.array(texts, object).reshape(values.shape)


def as_texts(inputs) -> tuple[list[str], bool]:
    """Returns a list of str and whether it was a batch."""
    if isinstance(inputs, str | bytes):
        values, batched = [inputs], False
    else:
        inputs = inputs.numpy() if hasattr(inputs, "numpy") else inputs
        values = inputs.tolist() if isinstance(inputs, np.ndarray | np.generic) else inputs
        batched = isinstance(values, list | tuple)
        values = list(values) if batched else [values]
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    if not all(isinstance(text, str) for text in texts):
        wrong = next(text for text in texts if not isinstance(text, str))
        raise ValueError(f"Text must be a str or a list of str. Received: {type(wrong).__name__}.")
    return texts, batched


def as_rows(inputs) -> tuple[list[list[int]], bool]:
    """Returns lists of int and whether they were a batch."""
    if hasattr(inputs, "to_list"):  # tf.RaggedTensor
        values = inputs.to_list()
    elif isinstance(inputs, list | tuple):
        values = list(inputs)
    else:
        values = keras.ops.convert_to_numpy(inputs).tolist()
    if not isinstance(values, list):
        raise ValueError(f"Ids must be a list of int or a batch of lists. Received: {shown(inputs)}.")
    batched = bool(values) and np.ndim(values[0]) > 0
    rows = values if batched else [values]
    words = [index for row in rows for index in row if isinstance(index, str)]
    if words:
        raise ValueError(f"Ids must be a list of int or a batch of lists. Received: {shown(words[0])}.")
    return [[int(index) for index in row] for row in rows], batched
