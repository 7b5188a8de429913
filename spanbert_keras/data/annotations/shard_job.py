"""One shard that is being annotated: its documents, and its files while they are filled."""

import json
import os
import pathlib
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from spanbert_keras.data.annotations.document_annotator import PreparedDocument
from spanbert_keras.data.shards import annotation_format, shard_format
from spanbert_keras.data.shards.annotation_format import AnnotatedShard, AnnotationEntry, annotation_path
from spanbert_keras.files.file_entries import file_entry, is_undamaged
from spanbert_keras.files.json_files import read_json, write_json
from spanbert_keras.files.writing import sync, temporary_path
from spanbert_keras.preprocessing.masking.row_units import FIRST, INSIDE

READ_AT_ONCE = 1 << 24  # bytes of an annotation in memory while they are counted


class _Record(TypedDict):
    entry: dict[str, Any]
    shard: AnnotatedShard
    counts: dict[str, int]


class ShardJob:
    """Annotates the documents of a shard in any order; its files are complete after `finish`.

    Args:
        stem: path of the shard without endings.
        manifest: dict. The manifest of its folder.
        shard: dict. The shard's entry in it.
        entries: dict from the name of each annotation to make to its `AnnotationEntry`, still without shards.
    """

    def __init__(
        self, stem: pathlib.Path, manifest: dict[str, Any], shard: dict[str, Any], entries: dict[str, AnnotationEntry]
    ):
        self.stem, self.entries = stem, entries
        self.num_pieces, self.num_documents = shard["pieces"], shard["documents"]
        self._lengths = {"pieces": shard["pieces"], "documents": shard["documents"] + 1, "lines": shard["lines"] + 1}
        self._piece_dtype = shard_format.piece_dtype(manifest["vocabulary_size"])
        self._arrays: dict[str, np.ndarray] = {}
        self._values: dict[str, np.memmap] = {}
        self._temporary: dict[str, pathlib.Path] = {}
        self.remaining = self.num_documents

    def hashes(self) -> np.ndarray:
        """Returns the hashes of the documents' texts: uint64 `(D,)`."""
        path = self.stem.with_name(f"{self.stem.name}.hashes.npy")
        return np.array(shard_format.open_array(path, np.uint64, self.num_documents))

    def document(self, index: int, lines: list[str] | None) -> PreparedDocument:
        """Returns a document: with its text, or with the lengths of its lines."""
        starts = self._array("documents", np.int64)
        begin, end = int(starts[index]), int(starts[index + 1])
        lengths = None
        if lines is None:
            all_lines = self._array("lines", np.int64)
            first, last = np.searchsorted(all_lines, [begin, end])
            lengths = np.diff(all_lines[first : last + 1])
        pieces = np.array(self._array("pieces", self._piece_dtype)[begin:end], np.int64)
        return PreparedDocument(pieces, lengths, lines, f"Document {index} of the shard {self.stem}")

    def put(self, index: int, values: dict[str, np.ndarray]) -> None:
        """Stores the annotations of a document; a document is stored once."""
        starts = self._array("documents", np.int64)
        for name in self.entries:
            self._open(name)[starts[index] : starts[index + 1]] = values[name]
        self.remaining -= 1

    def finish(self) -> None:
        """Completes the files, and writes a record beside each; documents that were not stored have 0."""
        for name, entry in self.entries.items():
            values = self._open(name)
            values.flush()
            counts = _count(values)
            del values, self._values[name]  # Windows renames no file that is mapped.
            path = annotation_path(self.stem, name)
            sync(self._temporary[name])
            os.replace(self._temporary.pop(name), path)
            shard = {**file_entry(path), "spans": int(counts[:64].sum()), "pieces": int(counts[64])}
            shard["missing"] = self.remaining
            labels = {label: int(counts[i]) for i, label in enumerate(entry.labels, start=1)}
            unlabelled = {"": int(counts[0])} if counts[0] else {}
            record = {"entry": entry.to_json(), "shard": shard, "counts": labels | unlabelled}
            write_json(record_path(self.stem, name), record, checksum=True)
        self._arrays = {}

    def abandon(self) -> None:
        """Removes unfinished files."""
        self._values = {}
        for path in self._temporary.values():
            path.unlink(missing_ok=True)
        self._temporary = {}

    def _array(self, array: str, dtype: Any) -> np.ndarray:
        """Returns a memory map of one array of the shard."""
        if array not in self._arrays:
            path = self.stem.with_name(f"{self.stem.name}.{array}.npy")
            self._arrays[array] = shard_format.open_array(path, dtype, self._lengths[array])
        return self._arrays[array]

    def _open(self, name: str) -> np.memmap:
        """Returns the file of an annotation while it is written: a memory map, zeros at first."""
        if name not in self._values:
            self._temporary[name] = temporary_path(annotation_path(self.stem, name))
            self._values[name] = np.lib.format.open_memmap(
                self._temporary[name], mode="w+", dtype=np.uint8, shape=(self.num_pieces,)
            )
        return self._values[name]


def _count(values: np.ndarray) -> np.ndarray:
    """Returns int64 `(65,)`: mentions of each label number, then pieces in mentions."""
    counts = np.zeros(65, np.int64)
    for begin in range(0, len(values), READ_AT_ONCE):
        part = np.asarray(values[begin : begin + READ_AT_ONCE])
        counts[:64] += np.bincount(part[(part & FIRST) > 0] >> annotation_format.LABEL_SHIFT, minlength=64)
        counts[64] += np.count_nonzero(part & INSIDE)
    return counts


def record_path(stem: pathlib.Path, name: str) -> pathlib.Path:
    """Returns the file that marks an annotation of a shard as complete until `annotations.json` is written."""
    return annotation_path(stem, name).with_suffix(".json")


def read_record(
    stem: pathlib.Path, name: str, entry: AnnotationEntry, allow_missing: bool = True
) -> tuple[AnnotatedShard, dict[str, int]] | None:
    """Returns a shard's part of `annotations.json` and its counts.

    `None` if it is not annotated, in another way, or damaged.

    Args:
        stem: path of the shard without endings.
        name: str. Name of the annotation.
        entry: `AnnotationEntry`, without shards.
        allow_missing: bool. Whether a shard counts as annotated although the input lacked documents of it.
    """
    try:
        record = read_json(record_path(stem, name), _Record)
    except (OSError, ValueError):
        return None
    shard = record["shard"]
    is_usable = (allow_missing or not shard.get("missing")) and is_undamaged(annotation_path(stem, name), shard)
    same = record["entry"] == json.loads(json.dumps(entry.to_json()))
    return (shard, record["counts"]) if same and is_usable else None
