"""Training and prediction from raw examples. Shape letters: E examples, N rows, C classes."""

import functools
import types
from typing import Any

import keras
import numpy as np

from spanbert_keras.arguments import whole_number
from spanbert_keras.errors import InputError
from spanbert_keras.models.named_targets import NamedTargets
from spanbert_keras.models.replicas import check_replicas, devices_of_a_batch
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.prepared_dataset import PreparedDataset
from spanbert_keras.preprocessing.preprocessors.row_batches import RowBatches
from spanbert_keras.preprocessing.preprocessors.row_subset import RowSubset
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor


class RawExamples(NamedTargets):
    """Mixin: a model whose `fit`, `evaluate` and `predict` take raw examples, by its `preprocessor`, or arrays.

    Raw examples are lists, arrays, dicts of columns, batched `tf.data.Dataset`, `PyDataset` or generators of them. A
    dict with `token_ids` is arrays, which go to the model as they are. In `fit`, rows of similar length are batched,
    in an order that is new in every epoch.

    A model that was not compiled is compiled with the defaults of `compile()` when it is first trained or evaluated.

    Attributes:
        raw_batch_size: rows of a batch if `batch_size` is not given.
        outputs_by_token: whether the outputs have an entry for each token of a row.
    """

    preprocessor: Any
    input_keys: tuple[str, ...]
    compiled: bool
    raw_batch_size = 32
    outputs_by_token = False

    @functools.wraps(keras.Model.fit)
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        **kwargs,
    ):
        self._compile_by_default()
        check_replicas(self)
        class_weight = self.by_number(class_weight)
        size = {"batch_size": kwargs.get("validation_batch_size") or batch_size}
        x = self._applied(x)
        if self._is_in_memory(x):
            rows = self._rows(x, y, sample_weight, needs_targets=True)
            if validation_split and validation_data is None:
                rows, last = self.preprocessor.split(rows, x, validation_split)
                validation_data = self._batches(last, is_fixed=True, **size)
            if class_weight is not None:
                self._check_class_weights(None)
                rows = RowSubset(rows, np.arange(len(rows)), rows.weights_of_classes(class_weight))
            x = self._batches(rows, batch_size, is_shuffled=shuffle, epoch=initial_epoch)
            y = sample_weight = class_weight = batch_size = None
            shuffle, validation_split = False, 0.0
        elif self.is_raw(x):
            x = self._mapped(x, y, sample_weight, validation_split)
            y = sample_weight = batch_size = None
            shuffle = False  # the dataset's own matter
        if validation_data is not None:
            validation_data = self._validation(validation_data, **size)
        return super().fit(
            x,
            y,
            batch_size=batch_size,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_split=validation_split,
            validation_data=validation_data,
            shuffle=shuffle,
            class_weight=class_weight,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            **kwargs,
        )

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", sample_weight=None, **kwargs):
        self._compile_by_default()
        x = self._applied(x)
        if self.is_raw(x):
            x = self._evaluated(x, y, sample_weight, batch_size)
            y = sample_weight = batch_size = None
        return super().evaluate(x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x, batch_size=None, **kwargs):
        x, count = self._applied(x), None
        if self._is_in_memory(x):
            rows = self._rows(x, None, None)
            x, count = self._batches(rows, batch_size, in_order=True, is_fixed=True), len(rows)
            batch_size = None
        elif self.is_raw(x):
            x, batch_size = self._mapped(x), None
        found = keras.Model.predict(self, x, batch_size=batch_size, **kwargs)
        return found if count is None else {key: value[:count] for key, value in found.items()}

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, **kwargs):
        self._compile_by_default()
        if self.is_raw(x):
            x, y, sample_weight = self._one_batch(x, y, sample_weight)
        return super().train_on_batch(x, y, sample_weight, class_weight, **kwargs)

    @functools.wraps(keras.Model.test_on_batch)
    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        self._compile_by_default()
        if self.is_raw(x):
            x, y, sample_weight = self._one_batch(x, y, sample_weight)
        return keras.Model.test_on_batch(self, x, y, sample_weight, **kwargs)

    @functools.wraps(keras.Model.predict_on_batch)
    def predict_on_batch(self, x):
        if self.is_raw(x):
            x = self._one_batch(x, None, None)[0]
        return keras.Model.predict_on_batch(self, x)

    # ---

    def is_raw(self, x) -> bool:
        """Returns whether `x` holds raw examples, rather than the model's inputs by name."""
        if self.preprocessor is None and (isinstance(x, str | list) or hasattr(x, "keys") and "token_ids" not in x):
            raise ValueError(
                f"This `{type(self).__name__}` has no preprocessor, so it takes arrays: a dict with the keys "
                f'{list(self.input_keys)}. Received: {type(x).__name__}. Set `model.preprocessor = "auto"` for raw '
                "examples."
            )
        if x is None or self.preprocessor is None:
            return False
        if hasattr(x, "element_spec"):  # a `tf.data.Dataset`
            x = x.element_spec
            x = x[0] if isinstance(x, tuple) else x
        elif isinstance(x, keras.utils.PyDataset):
            x = x[0][0] if isinstance(x[0], tuple) else x[0]
        elif type(x).__module__.startswith("torch."):  # a `DataLoader`
            return False
        return not (hasattr(x, "keys") and "token_ids" in x)

    def _compile_by_default(self) -> None:
        if not self.compiled:
            self.compile()

    def _is_in_memory(self, x) -> bool:
        """Returns whether `x` holds all raw examples, rather than being a dataset or generator of batches."""
        is_stream = hasattr(x, "element_spec") or isinstance(x, keras.utils.PyDataset | types.GeneratorType)
        return not is_stream and self.is_raw(x)

    def _applied(self, x):
        """Returns what a preprocessor that is any function makes of raw examples in memory; else `x` itself."""
        is_function = not isinstance(self.preprocessor, TaskPreprocessor)
        return self.preprocessor(x) if is_function and self._is_in_memory(x) else x

    def _rows(self, x, y, weight, needs_targets=False) -> ExampleRows:
        rows = self.preprocessor.rows(x, y, weight)
        if not len(rows):
            raise InputError("There must be examples. Received: none.")
        if needs_targets and not rows.target_keys:
            raise InputError(
                f"`{type(self).__name__}` needs what it should predict for each example, as `y` or among the examples; "
                f"see `{type(self.preprocessor).__name__}`. Received: examples alone."
            )
        return rows

    def _batches(self, rows, batch_size=None, is_shuffled=False, in_order=False, epoch=0, is_fixed=False):
        """Returns rows in batches, as Keras takes them on the backend in use."""
        size = self.raw_batch_size if batch_size is None else batch_size
        size = whole_number("batch_size", size)
        prepare, in_order = self.preprocessor, in_order or not (is_shuffled or is_fixed)
        # TensorFlow traces Keras' metrics of tokens with a length that it must know.
        is_single = prepare.single_length or self.outputs_by_token and self._compile_metrics is not None
        return RowBatches(
            rows,
            size,
            length=prepare.row_length_for(rows) if is_single or in_order else None,
            seed=np.random.randint(0, 2**31, 2) if is_shuffled else None,
            in_order=in_order,
            epoch=epoch,
            is_fixed=is_fixed,
            multiple=devices_of_a_batch(self),
        ).for_backend()

    def _mapped(self, x, y=None, weight=None, split=None):
        """Returns a dataset or generator of raw batches as one of arrays."""
        if y is not None or weight is not None or split:
            raise ValueError(
                f"A dataset or generator yields labels and weights itself. Expected: batches (x, y) or (x, y, "
                f"sample_weight), without `y`, `sample_weight` and `validation_split` beside it; or lists of all "
                f"examples. Received: {type(x).__name__} with one of these."
            )
        if hasattr(x, "element_spec"):
            return x.map(self.preprocessor)
        if isinstance(x, keras.utils.PyDataset):
            return PreparedDataset(x, self._whole_batch)
        return (self._whole_batch(batch) for batch in x)

    def _evaluated(self, x, y, weight, batch_size):
        """Returns raw examples as batches of arrays, the same in every pass."""
        if not self._is_in_memory(x):
            return self._mapped(x, y, weight)
        return self._batches(self._rows(x, y, weight, needs_targets=True), batch_size, is_fixed=True)

    def _validation(self, data, batch_size):
        """Returns validation data, of which raw examples are batches of arrays."""
        if isinstance(data, list | tuple):
            x, y, weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
            x = self._applied(x)
            is_raw = self.is_raw(x)
            return self._evaluated(x, y, weight, batch_size) if is_raw else (x, *data[1:])
        return self._evaluated(data, None, None, batch_size) if self.is_raw(data) else data

    def _whole_batch(self, batch):
        """Returns a batch of raw examples, as a dataset yields it, as arrays."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch if isinstance(batch, tuple) else (batch,))
        made = self.preprocessor(x, y, weight) if self.is_raw(x) else batch
        return made if isinstance(made, tuple) else (made,)

    def _one_batch(self, x, y, weight):
        return keras.utils.unpack_x_y_sample_weight(self.preprocessor(x, y, weight))
