"""A set of 64-bit hashes in 8 bytes each."""

import numpy as np

NUM_BUCKETS = 256  # one per leading byte
MAX_RECENT = 500_000  # values in the Python set; more are moved to the sorted arrays


class HashSet:
    """A growing set of 64-bit integers: recent ones in a Python set, older ones in sorted arrays.

    100 million documents take 0.8 GB; a Python set would take ten times that.
    """

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted = [np.zeros(0, np.uint64) for _ in range(NUM_BUCKETS)]

    def add(self, value: int) -> bool:
        """Adds a value; returns whether it was new."""
        if value in self._recent or self._holds(value):
            return False
        self._recent.add(value)
        if len(self._recent) >= MAX_RECENT:
            values = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._recent = set()
            self.update(values)
        return True

    def update(self, values: np.ndarray) -> None:
        """Adds uint64 `(n,)` values."""
        buckets = (values >> np.uint64(56)).astype(np.int64)
        order = np.argsort(buckets, kind="stable")
        ends = np.searchsorted(buckets[order], np.arange(NUM_BUCKETS + 1))
        for bucket in range(NUM_BUCKETS):
            new = values[order[ends[bucket] : ends[bucket + 1]]]
            if len(new):
                self._sorted[bucket] = np.union1d(self._sorted[bucket], new)

    def _holds(self, value: int) -> bool:
        """Returns whether a sorted array holds the value."""
        array = self._sorted[value >> 56]
        if not len(array):
            return False
        place = int(np.searchsorted(array, np.uint64(value)))
        return place < len(array) and int(array[place]) == value
