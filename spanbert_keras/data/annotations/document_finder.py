"""Documents of shards, found by the hash of their text."""

from collections.abc import Sequence

import numpy as np


class DocumentFinder:
    """Finds each document once, in 17 bytes per document.

    Args:
        hashes: list of uint64 `(D,)`, one for each shard: the hashes of its documents.

    Attributes:
        total: int. Number of documents.
        missing: int. Number of documents that were not looked for.
    """

    def __init__(self, hashes: Sequence[np.ndarray]):
        flat = np.concatenate([np.zeros(0, np.uint64), *hashes])
        self._order = np.argsort(flat, kind="stable")
        self._sorted = flat[self._order]
        self._starts = np.cumsum([0, *map(len, hashes)])
        self.total = len(flat)
        self.restart()

    def restart(self) -> None:
        """Forgets which documents have been found."""
        self._found = np.zeros(self.total, bool)
        self.missing = self.total

    def find(self, code: int) -> tuple[int, int] | None:
        """Returns the shard's number and the document's in it; `None` if there is none, or it has been found before."""
        at = int(np.searchsorted(self._sorted, np.uint64(code)))
        if at == self.total or int(self._sorted[at]) != code or self._found[at]:
            return None
        self._found[at] = True
        self.missing -= 1
        document = int(self._order[at])
        shard = int(np.searchsorted(self._starts, document, side="right")) - 1
        return shard, document - int(self._starts[shard])
