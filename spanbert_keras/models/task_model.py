"""The base of all task models. Shape letters: B rows, T tokens, D hidden_dim."""

import threading
from collections.abc import Callable
from typing import Any

import keras

from spanbert_keras.layers.saving.saved_state import KEY, SavedState, plain_policy
from spanbert_keras.models.named_inputs import NamedInputs
from spanbert_keras.models.named_targets import NamedTargets, mean_over_rows
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor


class TaskModel(SavedState, NamedTargets, NamedInputs):
    """Base: an `encoder` with its tokenizer and layers on top of it, trained by the mean of its examples' losses.

    A subclass is declared as `class Tagger(TaskModel, keras.Model)`: `keras.Model` comes last and only there, because
    Keras replaces it among the bases of a functional model. The subclass sets `input_keys` and `target_keys`, calls
    this constructor, and defines `example_losses` and `get_config`.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        head: function from the encoder's output, float `(B, T, D)`, to the dict of the model's outputs. `None` for a
            model with a `call` of its own, which makes its layers after this constructor.
        dtype: dtype policy or its name. `None`: the encoder's.
        preprocessor: what makes rows of raw examples; `"auto"`: `preprocessor_cls` with this model's settings; `None`:
            the model takes arrays only.

    Attributes:
        preprocessor_cls: class of the preprocessor.
        target_keys: entries of a training batch beside the model's inputs.
        static_shapes: whether `call` must know the shapes of its inputs.

    Raises:
        ValueError: the encoder has no tokenizer.
    """

    static_shapes = False

    preprocessor_cls: Any = staticmethod(lambda: None)

    def __init__(self, encoder, head: Callable | None = None, dtype=None, preprocessor="auto", **kwargs):
        if encoder.tokenizer is None:
            raise ValueError(f"`{type(self).__name__}` needs an encoder with a tokenizer. Received: one without.")
        graph = {}
        if head is not None:
            inputs = self.symbolic_inputs()
            graph = {"inputs": inputs, "outputs": head(encoder(inputs)["sequence_output"])}
        super().__init__(**graph, **kwargs)
        # Set afterwards, since a functional model takes no `dtype`; `compile` scales the loss if this is mixed_float16.
        self.dtype_policy = plain_policy(dtype or encoder.dtype_policy)
        self.encoder = encoder
        self.preprocessor = (
            self.preprocessor_cls() if preprocessor == "auto" and self.preprocessor_cls else preprocessor
        )
        self._one_call = threading.RLock()  # Keras' own `predict` and the counts of a model are not for several threads

    @property
    def tokenizer(self):
        """The encoder's tokenizer."""
        return self.encoder.tokenizer

    @property
    def preprocessor(self):
        """The preprocessor, with this model's tokenizer and settings; `None` if the model takes arrays only."""
        preprocessor = self.__dict__.get("__preprocessor")
        if isinstance(preprocessor, TaskPreprocessor):
            preprocessor.adopt(self.tokenizer, self.preprocessor_settings())
        return preprocessor

    @preprocessor.setter
    def preprocessor(self, preprocessor):
        # Not a part of the model for Keras, which would save its tokenizer a second time.
        self.__dict__["__preprocessor"] = preprocessor

    def __setattr__(self, name, value):
        if name == "preprocessor":  # torch would skip the property, and keep it as a module of the model
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def preprocessor_settings(self) -> dict:
        """Returns the settings of the preprocessor that follow from those of the model."""
        return {}

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`."""
        raise NotImplementedError

    def own_loss(self, outputs, batch, row_weights):
        return mean_over_rows(self.example_losses(outputs, batch), row_weights)

    def saved_apart(self):
        return (self.encoder,)

    def get_config(self):
        """Returns the entries that the config of every task model has."""
        return self.layer_state() | {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(plain_policy(self.dtype_policy)),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        state = config.pop(KEY, None)
        for name, revive in (
            ("encoder", keras.saving.deserialize_keras_object),
            ("dtype", keras.dtype_policies.deserialize),
        ):
            if isinstance(config.get(name), dict):
                config[name] = revive(config[name])
        made = cls(**config)
        if state:
            made.restore_layer_state(state)
        return made
