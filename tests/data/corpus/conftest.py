"""Fixtures of the tests of preparing a corpus."""

import json
import random

import pytest
from absl import logging

from spanbert_keras.data.corpus import encoding
from spanbert_keras.data.corpus import prepare_corpus as module
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings

WORDS = "the and of a to in language python module object value is are [MASK] zzqq".split()


@pytest.fixture
def corpus(tmp_path, small_vocabulary, monkeypatch):
    """60 documents in two files: one empty, one twice, one with a bad byte; and settings to prepare them."""
    monkeypatch.setattr(encoding, "CHUNK_CHARACTERS", 300)
    monkeypatch.setattr(module, "SHARD_PIECES", 400)
    draw = random.Random(11)
    texts = ["\n".join(" ".join(draw.choices(WORDS, k=9)) + "." for _ in range(draw.randint(1, 4))) for _ in range(58)]
    (tmp_path / "a.txt").write_bytes("\n\n".join(texts[:30]).encode() + b"\n\nbad \xff byte")
    rows = [*texts[30:], "", texts[3], "\x00 \u200b"]
    (tmp_path / "b.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in rows))
    (tmp_path / "vocab.txt").write_text("\n".join(small_vocabulary), encoding="utf-8")

    def settings(name="out", **changes):
        given = {
            "input": (str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")),
            "output_dir": str(tmp_path / name),
            "vocabulary": str(tmp_path / "vocab.txt"),
            "heldout_share": 0.1,
            "workers": 1,
        }
        return PreparationSettings(**{**given, **changes})

    return settings


@pytest.fixture
def content():
    """Function that returns every file of a folder by name."""
    return lambda folder: {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def lines(monkeypatch):
    """What was logged."""
    found = []
    for kind in ("info", "warning"):
        monkeypatch.setattr(logging, kind, lambda text, *values: found.append(text % values))
    return found


class Killed(BaseException):
    """Stands for a signal that ends the process."""


@pytest.fixture
def killed():
    """The exception, and a function that makes a callback: it raises once more than N documents were read."""

    def kill_at(documents_read):
        def kill(done, total, documents, pieces):
            if documents > documents_read:
                raise Killed

        return kill

    return Killed, kill_at


@pytest.fixture
def damaged():
    """Function that returns content that is cut off, or of which a byte is changed or 16 bytes are zero."""

    def damage(content, draw):
        place = draw.randrange(len(content))
        changed = bytes([content[place] ^ draw.randint(1, 255)])
        kinds = (b"", changed + content[place + 1 :], bytes(16) + content[place + 16 :])
        found = content[:place] + draw.choice(kinds)
        return damage(content, draw) if found == content else found

    return damage
