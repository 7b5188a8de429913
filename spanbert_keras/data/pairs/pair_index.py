"""The index of segment pairs: built one group of documents at a time, sorted by length and position, kept in files."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spanbert_keras.data.pairs.segment_pairs import SegmentPairs, pair_documents
from spanbert_keras.data.pairs.unit_index import Units
from spanbert_keras.files.index_folder import cached_index
from spanbert_keras.files.npy_files import open_npy
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_PAIR

# Largest group of documents that is walked at once, to bound the memory. A longer document is a group by itself.
GROUP_UNITS, GROUP_DOCUMENTS = 1_000_000, 100_000
FILES: dict[str, Any] = {
    "a_start": np.dtype(np.int64),
    "b_start": np.dtype(np.int64),
    "a_length": np.dtype(np.uint16),
    "b_length": np.dtype(np.uint16),
    "label": np.dtype(np.uint8),
}


@dataclasses.dataclass(frozen=True)
class PairIndex:
    """All pairs of one copy of a split, sorted by |A| + |B|, then by the start of A.

    Attributes:
        pairs: `SegmentPairs` of all, memory-mapped.
        histogram: int64 `(T - 2,)`. Entry n counts the pairs of n pieces without specials.
        random_pairs: int. Pairs whose segment B is from another document.
        corpus_pieces: int. Pieces of the split.
        corpus_units: int. Lines or sentences of the split.
    """

    pairs: SegmentPairs
    histogram: np.ndarray
    random_pairs: int
    corpus_pieces: int
    corpus_units: int

    def __len__(self) -> int:
        return len(self.pairs.labels)


def cached_pairs(
    folder: str | os.PathLike, name: str, units: Units, max_sequence_length: int, short_rate: float, copy: int
) -> PairIndex:
    """Returns the pairs saved under `folder/name`, or makes, saves and memory-maps them.

    Uses at most 200 MB of memory plus 25 bytes per pair.

    Args:
        folder: the cache directory.
        name: str. A name made of all that the pairs depend on: the corpus fingerprint, the split and the arguments.
        units: `Units` of the split, of at least two documents.
        max_sequence_length: int. T, at least 5.
        short_rate: float. Share of documents whose pairs are shorter than a row.
        copy: int. Number of the copy.
    """

    def write(temporary: Path) -> None:
        _write_pairs(temporary, units, max_sequence_length, short_rate, copy)

    return cached_index(Path(folder) / f"{name}.pairs", _open_pairs, write, "index of pairs")


def _open_pairs(path: Path) -> PairIndex | None:
    """Returns the saved pairs, or `None` if the files do not fit each other; raises if one has another format."""
    *histogram, random_pairs, pieces, units = open_npy(path / "histogram.npy", np.int64).tolist()
    columns = [np.asarray(open_npy(path / f"{name}.npy", kind)) for name, kind in FILES.items()]
    if any(len(column) != sum(histogram) for column in columns):
        return None
    return PairIndex(SegmentPairs(*columns), np.array(histogram, np.int64), random_pairs, pieces, units)


def _write_pairs(folder: Path, units: Units, max_sequence_length: int, short_rate: float, copy: int) -> None:
    size = max_sequence_length - SPECIALS_PER_PAIR + 1  # of a histogram
    groups, histograms, random_pairs = [], [], 0
    for first, last in _groups(units.documents):
        pairs = pair_documents(units, first, last, max_sequence_length, short_rate, copy)
        lengths = pairs.a_lengths.astype(np.int32) + pairs.b_lengths
        order = np.lexsort((pairs.a_starts, lengths))
        groups.append([column[order] for column in pairs.columns])
        histograms.append(np.bincount(lengths, minlength=size))
        random_pairs += int(pairs.labels.sum())
    counts = np.array(histograms, np.int64)  # (groups, size)
    histogram = counts.sum(0)
    for name, kind in FILES.items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (int(histogram.sum()),))
    # Groups are in the order of the text, so within a length the pairs of one group precede those of the next.
    length_starts = np.cumsum(histogram) - histogram
    group_starts = length_starts + np.cumsum(counts, 0) - counts
    groups.reverse()
    for count, start in zip(counts, group_starts, strict=True):
        place = np.arange(count.sum()) + np.repeat(start - (np.cumsum(count) - count), count)
        for name, column in zip(FILES, groups.pop(), strict=True):
            np.load(folder / f"{name}.npy", mmap_mode="r+")[place] = column
    np.save(folder / "histogram.npy", np.array([*histogram, random_pairs, units.num_pieces, len(units)], np.int64))


def _groups(document_units: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yields ranges of documents; see `GROUP_UNITS`."""
    first, documents = 0, len(document_units) - 1
    while first < documents:
        last = int(np.searchsorted(document_units, document_units[first] + GROUP_UNITS, side="right")) - 1
        last = min(max(last, first + 1), first + GROUP_DOCUMENTS, documents)
        yield first, last
        first = last
