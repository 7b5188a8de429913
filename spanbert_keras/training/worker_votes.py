"""What the workers of a run decide together: when to stop, when to save."""

from collections.abc import Callable

import numpy as np

from spanbert_keras.training.monitoring.callback_driver import CallbackDriver
from spanbert_keras.training.run.stop_signals import FINISHED, INTERRUPT, PREEMPT, StopSignals
from spanbert_keras.training.steps.step import Step


class WorkerVotes:
    """Votes that travel with every call to the device.

    A signal or an old checkpoint is known to one worker alone. If it acted on that alone, the others would wait for it
    forever in their next collective operation. So every worker sends its votes with a call, the step sums them over the
    workers, and after the call all workers read the same sums and do the same.

    Args:
        step: `Step`.
        signals: `StopSignals`.
        callbacks: `CallbackDriver`; a callback may ask to end the run.
        checkpoint_overdue: called without arguments; returns whether this worker wants a checkpoint now.
    """

    def __init__(
        self, step: Step, signals: StopSignals, callbacks: CallbackDriver, checkpoint_overdue: Callable[[], bool]
    ):
        self.step = step
        self.signals = signals
        self.callbacks = callbacks
        self.checkpoint_overdue = checkpoint_overdue

    def cast(self) -> np.ndarray:
        """Returns this worker's votes: float32 `(4,)`, 1 for yes.

        To stop as interrupted, as preempted, because a callback asks for it; to save.
        """
        received = self.signals.received
        wishes = [received == INTERRUPT, received == PREEMPT, self.callbacks.stop, self.checkpoint_overdue()]
        return np.array(wishes, np.float32)

    def decide(self, votes) -> tuple[str | None, bool]:
        """Returns how the run stops now (`None`: it does not), and whether it saves.

        Args:
            votes: float `(4,)`. The sum over the workers, as the step returned it.
        """
        if self.step.distribution.num_workers == 1:
            votes = self.cast()  # no one to agree with: what came during the call counts at once
        interrupted, preempted, asked, overdue = np.asarray(self.step.to_numpy({"votes": votes})["votes"]) > 0
        outcome = INTERRUPT if interrupted else PREEMPT if preempted else FINISHED if asked else None
        return outcome, bool(overdue)
