"""Dynamic loss scaling for float16, as pure functions of (scale, steps since it changed)."""

from keras import ops

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000  # steps without overflow after which the scale doubles (Micikevicius et al., 2018)
MINIMUM_SCALE = 2.0**-14  # about 1e-4, below which the released code gives up


def next_scale(scale, steps, finite):
    """Returns the scale and step count after an update.

    Args:
        scale: float32 scalar. The scale that the update used.
        steps: int32 scalar. Updates since the scale last changed.
        finite: bool scalar. Whether all gradients were finite, on every replica.

    Returns:
        float32 scalar and int32 scalar: doubled after `GROWTH_STEPS` good steps, halved after a bad one.
    """
    grown = ops.cast(ops.greater_equal(steps + 1, GROWTH_STEPS), "int32")
    good_scale = scale * ops.cast(1 + grown, "float32")
    good_steps = (steps + 1) * (1 - grown)
    return ops.where(finite, good_scale, scale * 0.5), ops.where(finite, good_steps, ops.zeros_like(steps))
