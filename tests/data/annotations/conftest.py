"""A small text with names, prepared as one corpus of several shards and as one of parts."""

import json
import random

import pytest

from spanbert_keras.data.corpus import encoding, prepare_corpus
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings

NAMES = ["Ann", "New York", "Dr. Smith", "the League of Nations", "Python"]
WORDS = "the value of an object is a module in language that returned to it and was not called".split()


def make_line(draw):
    words = [draw.choice(NAMES) if draw.random() < 0.15 else draw.choice(WORDS) for _ in range(draw.randint(3, 14))]
    return " ".join(words) + draw.choice([".", "!", "", ", \u201cindeed\u201d."])


@pytest.fixture
def texts(tmp_path, small_vocabulary):
    """Path of a folder with 80 documents in `text.txt` and `more.jsonl`, one of them twice, and `vocab.txt`."""
    draw = random.Random(3)
    documents = ["\n".join(make_line(draw) for _ in range(draw.randint(1, 5))) for _ in range(80)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents[:50]), encoding="utf-8")
    rows = [json.dumps({"text": text}) + "\n" for text in [*documents[50:], documents[3], ""]]
    (tmp_path / "more.jsonl").write_text("".join(rows), encoding="utf-8")
    (tmp_path / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")
    return tmp_path


@pytest.fixture
def prepared(texts, monkeypatch):
    """Function of (name, shard): prepares the text into a folder of several shards, and returns its path."""
    monkeypatch.setattr(encoding, "CHUNK_CHARACTERS", 500)
    monkeypatch.setattr(prepare_corpus, "SHARD_PIECES", 700)

    def prepare(name, shard=None, **changes):
        given = {"input": (f"{texts}/text.txt", f"{texts}/more.jsonl"), "heldout_share": 0.1, **changes}
        prepare_corpus.prepare_corpus(
            PreparationSettings(
                output_dir=str(texts / name), vocabulary=str(texts / "vocab.txt"), workers=1, shard=shard, **given
            )
        )
        return texts / name

    return prepare
