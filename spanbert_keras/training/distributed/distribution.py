"""How a step is spread over devices and processes."""

import contextlib
import dataclasses
import hashlib
from typing import Any

import numpy as np

KINDS = ("none", "mirrored", "multi_worker")


@dataclasses.dataclass(frozen=True)
class Distribution:
    """One device of one process; a backend's own (`make_distribution`) has more and overrides what differs.

    A global batch is cut into equal runs of rows, a worker (process) each, and a worker's rows into equal runs, a
    replica (device) each. All workers make the same calls in the same order.

    Attributes:
        worker: int. This process, from 0; number 0 is the chief, which writes the files.
        num_workers: int. Processes.
        local_replicas: int. Devices of this process that compute; every process has as many.
        native: the backend's own object, or `None`.
    """

    worker: int = 0
    num_workers: int = 1
    local_replicas: int = 1
    native: Any = None

    @property
    def replicas(self) -> int:
        """Devices of all processes together."""
        return self.num_workers * self.local_replicas

    @property
    def seed_replicas(self) -> range:
        """The replicas whose dropout seeds a step takes from this process."""
        return range(self.worker * self.local_replicas, (self.worker + 1) * self.local_replicas)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.worker == 0

    def scope(self):
        """Returns the context in which model and optimizer are made."""
        return contextlib.nullcontext()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum of every worker's `values`, a float array, to every worker."""
        return values

    def agrees(self, text: str) -> bool:
        """Says, to every worker, whether all gave the same text."""
        mark = float(int(hashlib.sha256(text.encode()).hexdigest()[:5], 16))
        total, squares = self.sum(np.array([mark, mark * mark])).tolist()
        return self.num_workers * squares == total * total  # no variance
