"""Prediction with few compiled shapes, for task models. Shape letters: B rows, T tokens."""

import contextlib
import logging

import keras

from spanbert_keras.models.compiled_call import CompiledCall
from spanbert_keras.models.computed_rows import ComputedRows
from spanbert_keras.models.task_model import TaskModel


class BucketedPrediction(ComputedRows, TaskModel):
    """Base of the functional task models: outputs as arrays, for several threads, with few compiled shapes.

    Args:
        encoder, head, dtype: see `TaskModel`.
    """

    functional = True

    def __init__(self, encoder, head, dtype=None, **kwargs):
        super().__init__(encoder, head, dtype, **kwargs)
        self._compiled_call = CompiledCall(self)
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA would compile each shape of Keras' own `predict` separately

    def compile(self, *args, **kwargs):
        """See `keras.Model.compile`. The next prediction traces the model again, as in Keras."""
        super().compile(*args, **kwargs)
        self._compiled_call.forget_shapes()


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
