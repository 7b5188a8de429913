"""Prediction with few compiled shapes, for task models. Shape letters: B rows, T tokens."""

import contextlib
import logging

import keras

from spanbert_keras.models.task_model import TaskModel


class BucketedPrediction(TaskModel):
    """Base of the functional task models: outputs as arrays, for several threads, with few compiled shapes.

    Args:
        encoder, head, dtype: see `TaskModel`.
    """

    functional = True

    def __init__(self, encoder, head, dtype=None, **kwargs):
        super().__init__(encoder, head, dtype, **kwargs)
        self._compiled_rows = None
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA would compile each shape separately; without it two tracings serve all

    def compute_rows(self, batch):
        """Returns the outputs of a batch as arrays. One thread at a time: Keras' own call changes the model's state."""
        rows = len(batch["token_ids"])
        with self._one_call:
            if keras.backend.backend() == "jax" and rows > 1 and self._compiled_rows not in (None, rows):
                # JAX keeps every shape that it compiled: keep those of a single batch size, and of single rows.
                self.predict_function = None
            if rows > 1:
                self._compiled_rows = rows
            with quiet_tracing():
                return self.predict_on_batch(batch)


@contextlib.contextmanager
def quiet_tracing():
    """Suppresses TensorFlow's warning that several shapes were traced: a few are intended."""

    def wanted(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)
