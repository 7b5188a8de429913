"""Losses that must not go on: not a number, or a sudden rise."""

import math

DECAY = 0.98  # of the running mean, a step


class LossGuard:
    """Looks at every step's loss.

    Args:
        spike_nats: float. A loss so far above the running mean of the steps before is a spike; 0 looks for none.
        loss_scaling: bool. With float16 a gradient that is not finite is an ordinary event: its update is skipped.

    Attributes:
        mean: float or `None`. The running mean; part of a run's state.
    """

    def __init__(self, spike_nats: float = 0.0, loss_scaling: bool = False):
        self.spike_nats = spike_nats
        self.loss_scaling = loss_scaling
        self.mean: float | None = None

    def complaint(self, loss: float, finite: bool) -> str | None:
        """Takes the next step's loss in nats, and whether its gradient was finite; says what is wrong with it."""
        loss = float(loss)
        if not math.isfinite(loss) and not (self.loss_scaling and not finite):
            return f"the loss is not finite ({loss})"
        if not finite:
            return None if self.loss_scaling else f"the gradient is not finite (the loss is {loss:.4f})"
        if self.spike_nats and self.mean is not None and loss > self.mean + self.spike_nats:
            return f"the loss is {loss:.4f}, its running mean {self.mean:.4f} (--spike_nats={self.spike_nats:g})"
        self.mean = loss if self.mean is None else DECAY * self.mean + (1.0 - DECAY) * loss
        return None
