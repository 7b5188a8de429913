"""Training and prediction from raw examples. Shape letters: E examples, N rows, C classes."""

import functools
import types
from typing import Any

import keras
import numpy as np

from spanbert_keras.models.named_targets import NamedTargets
from spanbert_keras.models.replicas import check_replicas, devices_of_a_batch
from spanbert_keras.preprocessing.preprocessors.prepared_dataset import PreparedDataset
from spanbert_keras.preprocessing.preprocessors.row_batches import RowBatches, split_examples
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
        validation_size = kwargs.get("validation_batch_size") or batch_size
        if self.is_raw(x) and validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_examples((x, y, sample_weight), validation_split)
        if self.is_raw(x):
            x, count = self._prepared(x, y, sample_weight, batch_size, shuffle, initial_epoch, class_weight)
            y = sample_weight = batch_size = None
            shuffle = False  # was done, or is the dataset's own matter
            class_weight = class_weight if count is None else None
            validation_split = 0.0
        if validation_data is not None:
            validation_data = self._prepared_validation(validation_data, validation_size)
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
        if self.is_raw(x):
            x, _ = self._prepared(x, y, sample_weight, batch_size, is_fixed=True)
            y = sample_weight = batch_size = None
        return super().evaluate(x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, **kwargs)

    @functools.wraps(keras.Model.predict)
    def predict(self, x, batch_size=None, **kwargs):
        count = None
        if self.is_raw(x):
            x, count = self._prepared(x, None, None, batch_size, in_order=True, is_fixed=True)
            batch_size = None
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

    def _prepared(self, x, y, weight, batch_size, shuffle=False, epoch=0, class_weight=None, **kind):
        """Returns raw examples as batches of arrays, and the number of rows if these were made here."""
        prepare = self.preprocessor
        if hasattr(x, "element_spec"):
            return x.map(prepare), None
        if isinstance(x, keras.utils.PyDataset):
            return PreparedDataset(x, self._whole_batch), None
        if isinstance(x, types.GeneratorType):
            return (self._whole_batch(batch) for batch in x), None
        if not isinstance(prepare, TaskPreprocessor):  # any function of x
            x = prepare(x)
            return keras.utils.pack_x_y_sample_weight(x, y, weight), None
        rows = self._weighted(prepare.rows(x, y, weight), class_weight)
        # TensorFlow traces Keras' metrics of tokens with a length that it must know.
        is_single = prepare.single_length or self.outputs_by_token and self._compile_metrics is not None
        length = prepare.row_length_for(rows) if is_single or kind.get("in_order") else None
        seed = np.random.randint(0, 2**31, 2) if shuffle else None
        kind["multiple"] = devices_of_a_batch(self)
        batches = RowBatches(rows, batch_size or self.raw_batch_size, length, seed, epoch=epoch, **kind)
        return batches.for_backend(), len(rows)

    def _prepared_validation(self, data, batch_size):
        """Returns validation data, of which raw examples are batches of arrays."""
        if isinstance(data, list | tuple) and not hasattr(data, "element_spec"):
            x, y, weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
            return self._prepared(x, y, weight, batch_size, is_fixed=True)[0] if self.is_raw(x) else data
        return self._prepared(data, None, None, batch_size, is_fixed=True)[0] if self.is_raw(data) else data

    def _whole_batch(self, batch):
        """Returns a batch of raw examples, as a dataset yields it, as arrays."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch if isinstance(batch, tuple) else (batch,))
        made = self.preprocessor(x, y, weight) if self.is_raw(x) else batch
        return made if isinstance(made, tuple) else (made,)

    def _one_batch(self, x, y, weight):
        return keras.utils.unpack_x_y_sample_weight(self.preprocessor(x, y, weight))

    def _weighted(self, rows, class_weight):
        """Returns rows whose weights are those of their classes."""
        if class_weight is not None:
            self._check_class_weights(None)
            rows.weigh_classes(class_weight)
        return rows
