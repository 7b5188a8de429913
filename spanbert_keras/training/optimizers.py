"""The optimizer of the paper, and which weights decay."""

import keras
from keras import ops


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

    Reference: Loshchilov and Hutter, 2019.
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay=weight_decay, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon
    )
    if not decay_all:
        spared = [v for v in variables if not is_decayed(v)]
        if spared:
            optimizer.exclude_from_weight_decay(var_list=spared)
    optimizer.build(variables)
    return optimizer


def global_norm(gradients):
    """Returns the 2-norm of all gradients together, a float32 scalar."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))


def clip_factor(norm, clip_norm: float | None):
    """Returns the factor that brings a gradient of this norm to at most `clip_norm`; 1 without a limit."""
    if clip_norm is None or clip_norm <= 0:
        return ops.ones_like(norm)
    return ops.minimum(1.0, clip_norm / ops.maximum(norm, 1e-12))
