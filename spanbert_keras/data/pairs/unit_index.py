"""The index of the units that segments consist of, lines or sentences, kept in files."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spanbert_keras.data.pairs.sentence_units import SentenceUnits
from spanbert_keras.data.shards.shard_format import ArrayFile
from spanbert_keras.data.shards.token_shards import TokenSplit
from spanbert_keras.files.index_folder import cached_index
from spanbert_keras.files.npy_files import open_npy

if TYPE_CHECKING:
    from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

PAIR_UNITS = ("line", "sentence")
SLICE_PIECES = 2_000_000  # pieces that are read at once, to bound the memory


@dataclasses.dataclass(frozen=True)
class Units:
    """All units of a split. Arrays may be memory-mapped.

    Attributes:
        starts: int64 `(U + 1,)`, ascending without repetition. First piece of each unit, counted over all shards in
            order, then the number of pieces.
        documents: int64 `(D + 1,)`. First unit of each document, then U.
    """

    starts: np.ndarray
    documents: np.ndarray

    @property
    def num_documents(self) -> int:
        """Number of documents."""
        return len(self.documents) - 1

    @property
    def num_pieces(self) -> int:
        """Number of pieces of all units."""
        return int(self.starts[-1])

    def __len__(self) -> int:
        return len(self.starts) - 1


def cached_units(
    folder: str | os.PathLike, name: str, split: TokenSplit, tokenizer: "SpanBertTokenizer", kind: str
) -> Units:
    """Returns the units saved under `folder/name`, or finds, saves and memory-maps them.

    Args:
        folder: the cache directory.
        name: str. A name made of the corpus fingerprint, the split and `kind`.
        split: `TokenSplit`.
        tokenizer: `SpanBertTokenizer` of the split.
        kind: `"line"` or `"sentence"`. A sentence never crosses lines.
    """

    def write(temporary: Path) -> None:
        sentences = SentenceUnits(tokenizer) if kind == "sentence" else None
        _write_units(temporary, split, sentences)

    return cached_index(Path(folder) / f"{name}.units", _open_units, write, "index of units")


def _open_units(path: Path) -> Units | None:
    """Returns the saved units, or `None` if the files do not fit each other; raises if one has another format."""
    starts, documents = (open_npy(path / f"{name}.npy", np.int64) for name in ("starts", "documents"))
    is_whole = len(starts) and len(documents) and documents[-1] == len(starts) - 1
    return Units(np.asarray(starts), np.asarray(documents)) if is_whole else None


def _write_units(folder: Path, split: TokenSplit, sentences: SentenceUnits | None) -> None:
    starts, documents = (ArrayFile(folder / f"{name}.npy", np.int64) for name in ("starts", "documents"))
    base = 0
    for pieces, documents_of_shard, line_starts in zip(
        split.pieces, split.document_starts, split.line_starts, strict=True
    ):
        document_starts = _nonempty(np.asarray(documents_of_shard))
        for lines in _slices(_nonempty(np.asarray(line_starts))):
            first = int(lines[0])
            units = lines[:-1]
            if sentences is not None:
                units = sentences.starts(np.asarray(pieces[first : lines[-1]]), lines - first) + first
            begun = document_starts[slice(*np.searchsorted(document_starts[:-1], lines[[0, -1]]))]
            documents.append(starts.length + np.searchsorted(units, begun))
            starts.append(units + base)
        base += len(pieces)
    documents.append(np.array([starts.length]))
    starts.append(np.array([base]))
    starts.close()
    documents.close()


def _nonempty(starts: np.ndarray) -> np.ndarray:
    """Returns `(L + 1,)` starts without those of empty lines or documents, which begin where the next one does."""
    return starts[np.append(np.diff(starts) > 0, True)]


def _slices(line_starts: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the starts of whole lines with about `SLICE_PIECES` pieces, and then the end of the last."""
    first = 0
    while first < len(line_starts) - 1:
        last = int(np.searchsorted(line_starts, line_starts[first] + SLICE_PIECES, side="right")) - 1
        last = max(last, first + 1)
        yield line_starts[first : last + 1]
        first = last
