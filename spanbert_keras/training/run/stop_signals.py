"""Signals that end a run between two steps, not in the middle of one."""

import signal

FINISHED, INTERRUPT, PREEMPT = "finished", "interrupted", "preempted"  # how a run ends
NAMES = {"SIGINT": INTERRUPT, "SIGTERM": PREEMPT, "SIGUSR1": PREEMPT}


class StopSignals:
    """Remembers that Ctrl-C (SIGINT) came, or SIGTERM or SIGUSR1, which schedulers send before preemption.

    While `deferred` is false there is nothing to save, and a signal ends the process at once. A second Ctrl-C always
    does. Only the main thread receives signals; in another thread this class does nothing.

    Args:
        preemption_exit_code: int. Exit code after SIGTERM or SIGUSR1.

    Attributes:
        received: `None`, `"interrupted"` or `"preempted"`.
        deferred: bool. Whether the training loop checks `received` and stops by itself.
    """

    def __init__(self, preemption_exit_code: int = 75):
        self.preemption_exit_code = preemption_exit_code
        self.received: str | None = None
        self.deferred = False
        self._previous: dict = {}

    def exit_code(self, outcome: str | None = None) -> int:
        """Returns the exit code of a run that ended with `outcome`. Defaults to `received`."""
        return 130 if (outcome or self.received) == INTERRUPT else self.preemption_exit_code

    def __enter__(self) -> "StopSignals":
        self.arm()
        return self

    def arm(self) -> None:
        """Installs the handlers, again if need be: TensorFlow and JAX take SIGTERM when they join a cluster."""
        try:
            for name in NAMES:
                if hasattr(signal, name):  # Windows has fewer
                    number = getattr(signal, name)
                    before = signal.signal(number, self._handle)
                    self._previous.setdefault(number, before)
        except ValueError:  # not in the main thread
            pass

    def __exit__(self, *error) -> None:
        for number, handler in self._previous.items():
            # `None`: it was not installed from Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._previous = {}

    def check(self) -> None:
        """Ends the process if a signal came but its exception was swallowed, e.g. during garbage collection."""
        if self.received is not None and not self.deferred:
            raise SystemExit(self.exit_code())

    def _handle(self, number, frame) -> None:
        kind = NAMES[signal.Signals(number).name]
        # No log line: the signal may have come in the middle of one.
        again = self.received == INTERRUPT and kind == INTERRUPT
        self.received = self.received or kind
        if not self.deferred or again:
            if kind == INTERRUPT:
                raise KeyboardInterrupt
            raise SystemExit(self.exit_code())
