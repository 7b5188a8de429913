"""Objective and settings of a training step."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from keras import ops

STEP_KEYS = ("loss", "gradient_norm", "finite", "scales")  # of every update


class Objective(Protocol):
    """The loss to minimise. Its methods are called inside compiled functions, on tensors of any backend."""

    @property
    def target_keys(self) -> tuple[str, ...]:
        """Entries of a training batch besides the model's inputs."""

    @property
    def evaluation_keys(self) -> tuple[str, ...]:
        """Entries that `predict` needs besides the model's inputs."""

    @property
    def count_keys(self) -> tuple[str, ...]:
        """Entries that weight the terms of the loss; their sums over the *global* batch are its denominators."""

    @property
    def score_keys(self) -> tuple[str, ...]:
        """Keys of `score`."""

    def score(self, outputs, batch) -> dict[str, Any]:
        """Returns float32 arrays whose first axis is the batch's rows: what `loss` needs and a log shows."""

    def loss(self, scores, batch, counts):
        """Returns a part's share of the loss, given the global sums `counts` `(len(count_keys),)`; shares add up."""

    def predict(self, outputs, batch) -> dict[str, Any]:
        """Returns what evaluation needs: arrays whose first axis is the batch's rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSettings:
    """Settings of a training step.

    Attributes:
        objective: `Objective`. The loss to minimise.
        clip_norm: float or `None`. Largest global norm of the gradient; `None` does not clip.
        clip_groups: tuple of groups of indices of trainable weights. The gradients of each group are clipped together,
            separately from other groups; empty: all are one group.
        accumulation_steps: int. Number of parts in which a batch is computed, one after the other.
        compile: bool. Whether to compile: XLA on TensorFlow (forward and backward pass), `torch.compile` on torch; JAX
            always compiles.
        scale_loss: bool. Whether to scale losses dynamically, for float16.
        static_shapes: bool. Whether the model needs static shapes of its inputs; TensorFlow then traces each shape
            separately.
    """

    objective: Objective
    clip_norm: float | None = 1.0
    clip_groups: tuple[tuple[int, ...], ...] = ()
    accumulation_steps: int = 1
    compile: bool = False
    scale_loss: bool = False
    static_shapes: bool = False


def batch_keys(model, objective: Objective) -> tuple[str, ...]:
    """Returns the entries of a batch that a training step reads."""
    return (*model.input_keys, *objective.target_keys)


def target_counts(batch: dict[str, np.ndarray], objective: Objective) -> np.ndarray:
    """Returns float32 `(len(count_keys),)`: the denominators of a whole batch's loss."""
    return np.array([batch[key].sum() for key in objective.count_keys], np.float32)


def added_losses(model, of_calls: Sequence = ()):
    """Returns what is added to an objective: a float32 scalar, the sum of `add_loss` losses and weight regularizers.

    Args:
        model: the Keras model.
        of_calls: sequence of scalars that layers added during the model's call.
    """
    regularized = [v for v in model.trainable_variables if v.regularizer is not None]
    losses = [*of_calls, *(v.regularizer(v) for v in regularized)]
    return sum((ops.sum(ops.cast(loss, "float32")) for loss in losses), ops.zeros((), "float32"))


def seed_generators(model) -> list:
    """Returns the seed generators of a model's dropout layers, in a fixed order."""
    found = {}
    for layer in model._flatten_layers():
        for generator in getattr(layer, "_seed_generators", []):
            found[id(generator)] = generator
    return list(found.values())
