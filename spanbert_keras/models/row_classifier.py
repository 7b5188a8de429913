"""The base of classifiers of texts, pairs and sentences with entities. Shape letters: B batch, T tokens, C classes."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from spanbert_keras.arguments import one_of, real_number, whole_number
from spanbert_keras.errors import InputError, shown
from spanbert_keras.layers.classification_head import ClassificationHead
from spanbert_keras.layers.functional import is_plain
from spanbert_keras.losses.classification_loss import classification_losses, multi_label_losses, regression_losses
from spanbert_keras.models.bucketed_prediction import BucketedPrediction
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.models.temperature import checked_temperature, given_temperature
from spanbert_keras.preprocessing.length_buckets import row_lengths
from spanbert_keras.preprocessing.piece_row import PieceRow, pad_rows

LOSSES = {  # by problem type
    "single_label": classification_losses,
    "multi_label": multi_label_losses,
    "regression": regression_losses,
}
FEWEST_LABELS = {"single_label": 2, "multi_label": 1, "regression": 0}


class RowClassifier(BucketedPrediction):
    """Base of the classifiers: an encoder with a head on [CLS].

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        labels, row_length, pooler, dropout, problem_type, temperature: see `SpanBertTextClassifier`.
        dtype: dtype policy or its name. `None`: the encoder's.

    Attributes:
        labels: tuple of str. The classes, or the names of a regression's numbers, in the order of the logits; () for
            one number without a name.
        problem_type: `"single_label"`, `"multi_label"` or `"regression"`: what the logits mean.
        temperature: float. Number that logits are divided by for probabilities; may be set.

    Raises:
        ValueError: an encoder without tokenizer, a row longer than the encoder reads, invalid labels.
    """

    input_keys = ("token_ids", "segment_ids", "padding_mask")
    target_keys = ("label_targets",)
    target_of: ClassVar = {"logits": "label_targets"}
    pad = staticmethod(pad_rows)

    def __init__(
        self, encoder, labels, row_length, pooler, dropout, problem_type=None, dtype=None, temperature=1.0, **kwargs
    ):
        row_length = min(128, encoder.max_sequence_length) if row_length is None else row_length
        row_length = whole_number("row_length", row_length)
        if row_length > encoder.max_sequence_length:
            raise ValueError(
                f"`row_length` must be at most the encoder's {encoder.max_sequence_length} positions. "
                f"Received: {row_length}."
            )
        labels, problem_type = checked_labels(labels, problem_type)
        head = ClassificationHead(len(labels) or 1, pooler, dropout, dtype=encoder.dtype_policy, name="head")
        super().__init__(encoder, lambda sequence, inputs: {"logits": head(sequence)}, dtype, **kwargs)  # (B, C)
        self._graph_parts = functools.partial(tuple, (encoder, head))
        self.labels = labels
        self.row_length = row_length
        self.head = head
        self.problem_type = problem_type
        self.temperature = checked_temperature(temperature)

    def call(self, inputs, training=None, mask=None, **kwargs):
        """Returns the logits of the graph, up to rounding and with other masks of dropout in the last block.

        Of that it computes the one vector that the head reads.
        """
        encoder, head = self._graph_parts()
        first = None
        if type(head) is ClassificationHead and is_plain(head) and not getattr(head, "_forward_hooks", None):
            first = encoder.first_vectors(inputs, training)  # (B, 1, D)
        if first is None or kwargs:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        return {"logits": head(first, **({} if training is None else {"training": training}))}  # (B, C)

    def lowest_score(self, min_score: float | None) -> float:
        """Returns a lowest probability as a number, 0 for `None`.

        Raises:
            InputError: it is not from 0 to 1, or the model gives numbers.
        """
        if min_score is not None and self.problem_type == "regression":
            raise InputError("A regression gives numbers, not probabilities: it takes no `min_score`.")
        return 0.0 if min_score is None else real_number("min_score", min_score, 0, 1)

    def logits_of(
        self,
        rows: Sequence[PieceRow],
        batch_size: int = 32,
        compute: Callable | None = None,
        advance: Callable[[int], object] = lambda rows: None,
    ) -> np.ndarray:
        """Returns the logits of rows, float32 `(len(rows), C)`; rows of similar length are computed together.

        Args:
            rows: sequence of `PieceRow`.
            batch_size: int. Rows of the longest length that are computed at once; of shorter rows as many tokens.
            compute: function from a batch of inputs to the outputs as arrays; it always gets `batch_size` rows. `None`:
                this model.
            advance: function that is called with the number of rows after each batch.

        Raises:
            InputError: the batch size is not positive, or logits are not finite.
        """
        batch_size = whole_number("batch_size", batch_size)
        lengths = [len(row) for row in rows]
        found = np.zeros((len(rows), len(self.labels) or 1), np.float32)
        for part, size, length in self.batches_of(lengths, self.row_length, batch_size, static=compute is not None):
            places = part.tolist()
            filled = [rows[place] for place in places + places[-1:] * (size - len(places))]
            outputs = (compute or self.compute_rows)(pad_rows(filled, length))
            found[part] = outputs["logits"][: len(part)]
            advance(len(part))
        if not np.isfinite(found).all():
            raise InputError(
                "The model returned non-finite logits. Expected: numbers. Retrain it, or load another checkpoint."
            )
        return found

    def probabilities(self, logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
        """Returns the probability of each label, float64 `(N, C)`: the softmax of the logits, divided by the
        temperature, over their last axis, or the sigmoid of each one if a text may have several labels.

        Args:
            logits: float `(N, C)`.
            temperature: float. `None`: the model's.

        Raises:
            ValueError: the model gives numbers, which have no probabilities.
        """
        if self.problem_type == "regression":
            raise ValueError("A regression gives numbers. Expected: a model with classes. Received: regression.")
        logits = logits.astype(np.float64) / checked_temperature(
            self.temperature if temperature is None else temperature
        )
        if self.problem_type == "multi_label":
            return np.exp(-np.logaddexp(0.0, -logits))  # 1 / (1 + e^-x) without overflow
        shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)

    def warm_up(self, batch_size: int = 32) -> None:
        """Compiles all that is used with this batch size, on JAX at most eight shapes, so that no later call has to."""
        row = PieceRow(np.zeros(1, np.int32), np.zeros(1, np.int32))
        for length in row_lengths(self.row_length):
            for rows in sorted({1, batch_size}):
                self.compute_rows(pad_rows([row] * rows, length))

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`, with `label_targets`, float `(B, C)`: the cross-entropy, the
        mean binary cross-entropy of several labels, or the mean squared error of numbers. `ValueError` for targets of
        another shape, which would be broadcast."""
        targets, width = ops.convert_to_tensor(batch["label_targets"]), len(self.labels) or 1
        if len(targets.shape) != 2 or targets.shape[1] not in (None, width):
            raise ValueError(f"`label_targets` must be of shape (B, {width}). Received: {tuple(targets.shape)}.")
        return LOSSES[self.problem_type](outputs["logits"], targets)

    def default_metrics(self):
        """Returns the accuracy, of each label if there are several for a text, or the root mean squared error."""
        if self.problem_type == "single_label":
            return ["accuracy"]
        if self.problem_type == "multi_label":
            return [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]  # of a logit
        return [keras.metrics.RootMeanSquaredError()]

    @property
    def takes_class_weights(self) -> bool:
        return self.problem_type == "single_label"

    def by_number(self, class_weight):
        """Returns `class_weight` with the numbers of classes as keys, also if it has their names.

        Raises:
            ValueError: a class is not one of the model's.
        """
        if class_weight is None or not self.takes_class_weights:
            return class_weight  # which is rejected elsewhere
        if not isinstance(class_weight, Mapping):
            raise InputError(f"`class_weight` must be a dict. Received: {shown(class_weight)}.")
        numbers = {name: number for number, name in enumerate(self.labels)}
        found = {numbers.get(key, key) for key in class_weight}
        if not found <= set(range(len(self.labels))):
            raise ValueError(
                f"`class_weight` has classes that the model does not have. Expected: some of {list(self.labels)}, or "
                f"their numbers. Received: {list(class_weight)}."
            )
        return {numbers.get(key, key): weight for key, weight in class_weight.items()}

    def plain_targets(self, y):
        """Returns a plain `y` as `label_targets`; for single labels class numbers, `(B,)` or `(B, 1)`, become one-hot
        rows."""
        targets = ops.convert_to_tensor(y)
        if self.problem_type == "single_label" and (len(targets.shape) == 1 or targets.shape[1] == 1):
            return ops.one_hot(ops.cast(ops.reshape(targets, (-1,)), "int32"), len(self.labels))
        return ops.expand_dims(targets, 1) if len(targets.shape) == 1 else targets

    def get_config(self):
        config = TaskModel.get_config(self) | {
            "labels": list(self.labels),
            "row_length": self.row_length,
            "pooler": self.head.pooler,
            "dropout": self.head.dropout,
        }
        return config | given_temperature(self.temperature)


def _tuple_of_labels(labels) -> tuple:
    try:
        return tuple(labels)
    except TypeError:
        raise InputError(f"`labels` must be a list of names. Received: labels={shown(labels)}.") from None


def checked_labels(labels, problem_type: str | None = None) -> tuple[tuple[str, ...], str]:
    """Returns labels as a tuple, and the problem type: as given, else regression if there are no labels.

    Raises:
        ValueError: an unknown problem type, labels that are not different strings, or too few of them.
    """
    labels = (labels,) if isinstance(labels, str) else () if labels is None else _tuple_of_labels(labels)
    problem_type = problem_type or ("single_label" if labels else "regression")
    one_of("problem_type", problem_type, tuple(LOSSES))
    wrong = not all(isinstance(label, str) for label in labels) or len(set(labels)) < len(labels)
    if wrong or len(labels) < FEWEST_LABELS[problem_type]:
        expected = {
            "single_label": "several different names, or none for regression",
            "multi_label": "different names, at least one, if a text may have several",
            "regression": "different names, one for each number",
        }
        raise ValueError(f"`labels` must be {expected[problem_type]}. Received: {shown(labels)}.")
    return labels, problem_type


def numbered_labels(labels, num_classes: int | None):
    """Returns the labels, or if there is only their number, "0", "1" and so on.

    Raises:
        ValueError: both are given and disagree, or the number is not positive.
    """
    if num_classes is None:
        return labels
    wrong = isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1
    if wrong or labels and max(1, len(labels)) != num_classes:
        raise ValueError(
            f"`num_classes` must be the number of labels, at least 1. Received: num_classes={shown(num_classes)} with "
            f"labels={shown(labels)}."
        )
    return labels or ([str(number) for number in range(num_classes)] if num_classes > 1 else ())
