"""The base of the preprocessors. Shape letters: E examples, N rows, T tokens."""

import inspect
import os
import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

import keras_hub
import numpy as np

from spanbert_keras.arguments import whole_number
from spanbert_keras.errors import shown
from spanbert_keras.files.checksum_file import TOKENIZER_FILES, write_checksums
from spanbert_keras.preprocessing.length_buckets import row_lengths
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.row_subset import split_rows
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.preprocessing.tokenizer_inputs import in_tf_graph, plain_array

# Settings of the preprocessors that are at least 1.
WHOLE_NUMBERS = (
    "row_length",
    "window_length",
    "stride",
    "max_question_pieces",
    "max_answer_pieces",
    "num_segments",
    "segment_length",
    "max_segments",
    "max_span_width",
)


class TaskPreprocessor(keras_hub.models.Preprocessor):
    """Base: turns raw examples into what a task model computes with, (x, y, sample_weight).

    A preprocessor is part of a task model, which calls it when `fit`, `evaluate` or `predict` are given raw examples.
    Settings that were not given are those of the model. It also works alone: on every backend with lists and NumPy
    arrays, and inside `tf.data`, on batches of tensors.

    A subclass sets `defaults` and defines `rows`; if examples can be tensors, also `target_spec`.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        settings: dict of the subclass's settings; `None` is one that was not given.

    Call arguments:
        x: the examples.
        y: what should be predicted for each, or `None`.
        sample_weight: float `(E,)` or `None`. Weight of each example.

    Returns:
        x, (x, y) or (x, y, sample_weight), as much as was given. x is a dict of int32 arrays `(N, T)`, padded to one of
        four lengths.

    Raises:
        InputError: an example cannot be read.
    """

    tokenizer_cls = SpanBertTokenizer
    single_length = False  # whether all rows, of any examples, are padded to the same length
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, tokenizer=None, settings: Mapping[str, Any] | None = None, **kwargs):
        keras_hub.models.Preprocessor.__init__(self, **kwargs)  # not that of keras-hub's own classes in between
        self.built = True
        self.tokenizer = tokenizer
        for name, value in (settings or {}).items():
            if value is not None and name in WHOLE_NUMBERS:
                whole_number(name, value)
        self.own_settings = {name: value for name, value in (settings or {}).items() if value is not None}
        self._model_settings: dict[str, Any] = {}
        self._model: Any = None  # a weak reference to the model that it belongs to

    @property
    def settings(self) -> dict[str, Any]:
        """Every setting: as given, else as in the model, else the default."""
        return self.defaults | self._model_settings | self.own_settings

    def for_model(self, model) -> "TaskPreprocessor":
        """Returns this preprocessor, or a copy of it if it belongs to another model already."""
        if self._model is not None and self._model() not in (None, model):
            return type(self)(self.tokenizer, **self.own_settings).for_model(model)
        self._model = weakref.ref(model)
        return self

    def adopt(self, tokenizer, settings: Mapping[str, Any]) -> None:
        """Takes a model's tokenizer, and its settings where none were given.

        Raises:
            ValueError: a setting that was given differs from the model's.
        """
        for name, value in settings.items():
            own = self.own_settings.get(name, value)
            if _plain(own) != _plain(value):
                raise ValueError(
                    f"`{type(self).__name__}` and its model must agree. Expected: {name}={shown(value)}, as in the "
                    f"model. Received: {name}={shown(own)} in the preprocessor. Give it to the model alone."
                )
        if self.tokenizer is not tokenizer:
            self.tokenizer = tokenizer
        self._model_settings = dict(settings)

    def rows(self, x, y=None, sample_weight=None) -> ExampleRows:
        """Returns the rows of raw examples; see the call arguments."""
        raise NotImplementedError

    def split(self, rows: ExampleRows, x, share: float) -> tuple[ExampleRows, ExampleRows]:
        """Returns the rows of the first examples, for training, and those of the last ones, for validation.

        Args:
            rows: the rows of all examples.
            x: the examples.
            share: float. Share of the examples for validation.
        """
        return split_rows(rows, share)

    def row_length_for(self, rows: ExampleRows) -> int:
        """Returns the length that all of these rows are padded to: one of four."""
        longest = int(rows.lengths.max(initial=1))
        return next(length for length in row_lengths(self.settings["row_length"]) if length >= longest)

    def call(self, x, y=None, sample_weight=None):
        if in_tf_graph():
            return self._call_in_graph(x, y, sample_weight)
        rows = self.rows(x, y, sample_weight)
        return rows.packed(np.arange(len(rows)), self.row_length_for(rows))

    # --- tf.data

    def row_spec(self):
        """Returns the `tf.TensorSpec` of each input in a `tf.data` pipeline."""
        import tensorflow as tf

        return {key: tf.TensorSpec((None, None), tf.int32) for key in ExampleRows.input_keys}

    def target_spec(self, x, y):
        """Returns the `tf.TensorSpec` of the targets in a `tf.data` pipeline, or a structure of them; `None` for none.

        Args:
            x, y: tensors of examples, or structures of them; `y` may be `None`.
        """
        raise NotImplementedError

    def _call_in_graph(self, x, y, sample_weight):
        """Calls this preprocessor from a TensorFlow graph; the step runs in Python."""
        import tensorflow as tf

        given = {"x": x} | {
            name: part for name, part in (("y", y), ("sample_weight", sample_weight)) if part is not None
        }
        spec, targets = [self.row_spec()], self.target_spec(x, y)
        if targets is not None or sample_weight is not None:
            spec.append(targets)
        if sample_weight is not None:
            spec.append(tf.TensorSpec((None,), tf.float32))
        flat_spec = [one for one in tf.nest.flatten(spec) if one is not None]

        def run(*arrays):
            packed = self.call(**tf.nest.pack_sequence_as(given, [plain_array(array) for array in arrays]))
            values = [value for value in tf.nest.flatten(packed) if value is not None]
            return [np.asarray(value, one.dtype.as_numpy_dtype) for value, one in zip(values, flat_spec, strict=True)]

        with_rows = tf.numpy_function(run, tf.nest.flatten(given), [one.dtype for one in flat_spec], stateful=True)
        values = iter(tf.ensure_shape(value, one.shape) for value, one in zip(with_rows, flat_spec, strict=True))
        packed = tf.nest.map_structure(lambda one: None if one is None else next(values), spec)
        return packed[0] if len(packed) == 1 else tuple(packed)

    # --- saving

    def get_config(self):
        """Returns the config of a preprocessor that works alone: with the settings of the model that it belongs to."""
        names = inspect.signature(type(self).__init__).parameters.keys() & self.defaults.keys()
        adopted = {name: value for name, value in self._model_settings.items() if name in names and value is not None}
        return keras_hub.models.Preprocessor.get_config(self) | adopted | self.own_settings

    def save_to_preset(self, preset_dir):
        """Writes `preprocessor.json`, and the tokenizer's files, into a keras-hub preset directory."""
        super().save_to_preset(os.fspath(preset_dir))
        write_checksums(preset_dir, TOKENIZER_FILES)


def _plain(value):
    """Returns a setting in the form in which two are compared: sequences as tuples."""
    return tuple(value) if isinstance(value, list | tuple) else value
