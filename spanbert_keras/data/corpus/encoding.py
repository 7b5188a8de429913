"""Documents to pieces: reading in order, encoding on several threads, results in the order of reading."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence

import numpy as np

from spanbert_keras.data.corpus.text_readers import CorpusFile, read_raw_documents
from spanbert_keras.preprocessing.wordpiece import WordPiece

CHUNK_CHARACTERS = 200_000


@dataclasses.dataclass
class Chunk:
    """Consecutive documents: first their text, then their pieces.

    Attributes:
        sources, hashes, undecodable, continued: list with one entry per document: index of its source, 64-bit hash of
            its text, undecodable bytes, whether it is a further part of a long one.
        lines: list of str. The lines of all documents; emptied by `encode`.
        line_counts: list of int. Lines of each document.
        position: (source index, documents read of it, bytes read of it) after the last document.
        pieces: int32 `(N,)`. The ids of all documents.
        line_lengths: int64. Pieces of each line.
    """

    sources: list[int] = dataclasses.field(default_factory=list)
    hashes: list[int] = dataclasses.field(default_factory=list)
    undecodable: list[int] = dataclasses.field(default_factory=list)
    continued: list[bool] = dataclasses.field(default_factory=list)
    lines: list[str] = dataclasses.field(default_factory=list)
    line_counts: list[int] = dataclasses.field(default_factory=list)
    position: tuple[int, int, int] = (0, 0, 0)
    characters: int = 0
    pieces: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    line_lengths: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    def encode(self, wordpiece: WordPiece) -> "Chunk":
        """Replaces the text by pieces, a few lines at a time."""
        self.pieces, self.line_lengths = wordpiece.encode_many(self.lines)
        self.lines = []
        return self

    def document_lengths(self) -> np.ndarray:
        """Returns int64 `(D,)`: the pieces of each document."""
        ends = np.concatenate([[0], np.cumsum(self.line_lengths)])
        return np.diff(ends[np.concatenate([[0], np.cumsum(np.array(self.line_counts, np.int64))])])


def text_hash(lines: Sequence[str]) -> int:
    """Returns the 64-bit BLAKE2b hash of a document's text."""
    return int.from_bytes(hashlib.blake2b("\n".join(lines).encode("utf-8"), digest_size=8).digest(), "little")


def read_chunks(
    sources: Sequence[CorpusFile], text_column: str, start: tuple[int, int], shard: tuple[int, int]
) -> Iterator[Chunk]:
    """Yields the documents of all sources in chunks of about `CHUNK_CHARACTERS`.

    Args:
        sources: list of `CorpusFile`.
        text_column: str. As `read_raw_documents` takes it.
        start: (source index, number of its documents to skip). Where a stopped run continues.
        shard: (i, n). Only documents whose hash is i modulo n, so that equal documents are always in the same shard.
    """
    chunk = Chunk()
    for index in range(start[0], len(sources)):
        passed = start[1] if index == start[0] else 0
        for number, document in enumerate(read_raw_documents(sources[index], text_column), start=1):
            if number <= passed:
                continue
            code = text_hash(document.lines)
            if code % shard[1] == shard[0]:
                chunk.sources.append(index)
                chunk.hashes.append(code)
                chunk.undecodable.append(document.undecodable)
                chunk.continued.append(document.continued)
                chunk.lines += document.lines
                chunk.line_counts.append(len(document.lines))
                chunk.characters += sum(map(len, document.lines)) + 1
            chunk.position = (index, number, document.position)
            if chunk.characters >= CHUNK_CHARACTERS:
                yield chunk
                chunk = Chunk(position=chunk.position)
    chunk.position = (len(sources), 0, 0)
    yield chunk


def encode_chunks(chunks: Iterator[Chunk], wordpiece: WordPiece, workers: int) -> Iterator[Chunk]:
    """Encodes chunks on several threads and yields them in order.

    Threads, not processes: the library releases Python's lock, nothing is copied or imported again, and short runs need
    no start-up. At most `workers` + 2 chunks are in memory.

    Args:
        chunks: iterator of `Chunk`.
        wordpiece: `WordPiece`, shared by the threads.
        workers: int. Number of threads; the result does not depend on it.
    """
    waiting: collections.deque[concurrent.futures.Future[Chunk]] = collections.deque()
    with _single_threaded_calls(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        try:
            for chunk in chunks:
                waiting.append(pool.submit(chunk.encode, wordpiece))
                while len(waiting) > workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextlib.contextmanager
def _single_threaded_calls() -> Iterator[None]:
    """Keeps the library from starting its own threads besides ours; it reads the variable at each call."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
