"""Opening a finished annotation: of one folder, of parts, and what does not belong together."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus
from spanbert_keras.data.shards import annotation_format, shard_format
from spanbert_keras.data.shards.annotation_format import AnnotationEntry, annotation_path
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json

TEXT = "\n\n".join(f"The line number {i}.\nAnother line of {i} words." for i in range(12))


@pytest.fixture
def corpus(tmp_path, small_vocabulary):
    """Function of the number of parts: prepares a corpus, annotates every shard with numbers, and returns its path."""
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")

    def make(parts):
        settings = {"input": (f"{tmp_path}/text.txt",), "vocabulary": f"{tmp_path}/vocab.txt", "heldout_share": 0.0}
        for part in range(parts):
            shard = f"{part}/{parts}" if parts > 1 else None
            prepare_corpus(PreparationSettings(**settings, output_dir=f"{tmp_path}/c{parts}", shard=shard, workers=1))
        for folder, manifest in TokenShards(tmp_path / f"c{parts}").parts:
            annotation_format.write_entries(folder, {"entities": annotate(folder, manifest)})
        return tmp_path / f"c{parts}"

    return make


def annotate(folder, manifest):
    shards = {}
    for shard in manifest["shards"]:
        stem = shard_format.shard_stem(shard["split"], shard["index"])
        path = annotation_path(folder / stem, "entities")
        np.save(path, np.arange(shard["pieces"], dtype=np.uint8))
        shards[stem] = {**shard_format.file_entry(path), "spans": 1, "pieces": 2}
    corpus, vocabulary = shard_format.fingerprint([manifest]), manifest["vocabulary_fingerprint"]
    return AnnotationEntry(
        annotator="a 1", settings={}, source="text", labels=["A"], corpus=corpus, vocabulary=vocabulary, shards=shards
    )


@pytest.mark.parametrize("parts", [1, 3])
def test_both_splits_have_their_bytes_beside_the_pieces(corpus, parts):
    shards = TokenShards(corpus(parts))
    annotation = shards.annotations("entities")
    assert (annotation.name, annotation.labels, annotation.annotator) == ("entities", ("A",), "a 1")
    for split in ("train", "heldout"):
        part = shards.split(split)
        opened = annotation.open(part.paths, [len(pieces) for pieces in part.pieces])
        assert opened and all(isinstance(values[:1], np.memmap) for values in opened)
        for values, pieces in zip(opened, part.pieces, strict=True):
            assert values.tolist() == [i % 256 for i in range(len(pieces))]
    shards.verify()


def test_the_fingerprint_names_content_and_labels(corpus):
    folder = corpus(1)
    first = TokenShards(folder).annotations("entities").fingerprint
    assert len(first) == 64 == len(TokenShards(folder).annotations("entities").fingerprint)
    [(_, manifest)] = TokenShards(folder).parts
    entry = annotate(folder, manifest)
    annotation_format.write_entries(folder, {"entities": dataclasses.replace(entry, labels=["B"])})
    second = TokenShards(folder).annotations("entities").fingerprint
    path = annotation_path(folder / "train-00000", "entities")
    np.save(path, np.zeros(manifest["shards"][0]["pieces"], np.uint8))
    entry.shards["train-00000"].update(shard_format.file_entry(path))
    annotation_format.write_entries(folder, {"entities": entry})
    assert len({first, second, TokenShards(folder).annotations("entities").fingerprint}) == 3


def test_a_missing_annotation_is_named_with_the_command(corpus):
    folder = corpus(1)
    command = f"--corpus={folder} --annotations=noun_phrases --annotator=spacy:en_core_web_sm --input="
    with pytest.raises(
        InputError, match=f"'noun_phrases', which --scheme=noun_phrase needs. Run `python -m .*{command}"
    ):
        TokenShards(folder).annotations("noun_phrases")
    parts = corpus(3)
    (parts / "part-1-of-3" / "annotations.json").unlink()
    with pytest.raises(InputError, match="The part .*part-1-of-3 of the corpus has no finished annotation 'entities'"):
        TokenShards(parts).annotations("entities")


def test_parts_must_be_annotated_alike(corpus):
    parts = corpus(3)
    path = parts / "part-2-of-3" / "annotations.json"
    entries = read_json(path)
    entries["entities"]["annotator"] = "b 2"
    write_json(path, entries)
    with pytest.raises(
        InputError, match="different annotations 'entities'. Expected: a 1 .* Received: b 2 .*part-2-of-3"
    ):
        TokenShards(parts).annotations("entities")


def test_a_file_that_is_cut_short_or_damaged_is_found(corpus):
    folder = corpus(1)
    path = annotation_path(folder / "heldout-00000", "entities")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    TokenShards(folder).annotations("entities")
    with pytest.raises(InputError, match="The annotation file .*heldout-00000.* is damaged"):
        TokenShards(folder).verify()
    path.write_bytes(data[:-1])
    with pytest.raises(InputError, match="The annotation file .*heldout-00000.* is incomplete"):
        TokenShards(folder).annotations("entities")
