"""Progress of a long computation: a bar on a terminal, lines in the log elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from absl import logging

SECONDS, PARTS = 30.0, 10  # a log line at least every 30 seconds, and every tenth of the work

T = TypeVar("T")


class Progress:
    """Context manager that shows the progress of a computation over examples.

    A terminal shows a bar. Elsewhere a line is logged every tenth of the work, or every 30 seconds if that is sooner,
    with the examples done, their rate and the remaining time.

    Args:
        total: int. Number of examples.
        what: str. Plural noun for the examples, e.g. `"questions"`.
        clock: function that returns seconds.

    Example:

    ```python
    from spanbert_keras.progress import Progress

    with Progress(1000, "questions") as progress:
        progress.advance(32)
    ```
    """

    def __init__(self, total: int, what: str, clock: Callable[[], float] = time.monotonic):
        self.total, self.what, self.done = total, what, 0
        self._clock = clock
        self._start = self._last = clock()
        self._bar = self._task = None

    def __enter__(self):
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(console=Console(stderr=True))
            self._task = self._bar.add_task(self.what, total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1) -> None:
        """Counts more examples as done."""
        before, self.done = self.done, min(self.done + count, self.total)
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
            return
        now = self._clock()
        tenth = self.done * PARTS // self.total > before * PARTS // self.total
        if self.done > before and (tenth or now - self._last >= SECONDS):
            self._last = now
            logging.info("%s", self._line(now - self._start))

    def _line(self, seconds: float) -> str:
        """Returns the log line after a number of seconds."""
        rate = self.done / max(seconds, 1e-6)
        head = f"{self.done:,} of {self.total:,} {self.what}, {100 * self.done // self.total} %"
        if self.done == self.total:
            return f"{head}, in {shown_time(seconds)} ({rate:.1f} per second)."
        return f"{head}, {rate:.1f} per second, {shown_time((self.total - self.done) / rate)} remaining."


def tracked(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yields the items, and shows how many have been consumed; see `Progress`."""
    with Progress(total, what) as progress:
        for item in items:
            yield item
            progress.advance()


def shown_time(seconds: float) -> str:
    """Returns a duration in readable form: `0.4 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
