"""Training by `fit` with targets by name. Shape letter: B rows."""

import contextlib
import functools
import inspect
import sys
from typing import ClassVar

import keras
from keras import ops

from spanbert_keras.errors import shown
from spanbert_keras.layers.saving.layer_tree import LayerTree

ACCURACIES = ("accuracy", "acc", "crossentropy", "ce")  # for which Keras chooses a metric that fits the targets


class NamedTargets:
    """Mixin: a model whose `compile`, `fit`, `evaluate` and `train_on_batch` compute what Keras computes.

    Without `compile(loss=...)` the model minimises its own loss. Targets are found by name, in `y` or among the inputs
    `x`; a model with a single target takes a plain `y`, too. The loss of every row is multiplied by its sample weight,
    and the sum is divided by the number of rows (Keras' `sum_over_batch_size`).

    With `compile(loss=...)` Keras' losses are computed as in any functional model: `y` is plain, or a dict by the names
    of the outputs. If it has the model's own targets instead, or is absent, `target_of` maps each output to its
    target. The same holds for `metrics` and `weighted_metrics`.

    `sample_weight` and `class_weight` apply to targets among the inputs too, where Keras alone leaves weights out.

    In both cases regularization losses and those of `add_loss` are added, and on several replicas of a TensorFlow
    strategy the gradient is that of the whole batch, as with Keras' own losses.

    Attributes:
        target_keys: the model's own targets, entries of a training batch beside its inputs.
        target_of: dict from an output to the one of these that Keras' losses and metrics compare it with.
        weight_of: dict from an output to the entry of a batch that weights the elements of its target.
        default_learning_rate: of the optimizer `"auto"`; 2e-5 is in the paper's grid for fine-tuning (appendix B).
    """

    target_keys: tuple[str, ...] = ()
    target_of: ClassVar[dict[str, str]] = {}
    weight_of: ClassVar[dict[str, str]] = {}
    default_learning_rate = 2e-5
    _loss_is_own = True
    _loss_outputs: tuple[str, ...] | None = None

    def own_loss(self, outputs, batch, row_weights):
        """Returns the model's own loss, a scalar, of a batch with all `target_keys`.

        Args:
            outputs: dict of what the model returns.
            batch: dict of inputs and targets.
            row_weights: float `(B,)` or `None`.
        """
        raise NotImplementedError

    def default_metrics(self):
        """Returns the metrics that `"auto"` means, as `compile` takes them."""
        return None

    @property
    def takes_class_weights(self) -> bool:
        """Whether every row has one class, so that `class_weight` has a meaning."""
        return False

    def by_number(self, class_weight):
        """Returns `class_weight` with the numbers of classes as keys."""
        return class_weight

    def plain_targets(self, y):
        """Returns a plain `y` as the model's single target."""
        return y

    # --- Keras' interface

    def compile(self, optimizer="auto", loss="auto", loss_weights=None, metrics=None, weighted_metrics=None, **kwargs):
        """Configures training as `keras.Model.compile`.

        Args:
            optimizer: `"auto"`: Adam with the learning rate `default_learning_rate`.
            loss: `"auto"` or `None`: the model's own loss.
            metrics: `"auto"`: those of the task, such as the accuracy of a classifier. `None`: none, but with the
                optimizer `"auto"` the same as `"auto"`.
            loss_weights, weighted_metrics, **kwargs: as in Keras.

        Raises:
            ValueError: `loss_weights` without a `loss`, an unknown loss or metric, or one for something that is not an
                output.
        """
        if _is_auto(optimizer):
            optimizer = keras.optimizers.Adam(self.default_learning_rate)
            metrics = "auto" if metrics is None and weighted_metrics is None else metrics
        loss = None if _is_auto(loss) else loss
        metrics = self.default_metrics() if _is_auto(metrics) else metrics
        if loss is None and loss_weights is not None:
            raise ValueError(
                "`loss_weights` weight the losses given as `loss`. Expected: both or neither, since the own loss of "
                f"`{type(self).__name__}` is a single one. Received: loss_weights={loss_weights} without a loss."
            )
        self._check_by_output(loss=loss, loss_weights=loss_weights, metrics=metrics, weighted_metrics=weighted_metrics)
        self._compile_loss = None  # Keras keeps that of an earlier call
        self._loss_is_own = loss is None
        self._loss_outputs = tuple(k for k, v in loss.items() if v is not None) if isinstance(loss, dict) else None
        self._compares_unweighted = bool(metrics)
        super().compile(
            optimizer=optimizer,
            loss=loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def get_compile_config(self):
        """Returns what `keras.Model` does, and which weights the optimizer knows if these are not the trainable ones.

        They differ where a layer was frozen after training; Keras alone would lose the optimizer's state.
        """
        config = super().get_compile_config()
        optimizer = getattr(self, "optimizer", None)
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        known = {id(v) for v in getattr(optimizer, "_trainable_variables", ())}
        if config and known and known != {id(v) for v in self.trainable_variables}:
            paths = {id(weight): path for path, (weight, _) in LayerTree(self).weights.items()}
            config["optimized"] = [paths[id(v)] for v in optimizer._trainable_variables]
        return config

    def compile_from_config(self, config):
        """Compiles a loaded model and builds its optimizer, as `keras.Model` does."""
        config = keras.saving.deserialize_keras_object(config)
        optimized = config.pop("optimized", None)
        self.compile(**config)
        if self.optimizer is not None:
            tree = LayerTree(self)
            variables = self.trainable_variables if optimized is None else [tree.weight(path) for path in optimized]
            self.optimizer.build(variables)

    @functools.wraps(keras.Model.fit)
    def fit(self, *args, **kwargs):
        return self._with_weights(functools.partial(keras.Model.fit, self), args, kwargs)

    @functools.wraps(keras.Model.evaluate)
    def evaluate(self, *args, **kwargs):
        return self._with_weights(functools.partial(keras.Model.evaluate, self), args, kwargs)

    @functools.wraps(keras.Model.train_on_batch)
    def train_on_batch(self, *args, **kwargs):
        return self._with_weights(functools.partial(keras.Model.train_on_batch, self), args, kwargs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the loss of a batch for `fit` and `evaluate`."""
        if not self._loss_is_own:
            y, sample_weight = self._by_output(x, y, y_pred, sample_weight)
            with _explained("loss", y, y_pred):
                return super().compute_loss(x, y, y_pred, sample_weight, training=training)
        batch, row_weights = self._named_batch(x, y), self._row_weights(sample_weight)
        # First what layers added: replicas may take turns in `own_loss`, and the next one's call replaces it.
        added = super().compute_loss(x, None, y_pred, None, training=training) if self.losses else None
        loss = self.own_loss(y_pred, batch, row_weights)
        return loss if added is None else loss + added

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Updates the metrics given to `compile`, and returns all."""
        if self._compile_metrics is not None:
            y, sample_weight = self._by_output(x, y, y_pred, sample_weight, for_metrics=True)
        with _explained("metrics", y, y_pred):
            return super().compute_metrics(x, y, y_pred, sample_weight)

    def _check_by_output(self, **given):
        """Raises if something given to `compile` has no name in Keras, or is for outputs that do not exist."""
        names = list(self.output) if getattr(self, "functional", False) else []
        for argument, value in given.items():
            for one in keras.tree.flatten(value):
                if isinstance(one, str) and one not in ACCURACIES:
                    (keras.losses if argument == "loss" else keras.metrics).get(one)
            if hasattr(value, "keys"):
                is_wrong = bool(names) and not set(value) <= {*names, *self.output_names}
            else:
                is_wrong = len(names) > 1 and isinstance(value, list | tuple) and len(value) != len(names)
            if is_wrong:
                raise ValueError(
                    f"`{argument}` is for the outputs of `{type(self).__name__}`. Expected: a dict by their names, "
                    f"{names}. Received: {argument}={shown(value)}."
                )

    # --- targets

    def _with_weights(self, method, args, kwargs):
        """Calls one of Keras' methods; with weights the targets are in `y`, where Keras needs them."""
        call = inspect.signature(method).bind(*args, **kwargs)
        given = call.arguments
        x, y, weight = given.get("x"), given.get("y"), given.get("sample_weight")
        classes = given.get("class_weight")
        if classes is not None:
            self._check_class_weights(y)
            given["class_weight"] = self.by_number(classes)
            given["x"], given["y"] = self._plain_y(x, y)
        elif weight is not None:
            given["x"], given["y"], given["sample_weight"] = self._apart(x, y, weight)
        validation = given.get("validation_data")
        if isinstance(validation, list | tuple) and len(validation) == 3 and validation[2] is not None:
            given["validation_data"] = self._apart(*validation)
        return method(*call.args, **call.kwargs)

    def _apart(self, x, y, weight):
        """Returns inputs, targets and sample weights; without a `y` the targets are taken out of the inputs."""
        if hasattr(weight, "keys") and self._loss_is_own:
            if len({id(value) for value in weight.values()}) != 1:
                raise ValueError(self._of_whole_rows(weight))
            weight = next(iter(weight.values()))
        if y is not None or not hasattr(x, "keys"):
            return x, y, weight
        keys = {*self.target_keys, *self.target_of} & set(x)
        y = {key: x[key] for key in x if key in keys} or None
        if hasattr(weight, "keys") and set(weight) != keys:
            raise ValueError(
                "`sample_weight` by name needs one entry for each target of the batch. "
                f"Expected: {sorted(keys)}, or one array of shape (B,). Received: {sorted(weight)}."
            )
        return {key: x[key] for key in x if key not in keys}, y, weight

    def _check_class_weights(self, y):
        """Raises if rows do not have one class each, unless Keras has a loss and a plain `y` to weight."""
        if not self.takes_class_weights and (self._loss_is_own or y is None or hasattr(y, "keys")):
            raise ValueError(
                f"`class_weight` weights rows by their class, and the targets of this `{type(self).__name__}` are not "
                "one class per row. Expected: `sample_weight` of shape (B,)."
            )

    def _plain_y(self, x, y):
        """Returns inputs and targets as `class_weight` needs them: the single target is a plain `y`."""
        names = (*self.target_keys, *self.target_of)

        def split(x, y=None, *weights):
            source = x if y is None else y
            name = next((name for name in names if hasattr(source, "keys") and name in source), None)
            if name is None:
                return (x, y, *weights)
            return ({key: x[key] for key in x if key not in names} if y is None else x, source[name], *weights)

        if y is None and hasattr(x, "element_spec"):  # a `tf.data.Dataset`
            return x.map(lambda *batch: split(*batch)), None
        if y is None and isinstance(x, keras.utils.PyDataset):
            batch = x[0] if isinstance(x[0], tuple) else (x[0],)
            if len(split(*batch)) > len(batch) or len(batch) > 1 and hasattr(batch[1], "keys"):
                raise ValueError(
                    "`class_weight` needs the plain target beside the inputs in a PyDataset. Expected: batches (x, y) "
                    f"with the classes as `y`. Received: `{self.target_keys[0]}` in a dict."
                )
        return split(x, y)

    def _of_whole_rows(self, weights) -> str:
        return (
            f"`{type(self).__name__}` weights whole rows: its own loss is a single one. "
            f"Expected: one `sample_weight` of shape (B,). Received: weights of {sorted(weights)}."
        )

    def _named_batch(self, x, y) -> dict:
        """Returns inputs and targets by name."""
        if y is not None and not hasattr(y, "keys") and len(self.target_keys) == 1:
            y = {self.target_keys[0]: self.plain_targets(_single(y))}
        given = _entries(x) | _entries(y)
        for output, key in self.target_of.items():
            if key not in given and output in given:
                given[key] = given[output]
        missing = [key for key in self.target_keys if key not in given]
        if missing:
            raise ValueError(f"Training needs the targets {self.target_keys}, by name. Missing: {missing}.")
        return given

    def _row_weights(self, sample_weight):
        """Returns the weight of each row, or `None`."""
        if not hasattr(sample_weight, "keys"):
            return sample_weight
        if len(sample_weight) > 1 and not set(sample_weight) <= {*self.target_keys, *self.target_of}:
            raise ValueError(self._of_whole_rows(sample_weight))
        return next(iter(sample_weight.values()))  # Keras repeats one weight for each entry of a dict of targets

    def _by_output(self, x, y, y_pred, sample_weight, for_metrics=False):
        """Returns targets and sample weights as Keras takes them: plain, or by the names of the outputs."""
        if y is not None and not hasattr(y, "keys"):
            return y, sample_weight
        given = _entries(x) | _entries(y)
        wanted = y_pred if for_metrics or self._loss_outputs is None else self._loss_outputs
        targets, weights, own = {}, {}, []
        for output in wanted:
            key = output if output in given else self.target_of.get(output)
            if key in given:
                targets[output] = given[key] if key == output else self.comparable(key, given[key])
                own += [output] * (key != output)
                weights[output] = self._weight_of(output, key, given, sample_weight)
        missing = [output for output in wanted if output not in targets]
        if missing:
            raise ValueError(
                f"Keras' losses and metrics need a target for each output of `{type(self).__name__}`. "
                f"Missing: {missing}. Give them as `y`, a dict by these names{self._instead()}."
            )
        if for_metrics and self._compares_unweighted and any(output in self.weight_of for output in own):
            raise ValueError(
                f"`metrics` would count the padding of {sorted(set(self.target_of.values()))} too. Use "
                "`weighted_metrics`; `fit` also reports the model's own accuracies."
            )
        if all(weight is None for weight in weights.values()):
            return targets, None
        return targets, weights

    def _weight_of(self, output, key, given, sample_weight):
        """Returns the sample weight of an output's target, or `None`."""
        if hasattr(sample_weight, "keys"):
            sample_weight = sample_weight.get(output, sample_weight.get(key))
        entry = self.weight_of.get(output)
        if key == output or entry not in given:
            return sample_weight
        weight = ops.cast(given[entry], "float32")
        if sample_weight is None:
            return weight
        rows = ops.cast(sample_weight, "float32")
        return weight * ops.reshape(rows, (-1, 1)) if len(rows.shape) < len(weight.shape) else weight * rows

    def comparable(self, key, targets):
        """Returns one of the model's own targets as Keras' losses and metrics take it."""
        return targets

    def _instead(self) -> str:
        return f", or the model's own targets {sorted(set(self.target_of.values()))}" if self.target_of else ""


def mean_over_rows(losses, row_weights):
    """Returns sum(losses x weights) / B as Keras reduces a loss: on R replicas of a strategy, a share of 1 / R of it.

    Args:
        losses: float `(B,)`.
        row_weights: float `(B,)` or `None`.
    """
    return _Given(name="row_losses")(losses, losses, row_weights)


def sum_over_replicas(values: list) -> list:
    """Returns each scalar summed over the replicas of a TensorFlow strategy, inside `fit`; elsewhere as it is."""
    if keras.backend.backend() != "tensorflow":
        return values
    distribute = sys.modules["tensorflow"].distribute  # loaded, since it is the backend
    context = distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(distribute.ReduceOp.SUM, values)


class _Given(keras.losses.Loss):
    """Keras' reduction of losses that are known already."""

    def call(self, y_true, y_pred):
        return y_pred


@contextlib.contextmanager
def _explained(argument: str, y, y_pred):
    """Adds the shapes of targets and outputs to what a loss or metric raises if these are not the same."""
    try:
        yield
    except Exception as error:
        of_targets, of_outputs = (_shapes(part) for part in (y, y_pred))
        if of_targets == of_outputs:
            raise
        raise ValueError(
            f"The {argument} given to `compile` cannot compare the targets with the outputs. Expected: one for targets "
            f"of shape {of_targets} and outputs of shape {of_outputs}, such as `SparseCategoricalCrossentropy` for "
            f"numbers of classes; without it the model uses its own. Received: one that fails with: {error}"
        ) from error


def _shapes(tensors):
    return keras.tree.map_structure(lambda one: tuple(one.shape), tensors)


def _is_auto(argument) -> bool:
    return isinstance(argument, str) and argument == "auto"


def _entries(data) -> dict:
    return dict(data) if hasattr(data, "keys") else {}


def _single(y):
    return y[0] if isinstance(y, list | tuple) and len(y) == 1 else y
