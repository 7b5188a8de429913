"""Tests of the folder that a preparation writes; more are those of the whole preparation."""

import json
import random

import numpy as np
import pytest

from spanbert_keras.data.corpus import preparation_folder
from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus
from spanbert_keras.errors import InputError
from spanbert_keras.files.json_files import read_json, write_json


def test_the_names_of_leftovers_are_only_our_own():
    ours = ["progress.json", "progress.npz", "train-00003.pieces.npy", ".0123abcd.vocab.txt"]
    ours += [".tmp-vocab.txt", ".tmp-heldout-00000.hashes.npy"]  # of earlier versions
    assert all(map(preparation_folder._is_ours, ours))
    assert not any(
        map(preparation_folder._is_ours, ["train.txt", "notes.npy", "train-00003.pos.annotation.npy", ".git"])
    )


@pytest.mark.parametrize(
    "changes, said",
    [({"heldout_share": 0.2}, "share 0.1 there, 0.2 now"), ({"lowercase": True}, "vocabulary"), ({}, "changed")],
)
def test_a_folder_with_another_corpus_is_left_alone(corpus, tmp_path, changes, said, content):
    prepare_corpus(corpus())
    before = content(tmp_path / "out")
    if not changes:
        with open(tmp_path / "a.txt", "ab") as file:
            file.write(b"\n\nmore")
    with pytest.raises(InputError, match=f"holds another corpus.*{said}"):
        prepare_corpus(corpus(**changes))
    assert content(tmp_path / "out") == before


def test_a_corpus_whose_files_were_read_as_another_kind_is_left_alone(corpus, tmp_path):
    """As a version did that went by names: then a file of JSON lines was text."""
    prepare_corpus(corpus())
    manifest = read_json(tmp_path / "out" / "manifest.json")
    manifest["sources"][0]["kind"] = "document"
    write_json(tmp_path / "out" / "manifest.json", manifest)
    with pytest.raises(InputError, match="holds another corpus .* read as document there, as text now"):
        prepare_corpus(corpus())


def test_a_folder_with_another_stopped_preparation_is_left_alone(corpus, tmp_path, content, killed):
    def kill(done, total, documents, pieces):
        if documents > 40:
            raise killed[0]

    with pytest.raises(killed[0]):
        prepare_corpus(corpus(), kill)
    before = content(tmp_path / "out")
    assert "progress.json" in before and "train-00000.pieces.npy" in before
    with pytest.raises(InputError, match="another preparation that was stopped"):
        prepare_corpus(corpus(heldout_share=0.3))
    assert content(tmp_path / "out") == before


def test_a_folder_with_other_files_is_left_alone(corpus, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match=r"not empty: it holds thesis\.tex"):
        prepare_corpus(corpus())
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        prepare_corpus(corpus("file"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "vocab.txt").write_text("precious")
    with pytest.raises(InputError, match=r"not empty: it holds vocab\.txt"):
        prepare_corpus(corpus("mine"))
    assert (tmp_path / "mine" / "vocab.txt").read_text() == "precious"


@pytest.mark.parametrize("name", ["progress.json", "train-00000.hashes.npy", "train-00000.pieces.npy", "vocab.txt"])
def test_a_stopped_preparation_that_was_damaged_gives_the_same_bytes(
    corpus, tmp_path, name, lines, content, damaged, killed
):
    settings = {"vocabulary": None, "train_vocabulary": 120}
    prepare_corpus(corpus("whole", **settings))
    draw = random.Random(4)
    for number in range(4):
        folder = tmp_path / f"stopped-{number}"
        with pytest.raises(killed[0]):
            prepare_corpus(corpus(folder.name, **settings), killed[1](40))
        (folder / name).write_bytes((folder / name).read_bytes()[:-3] if number else b"")
        if number > 1:
            (folder / name).write_bytes(damaged((folder / name).read_bytes(), draw))
        prepare_corpus(corpus(folder.name, **settings))
        assert content(folder) == content(tmp_path / "whole")
    assert name == "vocab.txt" or len(lines) == 4


def test_a_stopped_preparation_of_an_earlier_version_is_made_again(corpus, tmp_path, lines, content, killed):
    prepare_corpus(corpus("whole"))
    with pytest.raises(killed[0]):
        prepare_corpus(corpus(), killed[1](40))
    identity = read_json(tmp_path / "out" / "progress.json")["identity"]
    (tmp_path / "out" / "progress.json").unlink()
    state = np.frombuffer(json.dumps({"identity": identity, "files": {}}).encode("utf-8"), np.uint8)
    np.savez(tmp_path / "out" / "progress.npz", state=state)
    before = content(tmp_path / "out")
    with pytest.raises(InputError, match="another preparation that was stopped"):
        prepare_corpus(corpus(heldout_share=0.3))
    assert content(tmp_path / "out") == before
    prepare_corpus(corpus())
    assert content(tmp_path / "out") == content(tmp_path / "whole") and "of an earlier version" in lines[0]
