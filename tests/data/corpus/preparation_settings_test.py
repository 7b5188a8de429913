"""Settings of a preparation: checked on construction, `shard` parsed once."""

import os

import pytest

from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.errors import InputError


def settings(**changes):
    return PreparationSettings(**{"input": ("embedded",), "output_dir": "out", "vocabulary": "vocab.txt", **changes})


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"vocabulary": None}, "neither"),
        ({"train_vocabulary": 100}, "both"),
        ({"train_vocabulary": 0, "vocabulary": None}, "--train_vocabulary must be at least 1"),
        ({"heldout_share": 0.6}, r"--heldout_share must be from 0 to 0\.5. Received: 0\.6"),
        ({"heldout_share": -0.1}, r"--heldout_share must be from 0 to 0\.5. Received: -0\.1"),
        ({"heldout_share": float("nan")}, r"Received: nan"),
        ({"vocabulary_sample": 0.5}, "--vocabulary_sample belongs to --train_vocabulary, which is missing"),
        ({"vocabulary_sample": 0.0, "train_vocabulary": 9, "vocabulary": None}, "--vocabulary_sample must be positive"),
        (
            {"vocabulary_sample": 1.5, "train_vocabulary": 9, "vocabulary": None},
            "must be positive and at most 1",
        ),
        ({"workers": 0}, "--workers must be at least 1"),
        ({"shard": "4/4"}, "--shard must be i/n"),
        ({"shard": "one"}, "--shard must be i/n"),
        ({"shard": f"{'9' * 5_000}/4"}, "--shard must be i/n"),
    ],
)
def test_unusable_settings_are_rejected_on_construction(changes, said):
    with pytest.raises(InputError, match=said):
        settings(**changes)


def test_a_shard_is_parsed_into_part_and_number_of_parts():
    assert settings().part == (0, 1)
    assert settings(shard="2/4").part == (2, 4)


def test_paths_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    found = settings(input=("~/a.txt", "embedded"), output_dir="~/out", vocabulary="$HOME/vocab.txt")
    assert found.input == (os.path.join("/somewhere", "a.txt"), "embedded")
    assert (found.output_dir, found.vocabulary) == ("/somewhere/out", "/somewhere/vocab.txt")
