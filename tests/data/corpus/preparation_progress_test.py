"""Tests of the checkpoint of a preparation."""

import json
import random

import numpy as np
import pytest

from spanbert_keras.data.corpus.preparation_progress import load_progress, save_progress

PROGRESS = {
    "identity": {"settings": {"heldout_share": 0.1}},
    "vocabulary": {"bytes": 3, "sha256": "a"},
    "files": {"train-00000.pieces.npy": {"bytes": 5, "sha256": "b"}},
    "writer": {
        "position": [0, 5, 300],
        "shards": [{"split": "train", "index": 0, "pieces": 2, "documents": 1, "lines": 1}],
        "unit": 1,
        "has_heldout": False,
        "candidate_hash": 2**64 - 1,
        "candidate_pieces": [3, 4],
        "candidate_lines": [2],
        "counts": [[1, 2], [3, 4]],
        "unigram_counts": [5, 6],
    },
}


def test_a_checkpoint_is_read_again(tmp_path):
    assert load_progress(tmp_path) is None
    save_progress(tmp_path, PROGRESS)
    assert load_progress(tmp_path) == PROGRESS
    assert [path.name for path in tmp_path.iterdir()] == ["progress.json"]


def test_no_damage_gives_another_checkpoint(tmp_path):
    save_progress(tmp_path, PROGRESS)
    path, draw, found = tmp_path / "progress.json", random.Random(2), 0
    content = path.read_bytes()
    for number in range(200):
        place = draw.randrange(len(content))
        changed = content[:place] + bytes([content[place] ^ draw.randint(1, 255)]) + content[place + 1 :]
        path.write_bytes(content[:place] if number % 4 == 0 else changed)
        try:
            assert load_progress(tmp_path).items() >= PROGRESS.items()
        except ValueError:
            found += 1
    assert found > 120


def earlier(folder, save=np.savez):
    state = np.frombuffer(json.dumps({"identity": {"a": 1}, "files": {}}).encode(), np.uint8)
    save(folder / "progress.npz", state=state)


def test_the_identity_of_an_earlier_version_is_read(tmp_path):
    earlier(tmp_path)
    assert load_progress(tmp_path) == {"identity": {"a": 1}, "vocabulary": None, "files": {}}
    earlier(tmp_path, np.savez_compressed)
    with pytest.raises(ValueError, match="compressed"):
        load_progress(tmp_path)


def test_a_damaged_file_of_an_earlier_version_is_reported(tmp_path):
    earlier(tmp_path)
    content = (tmp_path / "progress.npz").read_bytes()
    for place in range(0, len(content), 3):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]):
            (tmp_path / "progress.npz").write_bytes(damaged)
            try:
                assert load_progress(tmp_path)["identity"] == {"a": 1}
            except ValueError:
                pass
