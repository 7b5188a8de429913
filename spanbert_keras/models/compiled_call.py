"""A model's outputs as arrays, without what Keras' `predict` does around every batch."""

import operator
from collections.abc import Callable, Sequence

import keras
import numpy as np

from spanbert_keras.preprocessing.length_buckets import fixed_batches, token_batches


class CompiledCall:
    """Computes the outputs of a model for inputs that are int arrays with two axes, one thread at a time.

    On TensorFlow the model is traced once, for every shape, and again if its variables are replaced, as when it is
    quantized or gets LoRA weights. On other backends, and if the model is compiled with `run_eagerly`, Keras' own
    `predict_on_batch` computes; on JAX it compiles each shape, and keeps those of one batch size and of single rows.

    Args:
        model: a model that takes a dict of inputs with the keys `model.input_keys` and returns a dict.

    Attributes:
        any_shape: bool. Whether a new shape costs nothing, so that batches may have any number of rows and any length.
    """

    def __init__(self, model):
        self.model = model
        self.any_shape = keras.backend.backend() != "jax"
        self._function: Callable | None = None
        self._variables: list = []
        self._rows: int | None = None  # of a batch

    def __call__(self, batch: dict) -> dict[str, np.ndarray]:
        rows = len(batch[self.model.input_keys[0]])
        if not self.any_shape and rows > 1:
            if self._rows not in (None, rows):
                self.forget_shapes()
            self._rows = rows
        if keras.backend.backend() != "tensorflow" or self.model.run_eagerly:
            return self.model.predict_on_batch(batch)
        variables = self.model.variables
        is_same = len(variables) == len(self._variables) and all(map(operator.is_, variables, self._variables))
        if self._function is None or not is_same:
            self._function, self._variables = _tensorflow_call(self.model), list(variables)
        return self._function({key: np.asarray(batch[key], np.int32) for key in self.model.input_keys})

    def batches_of(
        self, lengths: Sequence[int] | np.ndarray, longest: int, batch_size: int, static: bool = False
    ) -> list[tuple[np.ndarray, int, int]]:
        """Returns the batches in which rows are computed: the places of their rows, number of rows and length.

        A batch has at most as many tokens as `batch_size` rows of the longest length. If each shape is compiled, each
        batch has `batch_size` rows, or a single one, of at most four lengths: there it has fewer places than rows.

        Args:
            lengths: sequence of int. Length of each row.
            longest: int. Longest row that the model reads.
            batch_size: int. Rows of the longest length in a batch.
            static: bool. Whether all batches must have `batch_size` rows.
        """
        if self.any_shape and not static:
            return [(part, len(part), length) for part, length in token_batches(lengths, batch_size * longest, longest)]
        return fixed_batches(lengths, batch_size, longest, single_rows=not static)

    def forget_shapes(self) -> None:
        """Drops what is compiled; the next call compiles again."""
        self._function = self.model.predict_function = None


def _tensorflow_call(model) -> Callable:
    import tensorflow as tf

    def compute(inputs):
        return model(inputs, training=False)

    signature = {key: tf.TensorSpec((None, None), tf.int32, name=key) for key in model.input_keys}
    # XLA would compile each shape separately; without it one tracing serves all.
    function = tf.function(compute, input_signature=[signature], autograph=False, jit_compile=False)
    concrete = function.get_concrete_function()  # `function` itself would look for a fitting tracing in each call

    def call(batch):
        outputs = concrete({key: tf.constant(value) for key, value in batch.items()})
        return {key: value.numpy() for key, value in outputs.items()}

    return call
