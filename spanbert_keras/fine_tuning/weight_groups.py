"""Weights with a learning rate of their own."""

from collections.abc import Sequence

from spanbert_keras.training.steps.optimizers import VariableGroup
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay


def groups_beside(model, learning_rate: float | None, total_steps: int) -> tuple[VariableGroup, ...]:
    """Returns the weights of all layers but the encoder as a group, as the released code of coreference resolution has
    it: their learning rate falls from the first step on, and they do not decay.

    Args:
        model: a model with an `encoder`.
        learning_rate: float. That of the first step. `None`: no group.
        total_steps: int.
    """
    if learning_rate is None:
        return ()
    encoder = {id(variable) for variable in model.encoder.trainable_variables}
    variables = [variable for variable in model.trainable_variables if id(variable) not in encoder]
    return (VariableGroup(variables, WarmupLinearDecay(learning_rate, 0, total_steps)),)


def indices_of(groups: Sequence[VariableGroup], variables) -> tuple[tuple[int, ...], ...]:
    """Returns the indices among the weights of each group, and of the weights in no group; () without groups."""
    if not groups:
        return ()
    index_of = {id(variable): index for index, variable in enumerate(variables)}
    grouped = [tuple(index_of[id(variable)] for variable in group.variables) for group in groups]
    rest = tuple(sorted(set(index_of.values()).difference(*grouped)))
    return tuple(group for group in (rest, *grouped) if group)
