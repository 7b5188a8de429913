"""Detects divergence: non-finite losses and loss spikes."""

import math

DECAY = 0.98  # of the running mean, per step


class LossGuard:
    """Checks the loss of every step.

    Args:
        spike_nats: float. Rise above the running mean, in nats, that counts as a spike; 0 disables the check.
        loss_scaling: bool. Whether losses are scaled for float16: a gradient that is not finite is then an ordinary
            event, whose update is skipped.

    Attributes:
        mean: float or `None`. Running mean of the loss; part of a run's state.
    """

    def __init__(self, spike_nats: float = 0.0, loss_scaling: bool = False):
        self.spike_nats = spike_nats
        self.loss_scaling = loss_scaling
        self.mean: float | None = None

    def complaint(self, loss: float, finite: bool) -> str | None:
        """Returns what is wrong with the next step's loss, `None` if nothing is.

        Args:
            loss: float. The loss in nats.
            finite: bool. Whether the gradient was finite.
        """
        loss = float(loss)
        if not math.isfinite(loss) and not (self.loss_scaling and not finite):
            return f"the loss is not finite ({loss})"
        if not finite:
            return None if self.loss_scaling else f"the gradient is not finite (the loss is {loss:.4f})"
        if self.spike_nats and self.mean is not None and loss > self.mean + self.spike_nats:
            return f"the loss is {loss:.4f}, its running mean {self.mean:.4f} (--spike_nats={self.spike_nats:g})"
        self.mean = loss if self.mean is None else DECAY * self.mean + (1.0 - DECAY) * loss
        return None
