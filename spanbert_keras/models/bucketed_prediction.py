"""Computing batches of few shapes, for task models. Shape letters: B rows, T tokens."""

import contextlib
import logging
import threading

import keras


class BucketedPrediction:
    """Mixin: a functional model's outputs as arrays, for several threads, with few compiled shapes.

    A model's constructor ends with `self._begin_prediction()`.
    """

    def _begin_prediction(self) -> None:
        self._one_call = threading.RLock()
        self._compiled_rows = None
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA would compile every shape anew; without it two tracings serve all

    def compute_rows(self, batch):
        """Returns the outputs of a batch as arrays. One thread at a time: Keras' own call changes the model's state."""
        rows = len(batch["token_ids"])
        with self._one_call:
            if keras.backend.backend() == "jax" and rows > 1 and self._compiled_rows not in (None, rows):
                self.predict_function = None  # so that shapes of one batch size alone, and of single rows, are kept
            if rows > 1:
                self._compiled_rows = rows
            with quiet_tracing():
                return self.predict_on_batch(batch)


@contextlib.contextmanager
def quiet_tracing():
    """Keeps TensorFlow from warning that a few shapes were traced: they are meant to be."""

    def wanted(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(wanted)
    try:
        yield
    finally:
        logger.removeFilter(wanted)


def row_lengths(longest: int, count: int = 4) -> list[int]:
    """Returns the lengths that rows are padded to, ascending; few of them, so that few shapes are compiled."""
    part = -(-longest // (8 * count)) * 8
    return sorted({min(longest, part * (i + 1)) for i in range(count)})
