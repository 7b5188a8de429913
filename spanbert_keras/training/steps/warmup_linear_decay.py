"""The learning-rate schedule of the paper: warm-up, then linear decay."""

import keras
from keras import ops

DECAYS = ("after_warmup", "from_start", "none")


@keras.saving.register_keras_serializable(package="spanbert_keras")
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to the peak over the warm-up steps, then falls linearly to zero at the last step.

        step < warmup_steps:   peak (step + 1) / warmup_steps
        after_warmup:          peak (total_steps - step) / (total_steps - warmup_steps)
        from_start:            peak (total_steps - step) / total_steps, as in the released code: the line is not
                               shifted by the warm-up, so the rate drops a little where it takes over
        none:                  peak

    Args:
        peak: float. Learning rate at the end of the warm-up.
        warmup_steps: int. Steps in which the rate rises.
        total_steps: int. Step at which the rate is zero.
        decay: `"after_warmup"`, `"from_start"` or `"none"`. How the rate falls, see above.

    Call arguments:
        step: int scalar. Updates made so far.

    Raises:
        ValueError: `decay` is unknown, or the warm-up is not shorter than the run.

    Example:

    ```python
    import keras
    from spanbert_keras import WarmupLinearDecay

    rate = WarmupLinearDecay(1e-4, warmup_steps=10_000, total_steps=2_400_000)  # the paper's
    float(rate(9_999))  # the peak: 1e-4
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.1)
    ```

    Reference: Joshi et al., 2020, section 4.2.
    """

    def __init__(self, peak, warmup_steps, total_steps, decay="after_warmup"):
        super().__init__()
        if decay not in DECAYS or not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"`decay` must be one of {DECAYS} and `warmup_steps` below `total_steps`. "
                f"Received: decay={decay!r}, warmup_steps={warmup_steps}, total_steps={total_steps}."
            )
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.decay = decay

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = (step + 1.0) / max(1, self.warmup_steps)
        if self.decay == "none":
            falling = ops.ones_like(step)
        else:
            begin = self.warmup_steps if self.decay == "after_warmup" else 0
            falling = ops.maximum(0.0, self.total_steps - step) / (self.total_steps - begin)
        return self.peak * ops.where(step < self.warmup_steps, rising, falling)

    def get_config(self):
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "decay": self.decay,
        }
