"""The block index of a corpus, kept in files: another row length needs no preparation of the corpus."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from spanbert_keras.files.index_folder import cached_index
from spanbert_keras.files.npy_files import open_npy
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK, Blocks

CutShards = Callable[[], Iterable[tuple[np.ndarray, np.ndarray, int]]]


def cached_blocks(folder: str | os.PathLike, name: str, max_sequence_length: int, cut: CutShards) -> Blocks:
    """Returns the blocks saved under `folder/name`, or cuts, saves and memory-maps them.

    Memory is needed for the blocks of one shard at a time, whatever the size of the corpus.

    Args:
        folder: the cache directory.
        name: str. A name made of all that the blocks depend on: the corpus fingerprint, the row length, the cut.
        max_sequence_length: int. Pieces in a row, with specials.
        cut: function without arguments that returns what `cut_shards` does.
    """

    def write(temporary: Path) -> None:
        _write_blocks(temporary, max_sequence_length - SPECIALS_PER_BLOCK, cut())

    return cached_index(Path(folder) / f"{name}.blocks", _open_index, write, "block index")


def _open_index(path: Path) -> Blocks | None:
    """Returns the saved blocks, or `None` if the files do not fit each other; raises if one has another format."""
    summary = open_npy(path / "histogram.npy", np.int64)
    starts = open_npy(path / "starts.npy", np.int64)
    return Blocks(starts, summary[:-1], int(summary[-1])) if len(starts) == summary[:-1].sum() else None


def _write_blocks(folder: Path, longest: int, shards: Iterable[tuple[np.ndarray, np.ndarray, int]]) -> None:
    """Writes the blocks of all shards, sorted by length and then by place.

    Each shard's are sorted already. They are put aside while the blocks of each length are counted, and then every
    shard's go where those of the shards before it end.
    """
    counts, left_out, aside = [], 0, folder / "shards"
    with open(aside, "wb") as file:
        for starts, lengths, skipped in shards:
            file.write(np.ascontiguousarray(starts, np.int64).data)
            counts.append(np.bincount(lengths, minlength=longest + 1))
            left_out += skipped
    histogram = np.sum(counts, axis=0, dtype=np.int64) if counts else np.zeros(longest + 1, np.int64)
    np.save(folder / "histogram.npy", np.append(histogram, left_out))
    total = int(histogram.sum())
    if total:
        open_memmap(folder / "starts.npy", "w+", np.int64, (total,))
    else:  # an empty array cannot be mapped
        np.save(folder / "starts.npy", np.zeros(0, np.int64))
    places = np.cumsum(histogram) - histogram  # of the next block of each length
    with open(aside, "rb") as file:
        for count in filter(np.any, counts):
            # Opened for every shard: what is mapped counts as memory of the process.
            index = open_memmap(folder / "starts.npy", "r+")
            for size in np.flatnonzero(count).tolist():
                index[places[size] : places[size] + count[size]] = np.fromfile(file, np.int64, int(count[size]))
            places += count
            index.flush()
            del index
    aside.unlink()
