"""Batches of examples of similar length, in few static shapes. Shape letters: B rows, E examples."""

from collections.abc import Callable, Sequence

import numpy as np

from spanbert_keras.preprocessing.philox import fold, permute
from spanbert_keras.preprocessing.seeds import BATCH_ORDER, EXAMPLE_ORDER

MULTIPLE = 8  # tokens; matrix units are fastest with such lengths
BATCH_COST = 64  # tokens that could be computed in the time that a batch costs besides its tokens; of a small encoder


def choose_lengths(lengths: Sequence[int] | np.ndarray, count: int = 8) -> list[int]:
    """Returns at most `count` row lengths, multiples of 8, with which examples of these lengths need the least padding.

    Args:
        lengths: sequence of int. Length of each example in tokens; at least one example.
        count: int. Maximum number of row lengths.

    Returns:
        list of int, ascending; the last fits the longest example.
    """
    sizes, examples = np.unique(-(-np.asarray(lengths, np.int64) // MULTIPLE), return_counts=True)
    before = np.concatenate([[0], np.cumsum(examples)])
    # best[j]: the first j sizes, in groups that are padded to their largest: (padded positions, chosen lengths).
    best: list[tuple[float, list[int]]] = [(0.0, []), *((np.inf, []) for _ in sizes)]
    for _ in range(min(count, len(sizes))):
        best = [best[0]] + [
            min(
                (best[i][0] + float((before[j] - before[i]) * sizes[j - 1]), best[i][1] + [int(sizes[j - 1])])
                for i in range(j)
            )
            for j in range(1, len(sizes) + 1)
        ]
    return [MULTIPLE * size for size in best[-1][1]]


def row_lengths(longest: int, count: int = 4) -> list[int]:
    """Returns the lengths that rows are padded to, ascending: `count` at most, so that few shapes are compiled."""
    part = -(-longest // (8 * count)) * 8
    return sorted({min(longest, part * (i + 1)) for i in range(count)})


def token_batches(lengths: Sequence[int] | np.ndarray, max_tokens: int, longest: int) -> list[tuple[np.ndarray, int]]:
    """Returns batches for prediction, of any number of rows and any length, such that little is padding.

    Rows are sorted by length and cut where the sum of padded tokens and of `BATCH_COST` for each batch is least.

    Args:
        lengths: sequence of int. Length of each row in tokens.
        max_tokens: int. Largest number of tokens of a batch, padding included; a longer row is a batch of its own.
        longest: int. Longest row that is possible.

    Returns:
        list of (int64 `(B,)`, int): rows of a batch, and the length they are padded to: a multiple of 8, or `longest`.
        The longest rows come first.
    """
    padded = np.minimum(-(-np.asarray(lengths, np.int64) // MULTIPLE) * MULTIPLE, longest)
    order = np.argsort(-padded, kind="stable")
    sizes, rows = np.unique(-padded, return_counts=True)
    sizes, bounds = -sizes, np.concatenate([[0], np.cumsum(rows)])  # descending
    fitting = np.maximum(1, max_tokens // np.maximum(1, sizes))  # rows of a batch of that length
    # best[j]: least cost of the rows of the first j sizes; first[j]: where the last of their groups begins.
    best, first = np.zeros(len(sizes) + 1), np.zeros(len(sizes) + 1, np.int64)
    for j in range(1, len(sizes) + 1):
        grouped = bounds[j] - bounds[:j]
        costs = best[:j] + grouped * sizes[:j] + BATCH_COST * -(-grouped // fitting[:j])
        first[j] = np.argmin(costs)
        best[j] = costs[first[j]]
    batches: list[tuple[np.ndarray, int]] = []
    end = len(sizes)
    while end:
        begin = int(first[end])
        group = order[bounds[begin] : bounds[end]]
        parts = np.array_split(group, -(-len(group) // fitting[begin]))
        batches[:0] = [(part, int(padded[part[0]])) for part in parts]
        end = begin
    return batches


def fixed_batches(
    lengths: Sequence[int] | np.ndarray, batch_rows: int, longest: int, single_rows: bool
) -> list[tuple[np.ndarray, int, int]]:
    """Returns batches for prediction, of few shapes: `batch_rows` rows of one of the lengths of `row_lengths`.

    Args:
        lengths: sequence of int. Length of each row in tokens.
        batch_rows: int. B.
        longest: int. Longest row that is possible.
        single_rows: bool. Whether the last few rows are computed one by one, rather than as a batch with copies.

    Returns:
        list of (int64 `(at most B,)`, B or 1, int): rows of a batch, how many it must have, and their length. The
        longest rows come first.
    """
    lengths = np.asarray(lengths, np.int64)
    order = np.argsort(-lengths, kind="stable")
    allowed = row_lengths(longest)
    batches: list[tuple[np.ndarray, int, int]] = []
    while len(order):
        size = 1 if single_rows and len(order) <= batch_rows // 4 else batch_rows
        part, order = order[:size], order[size:]
        batches.append((part, size, next(x for x in allowed if x >= lengths[part[0]])))
    return batches


class LengthBuckets:
    """Training batches of examples of different lengths: batch k is a pure function of (seed, k).

    Each epoch has its own order. Examples are padded to one of at most eight lengths and batched with others of the
    same length. A rest that does not fill a batch moves to the next longer length, so that at most one batch per epoch
    is filled up with empty rows.

    Args:
        lengths: sequence of int. Length of each example in tokens.
        make_batch: function of (examples int `(B,)`, length int, epoch int) that returns a dict of arrays with B rows.
        batch_rows: int. Rows per batch, B.
        seed: two integers of 32 bits. Seed of the order.
        max_shapes: int. Maximum number of row lengths.
        row_lengths: sequence of int or `None`. The row lengths to use, ascending. `None`: those that need the least
            padding.
        zeroed: entries of a batch that are 0 in empty rows. Others have there what a real row has.

    Attributes:
        steps_per_epoch: int. Number of batches per epoch.
        row_lengths: list of int. Lengths to which rows are padded, ascending.
        padding_share: float. Share of an epoch's positions that are padding.

    Example:

    ```python
    import numpy as np

    from spanbert_keras.preprocessing.length_buckets import LengthBuckets

    make_batch = lambda examples, length, epoch: {"token_ids": np.zeros((len(examples), length), "int32")}
    LengthBuckets([5, 9, 7], make_batch, 2, (0, 1)).batch(0)["example_weights"].shape  # (2,)
    ```
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        make_batch: Callable[[np.ndarray, int, int], dict[str, np.ndarray]],
        batch_rows: int,
        seed,
        max_shapes: int = 8,
        row_lengths: Sequence[int] | None = None,
        zeroed: Sequence[str] = (),
    ):
        self.lengths = np.asarray(lengths, np.int64)
        self.make_batch = make_batch
        self.batch_rows = batch_rows
        self.seed = np.asarray(seed, np.uint32)
        self.zeroed = tuple(zeroed)
        self.row_lengths = list(row_lengths or choose_lengths(self.lengths, max_shapes))
        self.steps_per_epoch = -(-len(self.lengths) // batch_rows)
        self._bucket = np.searchsorted(self.row_lengths, self.lengths)
        self._epoch: tuple[int, list[tuple[np.ndarray, int]]] = (-1, [])
        places = sum(length for _, length in self.plan(0)) * batch_rows
        self.padding_share = 1.0 - float(self.lengths.sum()) / places

    def plan(self, epoch: int) -> list[tuple[np.ndarray, int]]:
        """Returns the examples (-1 for empty rows) and the row length of every batch of an epoch, in order."""
        if self._epoch[0] == epoch:
            return self._epoch[1]
        total = len(self.lengths)
        order = np.argsort(permute(np.arange(total), total, fold(self.seed, EXAMPLE_ORDER, epoch)))
        batches, rest = [], np.zeros(0, np.int64)
        for number, length in enumerate(self.row_lengths):
            rest = np.concatenate([rest, order[self._bucket[order] == number]])
            full = len(rest) // self.batch_rows * self.batch_rows
            batches += [(part, length) for part in rest[:full].reshape(-1, self.batch_rows)]
            rest = rest[full:]
        if len(rest):
            filling = np.full(self.batch_rows - len(rest), -1, np.int64)
            batches.append((np.concatenate([rest, filling]), self.row_lengths[-1]))
        places = permute(np.arange(len(batches)), len(batches), fold(self.seed, BATCH_ORDER, epoch))
        self._epoch = (epoch, [batches[i] for i in np.argsort(places)])
        return self._epoch[1]

    def batch(self, number: int) -> dict[str, np.ndarray]:
        """Returns batch `number` with `example_weights`, float32 `(B,)`: 0 for empty rows."""
        return self.part(number, 0, 1)

    def part(self, number: int, worker: int, num_workers: int) -> dict[str, np.ndarray]:
        """Returns one worker's rows of batch `number`."""
        epoch, place = divmod(number, self.steps_per_epoch)
        examples, length = self.plan(epoch)[place]
        share = self.batch_rows // num_workers
        examples = examples[worker * share : (worker + 1) * share]
        batch = self.make_batch(np.maximum(examples, 0), length, epoch)
        filled = examples >= 0  # (B,)
        zeroed = {key: np.zeros_like(batch[key]) for key in self.zeroed if key in batch}
        for key, values in zeroed.items():
            values[filled] = batch[key][filled]
        return batch | zeroed | {"example_weights": filled.astype(np.float32)}
