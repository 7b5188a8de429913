"""The block index of a corpus, kept in files: another row length needs no preparation of the corpus."""

import os
import shutil
import uuid
from pathlib import Path

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.row_blocks import Blocks


def cached_blocks(folder: str | os.PathLike, name: str, make) -> Blocks:
    """Returns the blocks saved under `folder/name`, or makes, saves and memory-maps them.

    Args:
        folder: the cache directory.
        name: str. A name made of all that the blocks depend on: the corpus fingerprint, the row length, the cut.
        make: callable without arguments that returns `Blocks`.
    """
    path = Path(folder) / f"{name}.blocks"
    found = _open_index(path)
    if found is None:
        _write_index(path, make())
        found = _open_index(path)
    if found is None:
        raise InputError(f"The block index {path} cannot be read. Delete it, or choose another --cache_dir.")
    return found


def _open_index(path: Path) -> Blocks | None:
    """Returns the saved blocks, or `None` if they are missing or damaged (for example by a power failure)."""
    try:
        summary = np.load(path / "histogram.npy")
        starts = np.load(path / "starts.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return Blocks(starts, summary[:-1], int(summary[-1])) if len(starts) == summary[:-1].sum() else None


def _write_index(path: Path, blocks: Blocks) -> None:
    """Saves blocks under a temporary name and puts them in place, unless another process was first."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.mkdir(parents=True)
        np.save(temporary / "histogram.npy", np.append(blocks.histogram, blocks.left_out_pieces))
        np.save(temporary / "starts.npy", blocks.starts)
        _put_in_place(temporary, path)
    except OSError as error:
        if _open_index(path) is None:
            raise InputError(f"The block index cannot be written to {path.parent}: {error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Renames a folder that holds an index to `path`, while other processes may do the same.

    No process may remove what another has just opened, so an existing folder stays. If its index is damaged, its files
    are replaced, each atomically. The index is a function of its name, so it does not matter whose files they are.
    """
    try:
        os.rename(temporary, path)
    except OSError:
        if not path.is_dir():
            raise
        if _open_index(path) is None:
            for file in ("histogram.npy", "starts.npy"):
                os.replace(temporary / file, path / file)
