"""Architectures by name: the papers' numbers."""

import pytest

from spanbert_keras.presets import ARCHITECTURES, CASED_VOCABULARY_SIZE


@pytest.mark.parametrize(
    "name, layers, width, heads",
    [("tiny", 2, 128, 2), ("small", 4, 512, 8), ("base", 12, 768, 12), ("large", 24, 1024, 16)],
)
def test_sizes_are_those_of_the_papers(name, layers, width, heads):
    assert dict(ARCHITECTURES[name]) == {
        "vocabulary_size": 28_996,
        "num_layers": layers,
        "num_heads": heads,
        "hidden_dim": width,
        "intermediate_dim": 4 * width,
        "max_sequence_length": 512,
        "num_segments": 2,
    }


def test_there_are_four():
    assert sorted(ARCHITECTURES) == ["base", "large", "small", "tiny"]


def test_architectures_are_read_only():
    with pytest.raises(TypeError):
        ARCHITECTURES["base"] = {}
    with pytest.raises(TypeError):
        ARCHITECTURES["base"]["num_layers"] = 3


def test_the_cased_vocabulary_has_its_published_size(data_folder):
    lines = (data_folder / "vocab" / "bert-base-cased-vocab.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == CASED_VOCABULARY_SIZE
