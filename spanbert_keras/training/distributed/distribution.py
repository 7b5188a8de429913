"""How a step is distributed over devices and processes."""

import contextlib
import dataclasses
import hashlib
from typing import Any

import numpy as np

KINDS = ("none", "mirrored", "multi_worker")


@dataclasses.dataclass(frozen=True)
class Distribution:
    """One device of one process. Subclasses of the backends (`make_distribution`) have more, and override what differs.

    A global batch is cut into equal runs of rows, one per worker (process), and a worker's rows into equal runs, one
    per replica (device). All workers make the same calls in the same order.

    Attributes:
        worker: int. Number of this process, from 0; worker 0 is the chief, which writes the files.
        num_workers: int. Number of processes.
        local_replicas: int. Number of devices of this process; all processes have equally many.
        native: the backend's own object, or `None`.
    """

    worker: int = 0
    num_workers: int = 1
    local_replicas: int = 1
    native: Any = None

    @property
    def replicas(self) -> int:
        """Number of devices of all processes together."""
        return self.num_workers * self.local_replicas

    @property
    def seed_replicas(self) -> range:
        """The replicas whose dropout seeds this process gives to a step."""
        return range(self.worker * self.local_replicas, (self.worker + 1) * self.local_replicas)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.worker == 0

    def scope(self):
        """Returns the context in which to make model and optimizer."""
        return contextlib.nullcontext()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum of every worker's `values`, a float array, to every worker."""
        return values

    def agrees(self, text: str) -> bool:
        """Returns, to every worker, whether all gave the same text."""
        # 20 bits of a checksum: their squares, summed over many workers, are exact in float64.
        mark = float(int(hashlib.sha256(text.encode()).hexdigest()[:5], 16))
        total, squares = self.sum(np.array([mark, mark * mark])).tolist()
        return self.num_workers * squares == total * total  # no variance
