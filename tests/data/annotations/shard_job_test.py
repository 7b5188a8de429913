"""One shard: documents read from it, bytes stored in any order, a record when it is complete."""

import numpy as np
import pytest

from spanbert_keras.data.annotations.shard_job import ShardJob, read_record, record_path
from spanbert_keras.data.shards.annotation_format import AnnotationEntry
from spanbert_keras.data.shards.token_shards import TokenShards

ENTRY = AnnotationEntry(
    annotator="a 1", settings={"x": [1]}, source="text", labels=["A", "B"], corpus="c", vocabulary="v"
)


@pytest.fixture
def job(prepared):
    """Function that makes the job of the first shard of a prepared corpus."""
    [(folder, manifest)] = TokenShards(prepared("whole")).parts

    def make():
        return ShardJob(folder / "train-00000", manifest, manifest["shards"][0], {"entities": ENTRY})

    assert (manifest["shards"][0]["split"], manifest["shards"][0]["index"]) == ("train", 0)
    return make


def test_documents_are_those_of_the_shard(job):
    made = job()
    split = TokenShards(made.stem.parent).split("train")
    starts, lines = split.document_starts[0], split.line_starts[0]
    assert made.num_documents == len(starts) - 1 == len(made.hashes()) and made.num_pieces == len(split.pieces[0])
    for index in (0, 1, made.num_documents - 1):
        begin, end = starts[index], starts[index + 1]
        document = made.document(index, None)
        assert document.pieces.tolist() == split.pieces[0][begin:end].tolist() and document.lines is None
        bounds = [line for line in lines.tolist() if begin <= line <= end]
        assert document.line_lengths.tolist() == np.diff(bounds).tolist()
        assert made.document(index, ["x"]).lines == ["x"] and made.document(index, ["x"]).line_lengths is None
    assert "train-00000" in document.where


def test_bytes_may_come_in_any_order_and_are_counted(job):
    made = job()
    random = np.random.default_rng(0)
    sizes = [len(made.document(i, None).pieces) for i in range(made.num_documents)]
    values = [random.choice(np.array([0, 3, 1, 7, 5, 11], np.uint8), size) for size in sizes]
    for index in random.permutation(made.num_documents).tolist():
        made.put(index, {"entities": values[index]})
    assert made.remaining == 0 and read_record(made.stem, "entities", ENTRY) is None
    made.finish()
    flat = np.concatenate(values)
    path = made.stem.with_name("train-00000.entities.annotation.npy")
    np.testing.assert_array_equal(np.load(path), flat)
    shard, counts = read_record(made.stem, "entities", ENTRY)
    first = flat[(flat & 2) > 0]
    assert counts == {"A": (first == 7).sum(), "B": (first == 11).sum(), "": (first == 3).sum()}
    assert shard["bytes"] == path.stat().st_size and len(shard["sha256"]) == 64
    assert shard["spans"] == len(first) and shard["pieces"] == (flat & 1).sum()


def test_documents_that_are_not_stored_have_no_mentions(job):
    made = job()
    made.finish()
    assert not np.load(made.stem.with_name("train-00000.entities.annotation.npy")).any()
    assert read_record(made.stem, "entities", ENTRY)[1] == {"A": 0, "B": 0}


def test_a_record_of_another_annotation_or_of_a_short_file_does_not_count(job):
    made = job()
    made.finish()
    other = AnnotationEntry(annotator="a 2", settings={}, source="text", labels=["A"], corpus="c", vocabulary="v")
    assert read_record(made.stem, "entities", ENTRY) and read_record(made.stem, "entities", other) is None
    record_path(made.stem, "entities").write_text("{")
    assert read_record(made.stem, "entities", ENTRY) is None
    job().finish()
    path = made.stem.with_name("train-00000.entities.annotation.npy")
    path.write_bytes(path.read_bytes()[:-1])
    assert read_record(made.stem, "entities", ENTRY) is None


def test_an_abandoned_job_leaves_nothing(job):
    made = job()
    before = sorted(path.name for path in made.stem.parent.iterdir())
    made.put(0, {"entities": np.ones(len(made.document(0, None).pieces), np.uint8)})
    assert len(list(made.stem.parent.iterdir())) == len(before) + 1
    made.abandon()
    assert sorted(path.name for path in made.stem.parent.iterdir()) == before
