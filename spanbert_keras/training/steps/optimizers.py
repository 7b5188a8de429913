"""The optimizer of the paper, and which weights decay."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops


@dataclasses.dataclass(frozen=True)
class VariableGroup:
    """Weights that are trained in a way of their own.

    Attributes:
        variables: list of `keras.Variable`.
        learning_rate: float or `LearningRateSchedule`.
        weight_decay: float. Times the learning rate, of the weight, a step; not of biases and layer norms.
        epsilon: float. Adam's.
    """

    variables: Sequence
    learning_rate: object
    weight_decay: float = 0.0
    epsilon: float = 1e-8


def is_decayed(variable) -> bool:
    """Says whether weight decay applies: to all weights but biases and layer norms (Devlin et al., 2019)."""
    return len(variable.shape) > 1


def make_adamw(
    variables,
    learning_rate,
    weight_decay: float = 0.1,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    decay_all: bool = False,
    frozen: Sequence = (),
    frozen_steps: int = 0,
    groups: Sequence[VariableGroup] = (),
):
    """Returns AdamW with decoupled weight decay, its state built for `variables`.

    It does not clip: the trainer clips the summed gradient, since Keras would clip before the sum over replicas.

    Args:
        variables: list of `keras.Variable`, the trainable weights.
        learning_rate: float or `LearningRateSchedule`.
        weight_decay: float. Times the learning rate, of the weight, a step. Defaults to `0.1` (paper, section 4.2).
        beta_1, beta_2: float. Defaults to `0.9` and `0.999` (section 4.2).
        epsilon: float. Added outside the bias correction. Defaults to `1e-8` (section 4.2).
        decay_all: bool. `True` also decays biases and layer norms, as the released code does.
        frozen: those of `variables` that the first `frozen_steps` updates leave as they are.
        frozen_steps: int.
        groups: sequence of `VariableGroup`. Some of `variables`, with a rate, decay and epsilon of their own.

    Reference: Loshchilov and Hutter, 2019.
    """
    settings = {"weight_decay": weight_decay, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    spared = [] if decay_all else [v for v in variables if not is_decayed(v)]
    if groups:
        return _Grouped(variables, spared, groups, learning_rate=learning_rate, **settings)
    if frozen_steps:
        return _FrozenFirst(variables, spared, frozen, frozen_steps, learning_rate=learning_rate, **settings)
    optimizer = keras.optimizers.AdamW(learning_rate, **settings)
    if spared:
        optimizer.exclude_from_weight_decay(var_list=spared)
    optimizer.build(variables)
    return optimizer


class _FrozenFirst(keras.optimizers.Adam):
    """AdamW that leaves some weights as they are for the first updates.

    Their moments gather meanwhile, so that their first own update has the usual size. The state is AdamW's.
    """

    def __init__(self, variables, spared, frozen, frozen_steps, weight_decay, **settings):
        super().__init__(name="adamw", **settings)  # the decay waits too, so it is in `update_step`
        self.decay = weight_decay
        self.frozen_steps = frozen_steps
        self.build(variables)
        self.spared, self.frozen = ({self._get_variable_index(v) for v in some} for some in (spared, frozen))

    def update_step(self, gradient, variable, learning_rate):
        rate, index = ops.cast(learning_rate, variable.dtype), self._get_variable_index(variable)
        if index in self.frozen:
            rate = ops.where(self.iterations < self.frozen_steps, ops.zeros_like(rate), rate)
        if index not in self.spared:
            self.assign_sub(variable, variable * ops.cast(self.decay, variable.dtype) * rate)
        super().update_step(gradient, variable, rate)


class _Grouped(keras.optimizers.Adam):
    """AdamW with groups of weights that have rate, decay and epsilon of their own. The state is AdamW's."""

    def __init__(self, variables, spared, groups, weight_decay, **settings):
        super().__init__(name="adamw", **settings)
        self.build(variables)
        self.spared = {self._get_variable_index(v) for v in spared}
        rest = VariableGroup((), None, weight_decay, self.epsilon)
        self.group_of = {self._get_variable_index(v): group for group in groups for v in group.variables}
        self.group_of |= {i: rest for i in range(len(variables)) if i not in self.group_of}

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        group = self.group_of[index]
        if group.learning_rate is not None:
            rate = group.learning_rate
            learning_rate = rate(self.iterations) if callable(rate) else rate
        rate = ops.cast(learning_rate, variable.dtype)
        if index not in self.spared:
            self.assign_sub(variable, variable * ops.cast(group.weight_decay, variable.dtype) * rate)
        self.epsilon = group.epsilon
        super().update_step(gradient, variable, rate)


def global_norm(gradients):
    """Returns the 2-norm of all gradients together, a float32 scalar."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))


def clip_factor(norm, clip_norm: float | None):
    """Returns the factor that brings a gradient of this norm to at most `clip_norm`; 1 without a limit."""
    if clip_norm is None or clip_norm <= 0:
        return ops.ones_like(norm)
    return ops.minimum(1.0, clip_norm / ops.maximum(norm, 1e-12))


def clip_in_groups(gradients, groups: Sequence[Sequence[int]], clip_norm: float | None, scale):
    """Brings the gradients of each group, together, to a norm of at most `clip_norm`.

    Args:
        gradients: list of arrays, times `scale`.
        groups: sequence of groups, each of places among the gradients; every place in one. Empty: all are one group.
        clip_norm: float or `None`.
        scale: float scalar, by which the gradients are divided.

    Returns:
        norm: float32 scalar, the 2-norm of all gradients together.
        factors: list of float32 scalars, one for each gradient: what it must be multiplied by.
    """
    groups = groups or [range(len(gradients))]
    norms = [global_norm([gradients[i] for i in group]) / scale for group in groups]
    factors: list = [None] * len(gradients)
    for group, norm in zip(groups, norms, strict=True):
        for i in group:
            factors[i] = clip_factor(norm, clip_norm) / scale
    return (norms[0] if len(norms) == 1 else global_norm(norms)), factors
