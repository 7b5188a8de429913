"""Batches prepared ahead of time, in a thread."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any

END = object()


def prefetch(make: Callable[[Any], Any], items: Iterable, depth: int = 4) -> Generator[Any, None, None]:
    """Yields `make(item)` for every item in order; a thread prepares each ahead of its use.

    An exception in `make` is raised where its result would have been yielded. Closing the iterator ends the thread.

    Args:
        make: function of an item.
        items: iterable, possibly endless. Read by the thread.
        depth: int. Number of results to hold ready.
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
        try:
            for item in items:
                if not put((make(item), None)):
                    return
            put((END, None))
        except BaseException as error:  # raised by the consumer, in its own thread
            put((None, error))

    thread = threading.Thread(target=work, daemon=True, name="prefetch")
    thread.start()
    try:
        while True:
            made, error = ready.get()
            if error is not None:
                raise error
            if made is END:
                return
            yield made
    finally:
        closed.set()
        thread.join(timeout=10)
