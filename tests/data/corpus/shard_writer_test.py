"""Tests of what goes into which shard, against a plain Python account of the same documents."""

import numpy as np
import pytest

from spanbert_keras.data.corpus.encoding import Chunk
from spanbert_keras.data.corpus.preparation_progress import load_progress
from spanbert_keras.data.corpus.shard_writer import COUNTS, CorpusWriter
from spanbert_keras.data.shards import shard_format

UNKNOWN = 1
IDENTITY = {"any": "thing"}


def chunk_of(*documents, source=0):
    """Makes a chunk of (hash, [pieces of line, ...]) documents."""
    lines = [line for _, document in documents for line in document]
    return Chunk(
        sources=[source] * len(documents),
        hashes=[code for code, _ in documents],
        undecodable=[0] * len(documents),
        continued=[False] * len(documents),
        line_counts=[len(document) for _, document in documents],
        position=(source, 1, 0),
        pieces=np.array(sum(lines, []), np.int32),
        line_lengths=np.array([len(line) for line in lines], np.int64),
    )


def writer_of(folder, share=0.25, shard_pieces=1000, is_part=False):
    return CorpusWriter(
        folder,
        vocabulary_size=9,
        unknown_id=UNKNOWN,
        num_sources=2,
        heldout_share=share,
        shard_pieces=shard_pieces,
        is_part=is_part,
    )


def read(folder, split, index=0):
    """Returns documents as lists of lines of pieces, cut as the starts say."""
    arrays = {a: np.load(folder / shard_format.shard_file(split, index, a)) for a in shard_format.SHARD_ARRAYS}
    documents = []
    for start, end in zip(arrays["documents"], arrays["documents"][1:], strict=False):
        starts = [s for s in arrays["lines"] if start <= s <= end]
        documents.append([arrays["pieces"][a:b].tolist() for a, b in zip(starts, starts[1:], strict=False)])
    assert len(arrays["hashes"]) == len(documents)
    return documents


LOW, MIDDLE, HIGH, TOP = 2**61, 2**62 + 1, 2**63, 2**64 - 1


def test_documents_go_where_their_hash_says(tmp_path):
    writer = writer_of(tmp_path)
    writer.add(chunk_of((HIGH, [[2, 3], [4]]), (LOW, [[5], [], [6, 7]]), (MIDDLE, [[8]])))
    writer.finish()
    assert read(tmp_path, "train") == [[[2, 3], [4]], [[8]]]
    assert read(tmp_path, "heldout") == [[[5], [6, 7]]]
    assert writer.unigram_counts.tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 1]
    assert np.load(tmp_path / "unigram_counts.npy").tolist() == writer.unigram_counts.tolist()


def test_every_document_and_piece_is_accounted_for(tmp_path):
    writer = writer_of(tmp_path)
    writer.add(chunk_of((HIGH, [[2, 1, 1]]), (TOP, [[]]), (HIGH, [[2, 1, 1]]), (LOW, [[1]])))
    last = chunk_of((HIGH, [[2, 1, 1]]), (5, []), source=1)
    last.undecodable, last.continued = [4, 3], [True, False]
    writer.add(last)
    writer.finish()
    first, second = writer.reports()
    assert first == dict(zip(COUNTS, [4, 2, 1, 1, 0, 0, 7, 4, 3, 3], strict=True))
    assert second == dict(zip(COUNTS, [2, 0, 1, 1, 1, 7, 3, 0, 3, 0], strict=True))
    totals = writer.totals()
    assert totals["documents"] == sum(totals[f"{kind}_documents"] for kind in ("kept", "empty", "duplicate"))
    assert totals["pieces"] == totals["kept_pieces"] + totals["duplicate_pieces"] == 10


@pytest.mark.parametrize("is_part, split", [(False, "heldout"), (True, "candidate")])
def test_the_smallest_hash_is_held_out_when_no_document_would_be(tmp_path, is_part, split):
    writer = writer_of(tmp_path, share=0.0, is_part=is_part)
    writer.add(chunk_of((HIGH, [[2]]), (TOP, [[3, 3]])))
    writer.add(chunk_of((MIDDLE, [[4]]), (LOW, [[5], [6]])))
    writer.add(chunk_of((TOP - 1, [[7]])))
    writer.finish()
    assert read(tmp_path, split) == [[[5], [6]]]
    assert sorted(map(str, read(tmp_path, "train"))) == ["[[2]]", "[[3, 3]]", "[[4]]", "[[7]]"]
    assert writer.unigram_counts.tolist() == [0, 0, 1, 2, 1, 0, 0, 1, 0]
    assert [s["smallest_hash"] for s in writer.shards if s["split"] == "candidate"] == ([LOW] if is_part else [])


def test_no_document_is_kept_aside_once_one_is_held_out(tmp_path):
    writer = writer_of(tmp_path)
    writer.add(chunk_of((HIGH, [[2]]), (TOP, [[3]])))
    writer.add(chunk_of((LOW, [[5]]), (MIDDLE, [[4]])))
    writer.finish()
    assert read(tmp_path, "heldout") == [[[5]]]
    assert sorted(map(str, read(tmp_path, "train"))) == ["[[2]]", "[[3]]", "[[4]]"]


def test_shards_close_when_they_are_full(tmp_path):
    writer = writer_of(tmp_path, shard_pieces=4)
    closed = [writer.add(chunk_of((HIGH + i, [[2, 3, i % 9]]), (i, [[4]]))) for i in range(5)]
    writer.finish()
    assert closed == [False, True, False, True, False]
    entries = [(s["split"], s["index"], s["pieces"], s["documents"], s["lines"]) for s in writer.shards]
    train = [("train", 0, 6, 2, 2), ("train", 1, 6, 2, 2), ("train", 2, 3, 1, 1)]
    heldout = [("heldout", 0, 2, 2, 2), ("heldout", 1, 2, 2, 2), ("heldout", 2, 1, 1, 1)]
    assert sorted(entries) == sorted(train + heldout)
    assert read(tmp_path, "train", 2) == [[[2, 3, 4]]]
    files = {path.name for path in tmp_path.iterdir()}
    assert files == set(writer.files) and not any(name.startswith(".tmp") for name in files)


@pytest.mark.parametrize("share", [0.0, 0.25])
@pytest.mark.parametrize("stop", range(1, 6))
def test_a_stopped_writer_continues_to_the_same_bytes(tmp_path, share, stop):
    draw = np.random.default_rng(7)
    hashes = draw.integers(0, 2**64, 18, np.uint64).tolist()
    documents = [(hashes[i % 15], [draw.integers(0, 9, 3).tolist()]) for i in range(18)]  # three come twice
    chunks = [chunk_of(*documents[i : i + 3]) for i in range(0, 18, 3)]

    def whole(folder):
        folder.mkdir()
        writer = writer_of(folder, share, shard_pieces=1)
        for chunk in chunks:
            writer.add(chunk)
        writer.finish()
        return writer

    def stopped(folder):
        folder.mkdir()
        writer, saved = writer_of(folder, share, shard_pieces=1), 0
        for number, chunk in enumerate(chunks[:stop], start=1):
            if writer.add(chunk):
                writer.save_progress(IDENTITY)
                saved = number
        again = writer_of(folder, share, shard_pieces=1)
        if saved:
            again.load_progress(load_progress(folder))
        for chunk in chunks[saved:]:
            again.add(chunk)
        again.finish()
        (folder / "progress.json").unlink(missing_ok=True)
        return again

    one, two = whole(tmp_path / "one"), stopped(tmp_path / "two")
    assert one.files == two.files and one.shards == two.shards and one.reports() == two.reports()
    assert one.totals()["duplicate_documents"] == 3
