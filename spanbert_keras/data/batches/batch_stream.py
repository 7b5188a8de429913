"""Batch k as a pure function of (seed, k). Shape letters: B rows, T tokens, M masked positions, P pairs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from spanbert_keras.data.pairs.pair_stream import PairStream
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
        pieces: sequence of integer arrays, one per shard; usually `ShardArray`.
        stream: `RowStream` over its blocks, or `PairStream` over its pairs of segments.
        weight: float. Its share of the rows, relative to the other sources.
        annotations: sequence of uint8 arrays beside `pieces`, one value for each piece, or `None`.
    """

    pieces: Sequence[Any]
    stream: RowStream | PairStream
    weight: float = 1.0
    annotations: Sequence[Any] | None = None


class BatchStream:
    """Masked, packed batches of one static shape from one or several corpora.

    Only the batch itself is read into memory, and batch k needs no batch before it.

    Args:
        sources: sequence of `CorpusSource`, all with one row length T, all of blocks or all of pairs, all with
            annotations or all without.
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
        self.max_pairs = max(source.stream.plan.max_blocks for source in self.sources)
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
        """Returns batch k: the dict of `masked_batch`, `(B, T)` and `(B, M)`, for pairs of segments also `(B, P)`.

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
        parts: list[PlacedBlocks] = []
        pieces: list[np.ndarray] = []
        annotations: list[np.ndarray] = []
        for number in np.unique(origins).tolist():
            chosen = np.flatnonzero(origins == number)
            source = self.sources[number]
            placed = source.stream.rows(places[chosen])
            parts.append(dataclasses.replace(placed, rows=real[chosen][placed.rows]))
            pieces += self._read(number, source.pieces, placed)
            if source.annotations is not None:
                annotations += self._read(number, source.annotations, placed)
        joined, order = PlacedBlocks.joined(parts)
        return masked_batch(
            joined,
            [pieces[i] for i in order.tolist()],
            self.masker,
            self.special_ids,
            (len(positions), self.row_length),
            self.max_predictions,
            self.max_pairs,
            [annotations[i] for i in order.tolist()] if annotations else None,
        )

    def _read(self, number: int, arrays: Sequence[Any], placed: PlacedBlocks) -> list[np.ndarray]:
        """Returns what each block has in `arrays`, one of which belongs to each shard of the source."""
        if placed.second is None:
            return self._read_parts(number, arrays, placed.starts, placed.lengths)
        firsts = self._read_parts(number, arrays, placed.starts, placed.lengths - placed.second.lengths)
        seconds = self._read_parts(number, arrays, placed.second.starts, placed.second.lengths)
        return [np.concatenate(segments) for segments in zip(firsts, seconds, strict=True)]

    def _read_parts(
        self, number: int, arrays: Sequence[Any], starts: np.ndarray, lengths: np.ndarray
    ) -> list[np.ndarray]:
        bounds = self._shard_starts[number]
        shards = np.searchsorted(bounds, starts, side="right") - 1
        begins = starts - bounds[shards]
        return [
            arrays[shard][begin : begin + length]
            for shard, begin, length in zip(shards.tolist(), begins.tolist(), lengths.tolist(), strict=True)
        ]
