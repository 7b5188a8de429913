"""Models whose outputs are computed as arrays, in few compiled shapes. Shape letters: B rows, T tokens."""

import threading
from collections.abc import Sequence

import numpy as np

from spanbert_keras.models.compiled_call import CompiledCall


class ComputedRows:
    """Mixin of models: `compute_rows` for several threads, and the batches that need few compiled shapes.

    Attributes:
        _compiled_call: `CompiledCall` of the model.
        _one_call: lock. Keras' own `predict`, and the counts of a model, are not for several threads.
    """

    _compiled_call: CompiledCall
    _one_call: threading.RLock  # type: ignore[valid-type]

    def compute_rows(self, batch):
        """Returns the outputs of a batch as arrays. One thread at a time: Keras' own call changes the model's state."""
        with self._one_call:  # type: ignore[attr-defined]
            return self._compiled_call(batch)

    def batches_of(
        self, lengths: Sequence[int] | np.ndarray, longest: int, batch_size: int, static: bool = False
    ) -> list[tuple[np.ndarray, int, int]]:
        """Returns the batches in which rows are computed; see `CompiledCall.batches_of`."""
        return self._compiled_call.batches_of(lengths, longest, batch_size, static)
