"""What the training loop does when, and what it remembers in between."""

import dataclasses
import time


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cadence:
    """When the loop does what, in steps.

    Attributes:
        total_steps: int. Updates of the whole run.
        steps_per_call: int. Updates of one call to the device at most; a call ends where something below is due.
        log_every: int. Scalars are written.
        evaluate_every: int. Held-out text is scored; 0 never.
        checkpoint_every: int. A checkpoint is written.
        checkpoint_minutes: float. One is also written when the last is so old; 0 never.
        encoder_every: int. `encoder.keras` is written; 0 only at the end.
        profile_steps: int. So many are recorded soon after the start; 0 none.
        on_divergence: `"stop"` or `"rollback"`: what follows a loss that must not go on.
        advice: str. What a user may change where the loss must not go on, in the program's flags.
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
    advice: str = "lower --learning_rate"

    def next_stop(self, done: int) -> int:
        """Returns the step at which the call that begins after `done` ends."""
        stops = [done + self.steps_per_call, self.total_steps]
        for every in (self.log_every, self.evaluate_every, self.checkpoint_every, self.encoder_every):
            if every > 0:
                stops.append((done // every + 1) * every)
        return min(stops)

    def due(self, done: int, every: int) -> bool:
        """Says whether what happens `every` steps happens after `done`; at the end it always does."""
        return every > 0 and (done % every == 0 or done == self.total_steps)


@dataclasses.dataclass
class LogWindow:
    """What happened since the last log point.

    Attributes:
        first: int. Updates made before it.
        calls: list of (batches, results): this worker's rows, `(K, B, ...)` arrays.
        began: float, seconds of `time.perf_counter`.
        waited: float. Seconds in which the loop waited for batches.
        checked: int. Calls whose results are arrays, and whose losses may go on.
    """

    first: int
    calls: list[tuple[dict, dict]] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.perf_counter)
    waited: float = 0.0
    checked: int = 0
