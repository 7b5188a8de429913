"""A small encoder on disk, and documents in its words."""

import json

import keras
import pytest

from spanbert_keras import SpanBertEncoder


@pytest.fixture(scope="session")
def encoder_path(toy_tokenizer, tmp_path_factory):
    """A saved encoder of 24 positions."""
    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    encoder.save(path)
    return path


def record(number, words=40, genre="nw"):
    """Returns a document of `words` words in which w3 and w5 are one chain each; two speakers take turns."""
    tokens = [f"w{3 + (i * 7 + number) % 11}" for i in range(words)]
    clusters = [[[i, i + 1] for i, token in enumerate(tokens) if token == name] for name in ("w3", "w5")]
    return {
        "name": f"{genre}/document_{number}",
        "tokens": tokens,
        "sentences": [[i, min(i + 8, words)] for i in range(0, words, 8)],
        "speakers": [("ann", "bob")[i // 8 % 2] for i in range(words)],
        "genre": genre,
        "clusters": [cluster for cluster in clusters if len(cluster) > 1],
    }


@pytest.fixture
def documents_file(tmp_path):
    """Function that writes JSON lines of some documents and returns the path."""

    def make(name="train.jsonl", first=0, count=3, records=None, **settings):
        records = records or [record(number, **settings) for number in range(first, first + count)]
        path = tmp_path / name
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
        return path

    return make
