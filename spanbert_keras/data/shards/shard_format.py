"""Files of token shards: names, checksums, opening with every size checked.

A prepared corpus is a folder:

    manifest.json                     written last; without it the corpus is not finished
    vocab.txt                         copy of the vocabulary
    unigram_counts.npy                int64 (V,): how often each piece occurs in the training split
    train-00000.pieces.npy            uint16 (uint32 above 65,536 pieces) (N,): ids of whole documents, no specials
    train-00000.documents.npy         int64 (D + 1,): first piece of each document, then N
    train-00000.lines.npy             int64 (L + 1,): first piece of each line, then N; holds every document start
    train-00000.hashes.npy            uint64 (D,): BLAKE2b of each document's text
    train-00000.<name>.annotation.npy uint8 (N,), optional, added later: mentions (see `annotation_format`)
    heldout-00000. ...                the same for the held-out documents; a shard without any has no files
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.files.file_entries import FileEntry, file_entry
from spanbert_keras.files.known_files import KnownFiles
from spanbert_keras.files.npy_files import open_npy
from spanbert_keras.files.writing import temporary_path

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
VOCABULARY = "vocab.txt"
UNIGRAM_COUNTS = "unigram_counts.npy"
SPLITS = ("train", "heldout")
CANDIDATE = "candidate"  # split of a document that one of several parts will hold out
AGAIN = "prepare the corpus again"
SHARD_ARRAYS = ("pieces", "documents", "lines", "hashes")


def shard_stem(split: str, index: int) -> str:
    """Returns the name of a shard, with which the names of its files begin."""
    return f"{split}-{index:05d}"


def shard_file(split: str, index: int, array: str) -> str:
    """Returns the name of one array's file."""
    return f"{shard_stem(split, index)}.{array}.npy"


def piece_dtype(vocabulary_size: int) -> np.dtype:
    """Returns uint16 if it can hold every id, else uint32."""
    return np.dtype(np.uint16 if vocabulary_size <= 65_536 else np.uint32)


class ArrayFile:
    """A one-dimensional `.npy` file of unknown length, written in parts and renamed when whole.

    Args:
        path: path of the file.
        dtype: dtype of the array.
    """

    def __init__(self, path: pathlib.Path, dtype: Any):
        self.path, self.dtype, self.length = path, np.dtype(dtype), 0
        self._temporary = temporary_path(path)
        self._file = open(self._temporary, "wb")  # noqa: SIM115 (closed by `close` or `abandon`)
        self._write_header()

    def _write_header(self) -> None:
        """Writes the header; NumPy pads it so that the final length fits into the same space."""
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": (self.length,)}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)

    def append(self, values: np.ndarray) -> None:
        """Adds `(n,)` values."""
        self._file.write(np.ascontiguousarray(values, self.dtype).data)
        self.length += len(values)

    def close(self) -> FileEntry:
        """Completes and renames the file; returns its manifest entry: bytes and SHA-256."""
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self._temporary, self.path)
        return file_entry(self.path)

    def abandon(self) -> None:
        """Closes and removes the unfinished file."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def fingerprint(manifests: Sequence[dict[str, Any]]) -> str:
    """Returns the SHA-256 of every file's checksum and of the vocabulary: a name for the content of these folders."""
    lines = [manifest["vocabulary_fingerprint"] for manifest in manifests]
    for part, manifest in enumerate(manifests):
        lines += [f"{part} {name} {entry['sha256']}" for name, entry in sorted(manifest["files"].items())]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def check_size(path: pathlib.Path, entry: Mapping[str, Any], what: str = "corpus", again: str = AGAIN) -> None:
    """Raises if a file is missing, or its size is not the one recorded.

    Args:
        path: path of the file.
        entry: dict. The file's entry: `bytes` and `sha256`.
        what: str. The kind of file, for the message.
        again: str. How the user makes it again.
    """
    expected = entry["bytes"]
    if not path.is_file():
        raise InputError(
            f"The {what} file {path} is missing. Expected: {expected:,} bytes. {again[0].upper()}{again[1:]}."
        )
    received = path.stat().st_size
    if received != expected:
        raise InputError(
            f"The {what} file {path} is incomplete. Expected: {expected:,} bytes. Received: {received:,} bytes. "
            f"Copy it again or {again}."
        )


def check_content(
    path: pathlib.Path,
    entry: Mapping[str, Any],
    what: str = "corpus",
    again: str = AGAIN,
    known: KnownFiles | None = None,
) -> None:
    """Raises if the SHA-256 of a file is not the one recorded.

    Args:
        path, entry, what, again: as of `check_size`.
        known: `KnownFiles` or `None`. With it, a file that this machine has read is not read again.
    """
    check_size(path, entry, what, again)
    if known is not None and known.is_undamaged(path, {"bytes": entry["bytes"], "sha256": entry["sha256"]}):
        return
    received = file_entry(path)["sha256"]
    if received != entry["sha256"]:
        raise InputError(
            f"The {what} file {path} is damaged. Expected: SHA-256 {entry['sha256'][:16]}... as recorded when it was "
            f"written. Received: {received[:16]}... Copy it again or {again}."
        )


def open_array(path: pathlib.Path, dtype: Any, length: int | None = None) -> np.ndarray:
    """Opens a one-dimensional `.npy` file as a read-only memory map.

    Raises:
        InputError: not a whole `.npy` file, or not of the dtype or length that the manifest says.
    """
    try:
        return open_npy(path, dtype, length)
    except (OSError, ValueError) as error:
        raise InputError(f"The corpus file {path} cannot be read: {error}. Copy it again or {AGAIN}.") from error
