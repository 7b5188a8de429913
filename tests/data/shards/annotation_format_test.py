"""`annotations.json`: what it records, and what it is checked against."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from spanbert_keras.data.shards import annotation_format, shard_format
from spanbert_keras.data.shards.annotation_format import AnnotationEntry, annotation_path
from spanbert_keras.errors import InputError

MANIFEST = {
    "vocabulary_fingerprint": "v" * 64,
    "files": {"a": {"bytes": 1, "sha256": "x"}},
    "shards": [{"split": "train", "index": 0, "pieces": 3}, {"split": "candidate", "index": 7, "pieces": 2}],
}
ENTRY = AnnotationEntry(
    annotator="a 1",
    settings={"components": ["ner"]},
    source="text",
    labels=["A"],
    corpus=shard_format.fingerprint([MANIFEST]),
    vocabulary="v" * 64,
)


@pytest.fixture
def entry(tmp_path):
    """The entry of an annotation of two shards, whose files are in the test's folder."""
    shards = {}
    for stem, length in (("train-00000", 3), ("candidate-00007", 2)):
        path = annotation_path(tmp_path / stem, "entities")
        np.save(path, np.zeros(length, np.uint8))
        shards[stem] = {**shard_format.file_entry(path), "spans": 0, "pieces": 0}
    made = dataclasses.replace(ENTRY, shards=shards, counts={"A": 0})
    annotation_format.write_entries(tmp_path, {"entities": made})
    return made


def test_what_is_written_is_read(entry, tmp_path):
    assert annotation_format.read_entries(tmp_path) == {"entities": entry}
    annotation_format.check_contents(tmp_path, MANIFEST)
    written = json.loads((tmp_path / "annotations.json").read_text())["entities"]
    assert written["format_version"] == 1 and written["from"] == "text" and written["labels"] == ["A"]
    assert set(written["shards"]["train-00000"]) == {"bytes", "sha256", "spans", "pieces"}


def test_a_folder_without_annotations_has_none(tmp_path):
    assert annotation_format.read_entries(tmp_path) == {}
    annotation_format.check_contents(tmp_path, MANIFEST)


@pytest.mark.parametrize(
    "change",
    [
        lambda e: "{",
        lambda e: "[]",
        lambda e: json.dumps({"entities": {**e, "format_version": 2}}),
        lambda e: json.dumps({"entities": {k: v for k, v in e.items() if k != "labels"}}),
    ],
)
def test_a_damaged_description_is_rejected(entry, tmp_path, change):
    (tmp_path / "annotations.json").write_text(change(entry.to_json()))
    with pytest.raises(
        InputError, match=r"annotations\.json cannot be read .* Delete it and annotate the corpus again"
    ):
        annotation_format.read_entries(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"vocabulary": "w" * 64},
            "another tokenizer. Expected: the vocabulary of the corpus, fingerprint vvv.*wwww.*--rep",
        ),
        ({"corpus": "c" * 64}, "another corpus. Expected: fingerprint .* Received: cccc.* annotate the corpus again"),
        ({"shards": {}}, "another corpus"),
    ],
)
def test_an_annotation_of_something_else_is_rejected(entry, tmp_path, changes, message):
    with pytest.raises(InputError, match=f"The annotation 'entities' of .* was made for {message}"):
        annotation_format.check_entry(tmp_path, MANIFEST, "entities", dataclasses.replace(entry, **changes))


def test_missing_short_and_damaged_files_are_named(entry, tmp_path):
    path = tmp_path / "candidate-00007.entities.annotation.npy"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"\x01")
    annotation_format.check_entry(tmp_path, MANIFEST, "entities", entry)
    with pytest.raises(
        InputError, match=r"The annotation file .*00007\.entities.* is damaged.*annotate the corpus again"
    ):
        annotation_format.check_contents(tmp_path, MANIFEST)
    path.write_bytes(data[:-1])
    with pytest.raises(InputError, match=r"00007.* is incomplete. Expected: 130 bytes. Received: 129"):
        annotation_format.check_entry(tmp_path, MANIFEST, "entities", entry)
    path.unlink()
    with pytest.raises(
        InputError, match=r"00007.* is missing. Expected: 130 bytes. Annotate the corpus again \(`python"
    ):
        annotation_format.check_entry(tmp_path, MANIFEST, "entities", entry)


def test_names_are_plain():
    assert annotation_path(pathlib.Path("a/train-00000"), "x_1").name == "train-00000.x_1.annotation.npy"
    with pytest.raises(ValueError, match="lowercase"):
        annotation_path(pathlib.Path("a/train-00000"), "../x")
