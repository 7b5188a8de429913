"""The training step: one interface on every backend. K steps of a call, B rows of this worker."""

from typing import Any, Protocol

import numpy as np

from spanbert_keras.training.distributed.distribution import Distribution
from spanbert_keras.training.steps.objective import Objective, StepSettings, batch_keys, seed_generators


class Step(Protocol):
    """Computes losses and updates of a model, several steps per call; each backend has its own subclass.

    An update is: the gradient of the loss over the *global* batch, summed over parts and replicas; a check that its
    norm is finite; clipping; the optimizer. An update whose gradient is not finite changes neither weights nor
    optimizer state. Randomness is an input: the seeds of all dropout layers come with the call.

    Args:
        model: `SpanBertPretrainer` or a task model, made in the distribution's scope.
        optimizer: built Keras optimizer over the model's trainable variables, made there too; it must not clip.
        settings: `StepSettings`.
        distribution: `Distribution`. Defaults to one device of one process.

    Attributes:
        model, optimizer, settings, distribution: the arguments.
        objective: `Objective`. That of the settings.
        keys: tuple of str. Entries of a batch that `train` reads.
        evaluation_keys: tuple of str. Entries of a batch that `evaluate` reads.
        variables: list of `keras.Variable`. The trainable weights.
        generators: list of `keras.random.SeedGenerator`. Those of the dropout layers, in a fixed order.
    """

    model: Any
    optimizer: Any
    settings: StepSettings
    distribution: Distribution
    objective: Objective
    keys: tuple[str, ...]
    evaluation_keys: tuple[str, ...]
    variables: list
    generators: list

    def __init__(self, model, optimizer, settings: StepSettings, distribution: Distribution | None = None):
        self.model = model
        self.optimizer = optimizer
        self.settings = settings
        self.distribution = distribution or Distribution()
        self.objective = settings.objective
        self.keys = batch_keys(model, self.objective)
        self.evaluation_keys = (*model.input_keys, *self.objective.evaluation_keys)
        self.variables = list(model.trainable_variables)
        self.generators = seed_generators(model)

    def train(self, batches: dict[str, np.ndarray], seeds, scale, scale_steps, votes=(0.0,)) -> dict[str, Any]:
        """Updates the model K times.

        Args:
            batches: dict of arrays `(K, B, ...)`: this worker's rows of K batches; B is a multiple of its replicas
                times the accumulation steps.
            seeds: uint32 `(K, replicas of this worker, accumulation steps, dropout layers, 2)`.
            scale, scale_steps: state of the loss scale; pass back what the last call returned.
            votes: float `(N,)`. Summed over the workers, for decisions that they must take together.

        Returns:
            dict of tensors: the objective's scores of this worker's rows `(K, B, ...)`; for each global batch `loss`,
            `gradient_norm`, `finite`, `scales` (the loss scale it used), `(K,)`; the new `scale` and `scale_steps`;
            `votes`.
        """
        ...

    def evaluate(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """Returns the objective's predictions for this worker's rows, without dropout.

        Args:
            batch: dict of arrays `(B, ...)`.
        """
        ...

    def to_numpy(self, results: dict[str, Any]) -> dict[str, np.ndarray]:
        """Returns the results of `train` or `evaluate` as arrays; of global arrays, this worker's rows."""
        ...

    def start_profile(self, folder: str) -> None:
        """Starts to record what the devices do."""
        ...

    def stop_profile(self) -> None:
        """Stops recording and writes the profile into its folder."""
        ...
