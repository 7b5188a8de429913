"""Batches made ahead, in a thread."""

import queue
import threading
from collections.abc import Callable, Generator
from typing import Any


def prefetch(make: Callable[[int], Any], start: int, stop: int, depth: int = 4) -> Generator[Any, None, None]:
    """Yields `make(start)` to `make(stop - 1)` in order, each made ahead of its use by a thread.

    An exception in `make` is raised where its result would have been yielded. Closing the iterator ends the thread.

    Args:
        make: function of the number of a batch.
        start, stop: int. Numbers of the first batch, and of the one after the last.
        depth: int. Batches held ready.
    """
    ready: queue.Queue = queue.Queue(maxsize=depth)
    closed = threading.Event()

    def put(item) -> bool:
        while not closed.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work():
        for number in range(start, stop):
            try:
                item = (make(number), None)
            except BaseException as error:  # handed to the consumer
                put((None, error))
                return
            if not put(item):
                return

    thread = threading.Thread(target=work, daemon=True, name="prefetch")
    thread.start()
    try:
        for _ in range(start, stop):
            item, error = ready.get()
            if error is not None:
                raise error
            yield item
    finally:
        closed.set()
        thread.join(timeout=10)
