"""Keras callbacks, called by our own training loop."""

from collections.abc import Sequence

import numpy as np


class CallbackDriver:
    """Calls Keras callbacks as `fit` does; a batch is a call to the device, an epoch ends with an evaluation.

    `logs` of a batch: `loss` and `gradient_norm`, means over the call's steps; of an epoch: `loss`, and `val_loss` if
    the evaluation has one. `model.stop_training = True` ends the run as finished.

    Args:
        callbacks: sequence of `keras.callbacks.Callback`; without any, nothing is fetched or called.
        model: the model that the callbacks see.
        optimizer: `model.optimizer` from `begin` to `end`: callbacks that set the learning rate look there. A model
            saved in between has the optimizer's variables in its file, as in `fit`.
    """

    def __init__(self, callbacks: Sequence, model, optimizer=None):
        self.model = model
        self._optimizer = optimizer
        self._epoch = 0
        self._logs: dict[str, float] = {}
        self._list = None
        if callbacks:
            import keras

            self._list = keras.callbacks.CallbackList(
                list(callbacks), add_history=False, add_progbar=False, model=model
            )

    def __bool__(self) -> bool:
        return self._list is not None

    @property
    def stop(self) -> bool:
        """Whether a callback has asked to end the run."""
        return self._list is not None and bool(getattr(self.model, "stop_training", False))

    def begin(self) -> None:
        """Calls what is due when training begins."""
        if self._list is not None:
            self.model.stop_training = False
            if self._optimizer is not None:
                self.model.optimizer = self._optimizer
            self._list.on_train_begin()
            self._list.on_epoch_begin(self._epoch)

    def before(self, step: int) -> None:
        """Calls what is due before the call that starts with this step."""
        if self._list is not None:
            self._list.on_train_batch_begin(step)

    def after(self, step: int, results: dict[str, np.ndarray]) -> None:
        """Calls what is due after the call that ended with this step.

        Args:
            step: int. The last step of the call, from 0.
            results: dict with the arrays `loss` and `gradient_norm`, `(K,)`.
        """
        if self._list is not None:
            self._logs = {key: float(np.mean(results[key])) for key in ("loss", "gradient_norm")}
            self._list.on_train_batch_end(step, self._logs)

    def evaluated(self, step: int, score: float | None) -> None:
        """Calls what is due after an evaluation, with its loss (`None`: it has none)."""
        if self._list is not None:
            logs = self._logs if score is None else self._logs | {"val_loss": score}
            self._list.on_epoch_end(self._epoch, logs)
            self._epoch += 1
            self._list.on_epoch_begin(self._epoch)

    def end(self) -> None:
        """Calls what is due when training has ended."""
        if self._list is not None:
            try:
                self._list.on_train_end(self._logs)
            finally:
                if self._optimizer is not None:
                    self.model.optimizer = None  # or it would be saved with the model
