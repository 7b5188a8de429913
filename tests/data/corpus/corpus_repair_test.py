"""Tests of the repair of a finished corpus."""

import json
import random

import pytest

from spanbert_keras.data.corpus import encoding
from spanbert_keras.data.corpus import prepare_corpus as module
from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json


@pytest.mark.parametrize("part", [None, "1/2"])
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_damaged_finished_corpus_is_repaired_file_by_file(corpus, tmp_path, share, part, lines, content, damaged):
    settings = corpus(heldout_share=share, shard=part)
    first = prepare_corpus(settings)
    folder, draw = tmp_path / "out" / ("part-1-of-2" if part else ""), random.Random(9)
    before = content(folder)
    names = draw.sample([name for name in before if name != "manifest.json"], 6) + ["unigram_counts.npy", "vocab.txt"]
    for number, name in enumerate(names):
        inodes = {path.name: path.stat().st_ino for path in folder.iterdir()}
        if number == 1:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(damaged(before[name], draw))
        (folder / f".0123abcd.{name}").write_bytes(b"left by a killed process")
        lines.clear()
        assert prepare_corpus(settings) == read_json(folder / "manifest.json") == json.loads(json.dumps(first))
        assert content(folder) == before
        kept = {path.name for path in folder.iterdir() if path.stat().st_ino == inodes.get(path.name)}
        assert kept >= before.keys() - {name}  # no other file was written
        assert lines == [f"1 files of {folder} are damaged, e.g. {name}; they are made again."]


def test_a_trained_vocabulary_is_repaired(corpus, tmp_path, content):
    settings = corpus(vocabulary=None, train_vocabulary=120)
    prepare_corpus(settings)
    before = content(tmp_path / "out")
    (tmp_path / "out" / "vocab.txt").write_bytes(before["vocab.txt"].replace(b"\n##", b"\n#_", 1))
    (tmp_path / "out" / "train-00001.pieces.npy").unlink()
    prepare_corpus(settings)
    assert content(tmp_path / "out") == before


def test_what_cannot_be_made_again_is_reported(corpus, tmp_path, monkeypatch):
    prepare_corpus(corpus())
    (tmp_path / "out" / "train-00000.pieces.npy").write_bytes(b"")
    monkeypatch.setattr(module, "usable_cores", lambda: 1)
    encode = encoding.Chunk.encode

    def otherwise(self, wordpiece):
        encode(self, wordpiece).pieces[:] = 5
        return self

    monkeypatch.setattr(encoding.Chunk, "encode", otherwise)
    with pytest.raises(InputError, match="train-00000.pieces.npy is damaged, and what was made again is different"):
        prepare_corpus(corpus())


def test_a_damaged_manifest_is_reported_and_everything_stays(corpus, tmp_path, content):
    prepare_corpus(corpus())
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace('"pieces": ', '"pieces": 1', 1))
    before = content(tmp_path / "out")
    with pytest.raises(InputError, match="manifest.json cannot be read .*checksum.* Put a copy of it back"):
        prepare_corpus(corpus())
    assert content(tmp_path / "out") == before
