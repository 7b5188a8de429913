"""When the training loop logs, evaluates and saves; what happened since the last log point."""

import dataclasses
import time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cadence:
    """When the loop does what.

    Attributes:
        total_steps: int. Updates of the whole run.
        steps_per_call: int. Updates per call to the device, at most; a call ends where something below is due.
        log_every: int. Steps between log points.
        evaluate_every: int. Steps between evaluations; 0 makes none.
        checkpoint_every: int. Steps between checkpoints.
        checkpoint_minutes: float. Age of the last checkpoint at which another is written; 0 sets no limit.
        encoder_every: int. Steps between copies of the encoder; 0 writes none before the end.
        profile_steps: int. Steps to record in a profile soon after the start; 0 records none.
        on_divergence: `"stop"` or `"rollback"`. What to do when the loss diverges.
        phase_ends: tuple of int. Batches after which batches have another shape; no call has batches of both.
        advice: str. What the user may change when the loss diverges, in the program's flags.
    """

    total_steps: int
    steps_per_call: int = 1
    log_every: int = 50
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    checkpoint_minutes: float = 0.0
    encoder_every: int = 0
    profile_steps: int = 0
    on_divergence: str = "stop"
    phase_ends: tuple[int, ...] = ()
    advice: str = "lower --learning_rate"

    def next_stop(self, done: int, skipped_batches: int = 0) -> int:
        """Returns the step after which the call that starts at `done` ends.

        Args:
            done: int. Updates made.
            skipped_batches: int. Batches that were left out, so that update n takes batch n + `skipped_batches`.
        """
        stops = [done + self.steps_per_call, self.total_steps]
        for every in (self.log_every, self.evaluate_every, self.checkpoint_every, self.encoder_every):
            if every > 0:
                stops.append((done // every + 1) * every)
        stops += [end - skipped_batches for end in self.phase_ends if end - skipped_batches > done]
        return min(stops)

    def due(self, done: int, every: int) -> bool:
        """Returns whether an action with this interval is due after `done` steps; at the end it always is."""
        return every > 0 and (done % every == 0 or done == self.total_steps)


@dataclasses.dataclass
class LogWindow:
    """What happened since the last log point.

    Attributes:
        first: int. Updates made before that point.
        calls: list of (batches, results): this worker's rows, `(K, B, ...)` arrays.
        began: float. Start, in seconds of `time.perf_counter`.
        waited: float. Seconds that the loop waited for batches.
        checked: int. Number of calls whose results have been fetched as arrays and whose losses have been checked.
    """

    first: int
    calls: list[tuple[dict, dict]] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.perf_counter)
    waited: float = 0.0
    checked: int = 0
