"""Models that pick their inputs by name."""

import keras

from spanbert_keras.errors import InputError


class NamedInputs:
    """Mixin: the model takes a dict and uses the entries that it knows, by name.

    Keras itself sorts and flattens a dict of inputs: one extra entry of the same shape shifts all others, and the
    numbers are silently wrong. Here extra entries are ignored, and a missing one is an error that names it.
    """

    input_keys: tuple[str, ...] = ()

    def symbolic_inputs(self):
        """Returns an int32 `keras.Input` of shape `(B, None)` for each key, sorted as JAX flattens a dict."""
        return {key: keras.Input((None,), dtype="int32", name=key) for key in sorted(self.input_keys)}

    def __call__(self, inputs, *args, **kwargs):
        return super().__call__(self._pick(inputs), *args, **kwargs)

    def call(self, inputs, training=None, mask=None, **kwargs):  # `stateless_call` does not go through `__call__`
        return super().call(self._pick(inputs), training=training, mask=mask, **kwargs)

    def export(self, filepath, format="tf_saved_model", *args, **kwargs):
        """Exports the model as Keras does.

        Raises:
            InputError: Keras cannot export on the backend in use, but can with TensorFlow.
        """
        try:
            return super().export(filepath, format, *args, **kwargs)
        except Exception as error:
            if keras.backend.backend() == "tensorflow":
                raise
            raise InputError(
                f"`{type(self).__name__}` cannot be exported on this backend. Expected: KERAS_BACKEND=tensorflow; save "
                f"the model to a .keras file, which loads on every backend, and export it from there. Received: "
                f"format={format!r} with KERAS_BACKEND={keras.backend.backend()} ({str(error).strip()[:100]})."
            ) from error

    def _pick(self, inputs):
        if not hasattr(inputs, "keys"):
            raise ValueError(
                f"`{type(self).__name__}` takes a dict of inputs with the keys {list(self.input_keys)}. "
                f"Received: {type(inputs).__name__}. Raw examples are for a task model's `fit` and `predict`."
            )
        missing = [key for key in self.input_keys if key not in inputs]
        if missing:
            raise ValueError(
                f"`{type(self).__name__}` needs the inputs {list(self.input_keys)}. "
                f"Missing: {missing}. Received: {sorted(inputs)}."
            )
        return {key: inputs[key] for key in sorted(self.input_keys)}
