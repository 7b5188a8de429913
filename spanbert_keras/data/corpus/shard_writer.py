"""Writing a prepared corpus: which documents are kept, their splits, counts, checkpoints."""

import pathlib
from collections.abc import Collection
from typing import Any

import numpy as np

from spanbert_keras.data.corpus.encoding import Chunk
from spanbert_keras.data.corpus.hash_set import HashSet
from spanbert_keras.data.corpus.preparation_progress import Progress, save_progress
from spanbert_keras.data.shards import shard_format
from spanbert_keras.data.shards.manifest import ShardEntry
from spanbert_keras.files.file_entries import FileEntry

COUNTS = (
    "documents",  # read; = kept_documents + empty_documents + duplicate_documents
    "kept_documents",
    "empty_documents",  # no piece in them
    "duplicate_documents",  # the same text as an earlier document
    "continued_documents",  # among `documents`: further parts of documents longer than 4 million characters
    "undecodable_bytes",
    "pieces",  # = kept_pieces + duplicate_pieces
    "kept_pieces",
    "duplicate_pieces",
    "unknown_pieces",  # [UNK] among the kept ones
)


class _CountedArray:
    """An array that is not written."""

    length = 0

    def append(self, values: np.ndarray) -> None:
        self.length += len(values)


class _Shard:
    """The four arrays of one shard while they are written, or those of them that are in `only`."""

    def __init__(self, folder: pathlib.Path, split: str, index: int, dtype: np.dtype, only: Collection[str] | None):
        self.split, self.index = split, index
        kinds = {"pieces": dtype, "documents": np.int64, "lines": np.int64, "hashes": np.uint64}
        self.arrays: dict[str, shard_format.ArrayFile | _CountedArray] = {}
        for array, kind in kinds.items():
            name = shard_format.shard_file(split, index, array)
            is_written = only is None or name in only
            self.arrays[array] = shard_format.ArrayFile(folder / name, kind) if is_written else _CountedArray()

    @property
    def num_pieces(self) -> int:
        return self.arrays["pieces"].length

    def append(self, pieces: np.ndarray, documents: np.ndarray, lines: np.ndarray, hashes: np.ndarray) -> None:
        """Adds documents: their pieces, the lengths of documents and of lines in pieces, and their hashes."""
        start = self.num_pieces
        self.arrays["documents"].append(start + np.cumsum(documents) - documents)
        self.arrays["lines"].append(start + np.cumsum(lines) - lines)
        self.arrays["hashes"].append(hashes)
        self.arrays["pieces"].append(pieces)

    def close(self) -> tuple[ShardEntry, dict[str, FileEntry]]:
        """Completes the files; returns the shard's manifest entry and those of its files."""
        entry: ShardEntry = {
            "split": self.split,
            "index": self.index,
            "pieces": self.num_pieces,
            "documents": self.arrays["documents"].length,
            "lines": self.arrays["lines"].length,
        }
        for name in ("documents", "lines"):
            self.arrays[name].append(np.array([self.num_pieces]))
        written = [array for array in self.arrays.values() if isinstance(array, shard_format.ArrayFile)]
        return entry, {array.path.name: array.close() for array in written}


class CorpusWriter:
    """Takes encoded chunks in order and writes shards, a checkpoint after each, and at the end the manifest.

    A document is held out when its hash lies below `heldout_share` of the range of hashes: the choice depends on its
    text alone. To hold out at least one, the document with the smallest hash so far is kept aside until another is
    held out; if none is, it becomes the held-out split. Of several parts (`--shard`) each then writes a "candidate",
    among which `TokenShards` chooses: the outcome is that of a run without parts.

    Args:
        folder: path.
        vocabulary_size: int.
        unknown_id: int. Id of [UNK].
        num_sources: int.
        heldout_share: float. Share of documents.
        shard_pieces: int. A shard is closed once it has at least this many pieces.
        is_part: bool. Whether other parts belong to the corpus.
        only: collection of str or `None`. Names of the files to write, to repair a corpus. Defaults to all.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        vocabulary_size: int,
        unknown_id: int,
        num_sources: int,
        heldout_share: float,
        shard_pieces: int,
        is_part: bool,
        only: Collection[str] | None = None,
    ):
        self.folder, self.vocabulary_size, self.unknown_id = folder, vocabulary_size, unknown_id
        self.threshold = int(heldout_share * 2**64)
        self.shard_pieces, self.is_part, self.only = shard_pieces, is_part, only
        self.dtype = shard_format.piece_dtype(vocabulary_size)
        self.position = (0, 0, 0)
        self.counts = np.zeros((num_sources, len(COUNTS)), np.int64)
        self.unigram_counts = np.zeros(vocabulary_size, np.int64)
        self.shards: list[ShardEntry] = []
        self.files: dict[str, FileEntry] = {}
        self._unit = 0
        self._seen = HashSet()
        self._open: dict[str, _Shard] = {}
        self._candidate: tuple[np.ndarray, np.ndarray, int] | None = None  # pieces, line lengths, hash
        self._has_heldout = False

    def add(self, chunk: Chunk) -> bool:
        """Takes the next chunk; returns whether a shard was closed, which is when `save_progress` may be called."""
        lengths = chunk.document_lengths()
        hashes = np.array(chunk.hashes, np.uint64)
        new = np.array([n > 0 and self._seen.add(h) for n, h in zip(lengths, chunk.hashes, strict=True)], bool)
        self._count(chunk, lengths, new)
        heldout = new & np.array([h < self.threshold for h in chunk.hashes], bool)
        train = new & ~heldout
        if not self._has_heldout:
            train = self._choose_candidate(chunk, hashes, lengths, train, heldout)
        self._append("train", chunk, lengths, hashes, train)
        self._append("heldout", chunk, lengths, hashes, heldout)
        self.position = chunk.position
        if "train" in self._open and self._open["train"].num_pieces >= self.shard_pieces:
            self._close_shards()
            return True
        return False

    def _count(self, chunk: Chunk, lengths: np.ndarray, new: np.ndarray) -> None:
        """Adds the chunk's documents and pieces to the counts of their sources."""
        unknown = np.flatnonzero(chunk.pieces == self.unknown_id)
        owner = np.searchsorted(np.cumsum(lengths), unknown, side="right")
        unknowns = np.bincount(owner, minlength=len(lengths))
        old = (lengths > 0) & ~new
        columns = {
            "documents": np.ones_like(lengths),
            "kept_documents": new,
            "empty_documents": lengths == 0,
            "duplicate_documents": old,
            "continued_documents": np.array(chunk.continued, bool),
            "undecodable_bytes": np.array(chunk.undecodable, np.int64),
            "pieces": lengths,
            "kept_pieces": lengths * new,
            "duplicate_pieces": lengths * old,
            "unknown_pieces": unknowns * new,
        }
        rows = np.stack([columns[name].astype(np.int64) for name in COUNTS], axis=1)
        np.add.at(self.counts, np.array(chunk.sources, np.int64), rows)

    def _choose_candidate(self, chunk, hashes, lengths, train, heldout) -> np.ndarray:
        """Keeps the document of the smallest hash aside until one is held out; returns the training documents."""
        if heldout.any():
            self._has_heldout = True
            self._release_candidate()
        elif train.any():
            best = int(np.flatnonzero(train)[np.argmin(hashes[train])])
            if self._candidate is None or int(hashes[best]) < self._candidate[2]:
                self._release_candidate()
                chosen = np.arange(len(train)) == best
                pieces, lines = _select(chunk, lengths, chosen)
                self._candidate = (pieces, lines, int(hashes[best]))
                return train & ~chosen
        return train

    def _release_candidate(self) -> None:
        """Moves the document kept aside, if any, to the training split."""
        if self._candidate is not None:
            pieces, lines, code = self._candidate
            self._write("train", pieces, np.array([len(pieces)]), lines, np.array([code], np.uint64))
            self._candidate = None

    def _append(self, split: str, chunk: Chunk, lengths: np.ndarray, hashes: np.ndarray, chosen: np.ndarray) -> None:
        """Writes the chosen documents of a chunk."""
        if chosen.any():
            pieces, lines = _select(chunk, lengths, chosen)
            self._write(split, pieces, lengths[chosen], lines, hashes[chosen])

    def _write(self, split: str, pieces, documents, lines, hashes) -> None:
        """Writes documents to the open shard of a split and counts the training pieces."""
        if split not in self._open:
            self._open[split] = _Shard(self.folder, split, self._unit, self.dtype, self.only)
        self._open[split].append(pieces, documents, lines[lines > 0], hashes)
        if split == "train":
            self.unigram_counts += np.bincount(pieces, minlength=self.vocabulary_size)

    def _close_shards(self) -> None:
        """Completes the open shards."""
        for shard in self._open.values():
            entry, files = shard.close()
            self.shards.append(entry)
            self.files.update(files)
        self._open = {}
        self._unit += 1

    def save_progress(self, identity: dict[str, Any], vocabulary: FileEntry | None = None) -> None:
        """Writes the checkpoint, one file, atomically; everything that was added is in closed shards or in it."""
        pieces, lines, code = self._candidate or (np.zeros(0, np.int32), np.zeros(0, np.int64), 0)
        progress: Progress = {
            "identity": identity,
            "vocabulary": vocabulary,
            "files": self.files,
            "writer": {
                "position": list(self.position),
                "shards": self.shards,
                "unit": self._unit,
                "has_heldout": self._has_heldout,
                "candidate_hash": None if self._candidate is None else code,
                "candidate_pieces": pieces.tolist(),
                "candidate_lines": lines.tolist(),
                "counts": self.counts.tolist(),
                "unigram_counts": self.unigram_counts.tolist(),
            },
        }
        save_progress(self.folder, progress)

    def load_progress(self, progress: Progress) -> None:
        """Continues from a checkpoint.

        Raises:
            InputError: the hashes of a shard that it names are damaged.
        """
        state = progress["writer"]
        self.counts = np.array(state["counts"], np.int64).reshape(self.counts.shape)
        self.unigram_counts = np.array(state["unigram_counts"], np.int64).reshape(self.vocabulary_size)
        if state["candidate_hash"] is not None:
            pieces, lines = np.array(state["candidate_pieces"], np.int32), np.array(state["candidate_lines"], np.int64)
            self._candidate = (pieces, lines, state["candidate_hash"])
            self._seen.add(state["candidate_hash"])
        index, documents, position = state["position"]
        self.position = (index, documents, position)
        self.shards, self.files, self._unit = state["shards"], progress["files"], state["unit"]
        self._has_heldout = state["has_heldout"]
        for shard in self.shards:
            name = shard_format.shard_file(shard["split"], shard["index"], "hashes")
            shard_format.check_content(self.folder / name, self.files[name])
            self._seen.update(shard_format.open_array(self.folder / name, np.uint64))

    def finish(self) -> None:
        """Writes what is kept aside and closes the last shards."""
        if self._candidate is not None:
            pieces, lines, code = self._candidate
            split = shard_format.CANDIDATE if self.is_part else "heldout"
            self._write(split, pieces, np.array([len(pieces)]), lines, np.array([code], np.uint64))
        self._close_shards()
        for shard in self.shards:
            if shard["split"] == shard_format.CANDIDATE:
                shard["smallest_hash"] = self._candidate[2]  # type: ignore[index]
        if self.only is not None and shard_format.UNIGRAM_COUNTS not in self.only:
            return
        counts = shard_format.ArrayFile(self.folder / shard_format.UNIGRAM_COUNTS, np.int64)
        counts.append(self.unigram_counts)
        self.files[shard_format.UNIGRAM_COUNTS] = counts.close()

    def totals(self) -> dict[str, int]:
        """Returns every count, summed over the sources."""
        return dict(zip(COUNTS, self.counts.sum(0).tolist(), strict=True))

    def reports(self) -> list[dict[str, int]]:
        """Returns every count of each source."""
        return [dict(zip(COUNTS, row, strict=True)) for row in self.counts.tolist()]


def _select(chunk: Chunk, lengths: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pieces and the line lengths of the chosen documents of a chunk."""
    if chosen.all():
        return chunk.pieces, chunk.line_lengths
    lines = np.repeat(chosen, chunk.line_counts)
    return chunk.pieces[np.repeat(chosen, lengths)], chunk.line_lengths[lines]
