"""Batch k as a pure function of (seed, k). Shape letters: B rows, T tokens, M masked positions."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masked_batch import masked_batch
from spanbert_keras.preprocessing.philox import fold, permute
from spanbert_keras.preprocessing.row_stream import PlacedBlocks, RowStream
from spanbert_keras.preprocessing.seeds import MIX_ORDER

MIX_CYCLE = 1000  # rows after which a mixture of corpora has its exact shares


@dataclasses.dataclass(frozen=True)
class CorpusSource:
    """One corpus of the mixture.

    Attributes:
        pieces: sequence of integer arrays, one per shard; usually memory-mapped.
        stream: `RowStream` over its blocks.
        weight: float. Its share of the rows, relative to the other sources.
    """

    pieces: Sequence[np.ndarray]
    stream: RowStream
    weight: float = 1.0


class BatchStream:
    """Masked, packed batches of one static shape from one or several corpora.

    Only the batch itself is read into memory, and batch k needs no batch before it.

    Args:
        sources: sequence of `CorpusSource`, all with one row length T.
        masker: `SpanMasker` (or anything with its `mask_ragged`).
        batch_rows: int. B.
        special_ids: pair of int. The ids of [CLS] and of [SEP].
        seed: two integers of 32 bits. Orders the mixture of several corpora.

    `batch(1_000_000)` costs as much as `batch(0)`: a run that continues replays nothing.
    """

    def __init__(
        self,
        sources: Sequence[CorpusSource],
        masker,
        batch_rows: int,
        special_ids: tuple[int, int],
        seed=(0, 0),
    ):
        self.sources = list(sources)
        self.masker = masker
        self.batch_rows = batch_rows
        self.special_ids = special_ids
        self.seed = np.asarray(seed, np.uint32)
        self.row_length = self.sources[0].stream.plan.row_length
        self.max_predictions = max(source.stream.plan.max_predictions for source in self.sources)
        self._shares = self._cycle_shares()
        self._shard_starts = [
            np.concatenate([[0], np.cumsum([len(shard) for shard in source.pieces])]) for source in self.sources
        ]

    def _cycle_shares(self) -> np.ndarray:
        """Returns the number of rows that each source has in a cycle, by largest remainders."""
        if len(self.sources) == 1:
            return np.array([1], np.int64)
        weights = np.array([source.weight for source in self.sources], np.float64)
        exact = MIX_CYCLE * weights / weights.sum()
        shares = np.floor(exact).astype(np.int64)
        rest = MIX_CYCLE - int(shares.sum())
        shares[np.argsort(shares - exact, kind="stable")[:rest]] += 1
        if (shares == 0).any():
            raise InputError(
                f"The weight of a corpus must be at least {1 / MIX_CYCLE} of the sum of weights. "
                f"Received: {weights.tolist()}."
            )
        return shares

    def _origins(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the source of each row of the endless stream, and the row's position in that source's own stream."""
        if len(self.sources) == 1:
            return np.zeros(len(positions), np.int64), positions
        # Rows of a cycle are dealt to the sources by a permutation: exact shares, and no count of earlier rows.
        cycles, places = np.divmod(positions, MIX_CYCLE)
        places = permute(places, MIX_CYCLE, fold(self.seed, MIX_ORDER, cycles))
        ends = np.cumsum(self._shares)
        source = np.searchsorted(ends, places, side="right")
        return source, cycles * self._shares[source] + places - (ends - self._shares)[source]

    def batch(self, k: int) -> dict[str, np.ndarray]:
        """Returns batch k: the dict that `SpanMasker` documents, `(B, T)` and `(B, M)`.

        `padding_mask` numbers the blocks of a row from 1 (see `AttentionMask`).
        """
        return self.rows(np.arange(k * self.batch_rows, (k + 1) * self.batch_rows, dtype=np.int64))

    def part(self, k: int, worker: int, num_workers: int) -> dict[str, np.ndarray]:
        """Returns one worker's rows of batch k: the `worker`-th of `num_workers` equal parts; no other row is made."""
        rows = self.batch_rows // num_workers
        first = k * self.batch_rows + worker * rows
        return self.rows(np.arange(first, first + rows, dtype=np.int64))

    def rows(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the rows at these positions of the endless stream; a negative position gives a row of padding."""
        real = np.flatnonzero(positions >= 0)
        if not real.size:
            example = self.rows(np.zeros(1, np.int64))  # for keys, lengths and dtypes
            return {key: np.zeros((len(positions), value.shape[1]), value.dtype) for key, value in example.items()}
        origins, places = self._origins(positions[real])
        parts, pieces = [], []
        for number in np.unique(origins).tolist():
            chosen = np.flatnonzero(origins == number)
            placed = self.sources[number].stream.rows(places[chosen])
            parts.append(dataclasses.replace(placed, rows=real[chosen][placed.rows]))
            pieces += self._read(number, placed)
        placed = PlacedBlocks(
            *(
                np.concatenate([getattr(part, field.name) for part in parts])
                for field in dataclasses.fields(PlacedBlocks)
            )
        )
        order = np.lexsort((placed.offsets, placed.rows))
        ordered = PlacedBlocks(*(getattr(placed, field.name)[order] for field in dataclasses.fields(PlacedBlocks)))
        return masked_batch(
            ordered,
            [pieces[i] for i in order.tolist()],
            self.masker,
            self.special_ids,
            (len(positions), self.row_length),
            self.max_predictions,
        )

    def _read(self, number: int, placed: PlacedBlocks) -> list[np.ndarray]:
        """Returns the pieces of each block, read from the shards."""
        bounds = self._shard_starts[number]
        shards = np.searchsorted(bounds, placed.starts, side="right") - 1
        begins = placed.starts - bounds[shards]
        arrays = self.sources[number].pieces
        return [
            arrays[shard][begin : begin + length]
            for shard, begin, length in zip(shards.tolist(), begins.tolist(), placed.lengths.tolist(), strict=True)
        ]
