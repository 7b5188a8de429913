"""Tests of the stream from documents to pieces."""

import hashlib
import os
import threading

import numpy as np
import pytest

from spanbert_keras.data.corpus import encoding
from spanbert_keras.data.corpus.encoding import Chunk, encode_chunks, read_chunks, text_hash
from spanbert_keras.data.corpus.text_readers import find_sources
from spanbert_keras.preprocessing import wordpiece
from spanbert_keras.preprocessing.wordpiece import WordPiece

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "c"]


@pytest.fixture
def sources(tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "CHUNK_CHARACTERS", 12)
    monkeypatch.setattr(wordpiece, "BATCH_CHARACTERS", 3)
    (tmp_path / "a.txt").write_text("a ab\nc\n\nab ab ab ab ab\n\nc c\n")
    (tmp_path / "b.jsonl").write_text('{"text": ""}\n{"text": "x\\n\\u0000\\na"}\n')
    return find_sources([str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")])


def encoded(sources, workers=1, start=(0, 0), shard=(0, 1)):
    chunks = read_chunks(sources, "text", start, shard)
    return list(encode_chunks(chunks, WordPiece(VOCABULARY, False), workers))


def test_pieces_and_lengths_are_those_of_the_documents(sources):
    chunks = encoded(sources)
    assert [len(chunk.hashes) for chunk in chunks] == [2, 3]
    first, second = chunks
    assert first.pieces.tolist() == [5, 5, 6, 7] + [5, 6] * 5
    assert first.line_lengths.tolist() == [3, 1, 10] and first.document_lengths().tolist() == [4, 10]
    assert second.document_lengths().tolist() == [2, 0, 2] and second.pieces.tolist() == [7, 7, 1, 5]
    assert second.line_counts == [1, 0, 3] and second.sources == [0, 1, 1]
    assert first.position == (0, 2, 21) or first.position[:2] == (0, 2)
    assert second.position == (2, 0, 0) and first.lines == []


def test_the_stream_does_not_depend_on_the_number_of_threads(sources):
    one, many = encoded(sources, 1), encoded(sources, 5)
    assert [c.pieces.tolist() for c in one] == [c.pieces.tolist() for c in many]
    assert [c.hashes for c in one] == [c.hashes for c in many]


def test_a_stream_continues_where_another_stopped(sources):
    whole = encoded(sources)
    rest = encoded(sources, start=whole[0].position[:2])
    assert [c.hashes for c in rest] == [c.hashes for c in whole[1:]]
    assert encoded(sources, start=(2, 0))[0].hashes == []


def test_documents_are_assigned_to_shards_by_their_text(sources):
    whole = [code for chunk in encoded(sources) for code in chunk.hashes]
    parts = [[code for chunk in encoded(sources, shard=(i, 3)) for code in chunk.hashes] for i in range(3)]
    assert sorted(sum(parts, [])) == sorted(whole)
    assert all(code % 3 == i for i, part in enumerate(parts) for code in part)


def test_the_hash_is_blake2b_of_the_text():
    digest = hashlib.blake2b("ü\nx".encode(), digest_size=8).digest()
    assert text_hash(["ü", "x"]) == int.from_bytes(digest, "little")
    assert text_hash(["ü x"]) != text_hash(["ü", "x"])


def test_an_empty_chunk_has_no_documents():
    chunk = Chunk().encode(WordPiece(VOCABULARY, False))
    assert chunk.document_lengths().shape == (0,) and chunk.pieces.dtype == np.int32


def test_few_chunks_wait_in_memory(sources):
    taken = []

    def count():
        for chunk in read_chunks(sources * 20, "text", (0, 0), (0, 1)):
            taken.append(chunk)
            yield chunk

    stream = encode_chunks(count(), WordPiece(VOCABULARY, False), 2)
    next(stream)
    assert len(taken) <= 4
    stream.close()


def test_the_librarys_own_threads_are_off_and_the_setting_is_restored(sources, monkeypatch):
    seen = []

    class Spy(WordPiece):
        def encode_ragged(self, texts, specials=False):
            seen.append((os.environ["TOKENIZERS_PARALLELISM"], threading.current_thread() is threading.main_thread()))
            return super().encode_ragged(texts, specials)

    for before in ("true", None):
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
        if before:
            monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
        list(encode_chunks(read_chunks(sources, "text", (0, 0), (0, 1)), Spy(VOCABULARY, False), 2))
        assert os.environ.get("TOKENIZERS_PARALLELISM") == before
    assert set(seen) == {("false", False)}


def test_an_error_in_a_thread_reaches_the_caller(sources):
    class Broken(WordPiece):
        def encode_ragged(self, texts, specials=False):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        list(encode_chunks(read_chunks(sources, "text", (0, 0), (0, 1)), Broken(VOCABULARY, False), 2))
