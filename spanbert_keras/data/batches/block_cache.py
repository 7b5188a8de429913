"""The block index of a corpus, kept in files: another row length needs no preparation of the corpus."""

import os
from pathlib import Path

import numpy as np

from spanbert_keras.files.index_folder import cached_index
from spanbert_keras.files.npy_files import open_npy
from spanbert_keras.preprocessing.row_blocks import Blocks


def cached_blocks(folder: str | os.PathLike, name: str, make) -> Blocks:
    """Returns the blocks saved under `folder/name`, or makes, saves and memory-maps them.

    Args:
        folder: the cache directory.
        name: str. A name made of all that the blocks depend on: the corpus fingerprint, the row length, the cut.
        make: callable without arguments that returns `Blocks`.
    """
    path = Path(folder) / f"{name}.blocks"
    return cached_index(path, _open_index, lambda temporary: _write_blocks(temporary, make()), "block index")


def _open_index(path: Path) -> Blocks | None:
    """Returns the saved blocks, or `None` if the files do not fit each other; raises if one has another format."""
    summary = open_npy(path / "histogram.npy", np.int64)
    starts = open_npy(path / "starts.npy", np.int64)
    return Blocks(starts, summary[:-1], int(summary[-1])) if len(starts) == summary[:-1].sum() else None


def _write_blocks(folder: Path, blocks: Blocks) -> None:
    np.save(folder / "histogram.npy", np.append(blocks.histogram, blocks.left_out_pieces))
    np.save(folder / "starts.npy", blocks.starts)
