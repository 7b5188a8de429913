"""Copies of the pairs of a split, built on demand; the next copy is built in the background."""

import concurrent.futures
import threading
from collections.abc import Callable

from spanbert_keras.data.pairs.pair_index import PairIndex


class PairCopies:
    """Copies of the pairs of one split.

    Args:
        make: function. Returns the `PairIndex` of a copy, opened or built.
        num_copies: int.
    """

    def __init__(self, make: Callable[[int], PairIndex], num_copies: int = 1):
        self.num_copies = num_copies
        self._make = make
        self._lock = threading.Lock()
        self._started: dict[int, concurrent.futures.Future[PairIndex]] = {}

    def index(self, copy: int) -> PairIndex:
        """Returns the index of a copy, waiting for it if necessary, and starts to build the next one."""
        found = self._start(copy).result()
        if copy + 1 < self.num_copies:
            self._start(copy + 1)
        return found

    def _start(self, copy: int) -> "concurrent.futures.Future[PairIndex]":
        with self._lock:
            if copy not in self._started:
                self._started[copy] = concurrent.futures.Future()
                # A daemon thread: a run that ends does not wait for a copy that it no longer needs.
                threading.Thread(target=self._build, args=(copy,), name=f"pairs of copy {copy}", daemon=True).start()
            return self._started[copy]

    def _build(self, copy: int) -> None:
        future = self._started[copy]
        try:
            future.set_result(self._make(copy))
        except BaseException as error:  # raised where the copy is asked for
            future.set_exception(error)
