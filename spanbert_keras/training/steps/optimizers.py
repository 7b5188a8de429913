"""The optimizer of the paper: AdamW, which weights decay, and gradient clipping."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops

from spanbert_keras.kernels.adam import fused_adam
from spanbert_keras.kernels.fusion import fused


@dataclasses.dataclass(frozen=True)
class VariableGroup:
    """Weights with their own settings of the optimizer.

    Attributes:
        variables: list of `keras.Variable`.
        learning_rate: float or `LearningRateSchedule`.
        weight_decay: float. Fraction of a weight, times the learning rate, that an update subtracts; biases and layer
            norms do not decay.
        epsilon: float. Epsilon of Adam.
    """

    variables: Sequence
    learning_rate: object
    weight_decay: float = 0.0
    epsilon: float = 1e-8


def is_decayed(variable) -> bool:
    """Returns whether weight decay applies: to all weights but biases and layer norms (Devlin et al., 2019)."""
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
    bias_correction: bool = True,
):
    """Returns AdamW with decoupled weight decay, its state built for `variables`.

    It does not clip: the trainer clips the summed gradient, since Keras would clip before the sum over replicas.

    Args:
        variables: list of `keras.Variable`. The trainable weights.
        learning_rate: float or `LearningRateSchedule`.
        weight_decay: float. Fraction of a weight, times the learning rate, that an update subtracts. Defaults to `0.1`
            (paper, section 4.2).
        beta_1, beta_2: float. Decay rates of the moments. Defaults to `0.9` and `0.999` (section 4.2).
        epsilon: float. Added outside the bias correction. Defaults to `1e-8` (section 4.2).
        decay_all: bool. Whether biases and layer norms decay too, as in the released code.
        frozen: sequence of some of `variables`. The first `frozen_steps` updates leave them as they are; their moments
            gather meanwhile, so that their own first update has the usual size.
        frozen_steps: int. Updates that leave `frozen` as it is.
        groups: sequence of `VariableGroup`. Some of `variables`, with their own rate, decay and epsilon.
        bias_correction: bool. Whether the moments are divided by 1 - beta^t, as in the paper of Adam; Google's BERT
            was trained without (w <- w - rate (m / (sqrt(v) + epsilon) + decay w)), so its first updates are larger.

    Reference: Loshchilov and Hutter, 2019.
    """
    settings = {"beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon}
    spared = [] if decay_all else [v for v in variables if not is_decayed(v)]
    rest = VariableGroup((), None, weight_decay, epsilon)
    group_of = {id(v): group for group in groups for v in group.variables}
    spared_ids, frozen_ids = {id(v) for v in spared}, {id(v) for v in frozen}
    rules = [
        _UpdateRule(group_of.get(id(v), rest), id(v) not in spared_ids, frozen_steps if id(v) in frozen_ids else 0)
        for v in variables
    ]
    return _AdamWByWeight(variables, rules, learning_rate, bias_correction, weight_decay=weight_decay, **settings)


@dataclasses.dataclass(frozen=True)
class _UpdateRule:
    """How one weight is updated.

    Attributes:
        group: `VariableGroup` of its rate (`None`: the optimizer's), decay and epsilon.
        decays: bool. Whether it decays at all.
        frozen_steps: int. First updates that leave it as it is.
    """

    group: VariableGroup
    decays: bool
    frozen_steps: int

    def rate(self, default, step, dtype):
        """Returns the learning rate at a step, given the optimizer's, as a tensor of `dtype`."""
        own = self.group.learning_rate
        # Cast first: the optimizer's rate may be a Keras variable, which JAX's `where` does not take.
        rate = ops.cast(default if own is None else own(step) if callable(own) else own, dtype)
        return ops.where(step < self.frozen_steps, ops.zeros_like(rate), rate) if self.frozen_steps else rate


class _AdamWByWeight(keras.optimizers.Adam):
    """AdamW with an `_UpdateRule` for each weight. Its state is AdamW's, so checkpoints of both are the same."""

    def __init__(self, variables, rules: Sequence[_UpdateRule], learning_rate, bias_correction: bool, **settings):
        # Keras' own decay has one rate for all weights, and does not wait for frozen ones: `update_step` has ours.
        super().__init__(learning_rate, name="adamw", **settings)
        self.build(variables)
        self.bias_correction = bias_correction
        self._factors: dict = {}
        self.rules = {self._get_variable_index(v): rule for v, rule in zip(variables, rules, strict=True)}

    def _apply_weight_decay(self, variables):
        """Does nothing: `update_step` decays each weight by its own rule."""

    def apply_scaled(self, gradients, factors, variables):
        """Updates the weights by the gradients times factors; the products are part of the update, where it is fused.

        Args:
            gradients: list of tensors.
            factors: list of float32 scalars.
            variables: list of `keras.Variable`.
        """
        self._factors = {self._get_variable_index(v): f for v, f in zip(variables, factors, strict=True)}
        try:
            self.apply(gradients, variables)
        finally:
            self._factors = {}

    def update_step(self, gradient, variable, learning_rate):
        number = self._get_variable_index(variable)
        rule, factor = self.rules[number], self._factors.get(number)
        rate = rule.rate(learning_rate, self.iterations, variable.dtype)
        if self.bias_correction and self._update_fused(gradient, variable, rate, rule, factor):
            return
        if factor is not None:
            gradient = gradient * ops.cast(factor, gradient.dtype)
        if rule.decays:
            self.assign_sub(variable, variable * ops.cast(rule.group.weight_decay, variable.dtype) * rate)
        self.epsilon = rule.group.epsilon
        if self.bias_correction:
            super().update_step(gradient, variable, rate)
        else:
            self._update_uncorrected(gradient, variable, rate)

    def _update_fused(self, gradient, variable, rate, rule, factor) -> bool:
        """Updates a weight in one pass, where that is possible."""
        if variable.dtype != "float32":
            return False
        number = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, "float32")
        corrected = rate * ops.sqrt(1 - ops.power(self.beta_2, step)) / (1 - ops.power(self.beta_1, step))
        return fused_adam(
            variable,
            self._momentums[number],
            self._velocities[number],
            gradient,
            ops.ones(()) if factor is None else factor,
            (rate, corrected),
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=rule.group.epsilon,
            decay=rule.group.weight_decay if rule.decays else 0.0,
        )

    def _update_uncorrected(self, gradient, variable, rate):
        """Updates a weight with the moments as they are."""
        number = self._get_variable_index(variable)
        moment, square = self._momentums[number], self._velocities[number]
        gradient = ops.cast(gradient, variable.dtype)
        self.assign_add(moment, (gradient - moment) * (1 - self.beta_1))
        self.assign_add(square, (ops.square(gradient) - square) * (1 - self.beta_2))
        self.assign_sub(variable, rate * moment / (ops.sqrt(square) + self.epsilon))


def global_norm(gradients):
    """Returns the 2-norm of all gradients together, a float32 scalar."""
    return ops.sqrt(sum(_square_sum(g) for g in gradients))


@fused
def _square_sum(x):
    return ops.sum(ops.square(ops.cast(x, "float32")))


def clip_factor(norm, clip_norm: float | None):
    """Returns the factor that brings a gradient of this norm to at most `clip_norm`; 1 without a limit."""
    if clip_norm is None or clip_norm <= 0:
        return ops.ones_like(norm)
    return ops.minimum(1.0, clip_norm / ops.maximum(norm, 1e-12))


def clip_in_groups(gradients, groups: Sequence[Sequence[int]], clip_norm: float | None, scale):
    """Returns what brings the gradients of each group, together, to a norm of at most `clip_norm`.

    Args:
        gradients: list of arrays. Gradients times `scale`.
        groups: sequence of groups of indices of gradients, each index in one group. Empty: all are one group.
        clip_norm: float or `None`. Norm of a group, at most.
        scale: float scalar. The loss scale, by which the gradients are divided.

    Returns:
        norm: float32 scalar, the 2-norm of all gradients together.
        factors: list of float32 scalars, one for each gradient: multiply the gradient by it.
    """
    groups = groups or [range(len(gradients))]
    norms = [global_norm([gradients[i] for i in group]) / scale for group in groups]
    factors: list = [None] * len(gradients)
    for group, norm in zip(groups, norms, strict=True):
        for i in group:
            factors[i] = clip_factor(norm, clip_norm) / scale
    return (norms[0] if len(norms) == 1 else global_norm(norms)), factors
