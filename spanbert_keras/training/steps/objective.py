"""What a training step is told about the model that it trains."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from keras import ops

STEP_KEYS = ("loss", "gradient_norm", "finite", "scales")  # of every update


class Objective(Protocol):
    """What is minimised. Everything here is called inside compiled functions, on tensors of any backend."""

    @property
    def target_keys(self) -> tuple[str, ...]:
        """Entries of a training batch beside the model's inputs."""

    @property
    def evaluation_keys(self) -> tuple[str, ...]:
        """Those that `predict` needs."""

    @property
    def count_keys(self) -> tuple[str, ...]:
        """Entries, weights of whatever the loss is a mean over, whose sums over the *global* batch divide it."""

    @property
    def score_keys(self) -> tuple[str, ...]:
        """Keys of `score`."""

    def score(self, outputs, batch) -> dict[str, Any]:
        """Returns float32 arrays that begin with the batch's rows: what `loss` needs and a log shows."""

    def loss(self, scores, batch, counts):
        """Returns the loss of a part of a batch whose global sums are `counts` `(len(count_keys),)`: parts add up."""

    def predict(self, outputs, batch) -> dict[str, Any]:
        """Returns what evaluation needs, arrays that begin with the batch's rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a training step needs to know beside the batch.

    Attributes:
        objective: `Objective`.
        clip_norm: float or `None`. Global gradient norm at most.
        clip_groups: groups of places among the trainable weights whose gradients are clipped together, each group by
            itself; empty: all together.
        accumulation_steps: int. Parts in which a batch is computed one after the other.
        compile: bool. XLA on TensorFlow (forward and backward pass), `torch.compile` on torch; JAX always compiles.
        scale_loss: bool. Dynamic loss scaling, for float16.
        static_shapes: bool. Whether the model must know its inputs' shapes; TensorFlow then traces each by itself.
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
    """Returns float32 `(len(count_keys),)`: what the loss of a whole batch is divided by."""
    return np.array([batch[key].sum() for key in objective.count_keys], np.float32)


def added_losses(model, of_calls: Sequence = ()):
    """Returns what is added to an objective, a float32 scalar: losses of `add_loss`, and regularizers of weights.

    Args:
        model: Keras model.
        of_calls: scalars that layers added during the model's call.
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
