"""Tests of reading manifests, also damaged ones and those without a checksum."""

import json
import random

import pytest

from spanbert_keras.data.shards.manifest import read_manifest
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json

ENTRY = {"bytes": 3, "sha256": "0" * 64}
COUNTS = (
    "documents kept_documents empty_documents duplicate_documents undecodable_bytes pieces kept_pieces unknown_pieces"
)
ARRAYS = [f"train-00000.{name}.npy" for name in ("pieces", "documents", "lines", "hashes")]
MANIFEST = {
    "format_version": 1,
    "vocabulary_size": 9,
    "vocabulary_fingerprint": "f",
    "lowercase": False,
    "tokenizer_settings": {},
    "settings": {"text_column": "text", "heldout_share": 0.1},
    "shard": [0, 1],
    "sources": [{"path": "a.txt", "kind": "text", "bytes": 8}],
    "modified": [0],
    "totals": dict.fromkeys(COUNTS.split(), 1),
    "reports": [dict.fromkeys(COUNTS.split(), 1)],
    "shards": [{"split": "train", "index": 0, "pieces": 2, "documents": 1, "lines": 1}],
    "files": {name: ENTRY for name in ("vocab.txt", "unigram_counts.npy", *ARRAYS)},
}


@pytest.mark.parametrize("checksum", [True, False])
def test_a_manifest_is_read_with_and_without_its_checksum(tmp_path, checksum):
    write_json(tmp_path / "manifest.json", MANIFEST, checksum)
    assert read_manifest(tmp_path) == MANIFEST


def places_of(value, path=()):
    """Yields the path of every value inside of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in items:
        yield (*path, key)
        yield from places_of(inside, (*path, key))


def test_any_changed_value_is_read_or_rejected_in_a_sentence(tmp_path):
    draw, rejected = random.Random(8), 0
    places = list(places_of(MANIFEST))
    for _ in range(400):
        manifest = json.loads(json.dumps(MANIFEST))
        *path, last = draw.choice(places)
        holder = manifest
        for key in path:
            holder = holder[key]
        holder[last] = draw.choice([None, -1, 2**80, 1e300, "x" * 1000, [], {}, [[]], True, {"a": 1}])
        write_json(tmp_path / "manifest.json", manifest)
        try:
            read_manifest(tmp_path)
        except InputError as error:
            rejected += 1
            assert len(str(error)) < 500
    assert rejected > 250


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary_size": 0}, "vocabulary_size is 0"),
        ({"shards": [MANIFEST["shards"][0] | {"split": "../x"}]}, "the split '../x'"),
        ({"shards": [MANIFEST["shards"][0] | {"pieces": -1}]}, "the sizes"),
        ({"shards": [MANIFEST["shards"][0] | {"split": "candidate"}]}, "has no hash"),
        ({"files": MANIFEST["files"] | {"../../other": ENTRY}}, "differ in '../../other'"),
        ({"reports": []}, "1 sources and 0 reports"),
        ({"format_version": 7}, "Expected: format version 1. Received: 7"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_rejected(tmp_path, change, message):
    write_json(tmp_path / "manifest.json", MANIFEST | change)
    with pytest.raises(InputError, match=message):
        read_manifest(tmp_path)


def test_a_changed_number_is_noticed(tmp_path):
    write_json(tmp_path / "manifest.json", MANIFEST, checksum=True)
    changed = read_json(tmp_path / "manifest.json") | {"vocabulary_size": 8}
    text = (tmp_path / "manifest.json").read_text().replace('"vocabulary_size": 9', '"vocabulary_size": 8')
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="differs from the checksum.*Prepare the corpus again"):
        read_manifest(tmp_path)
    write_json(tmp_path / "manifest.json", changed)
    assert read_manifest(tmp_path)["vocabulary_size"] == 8
