"""Tests of the classification benchmark, at a size that runs in seconds."""

import dataclasses
import shutil

import pytest
import scipy.special

import spanbert_keras
from benchmarks import classification
from spanbert_keras.errors import InputError

WORDS = "object string value attribute list names type method class function".split()


@pytest.fixture
def config(tmp_path, bert_folder):
    """Twelve pairs of MRPC's form, and settings for a tiny BERT."""
    rows = [f"{i % 2}\t1\t2\tThe {WORDS[i % 10]} is a {WORDS[i % 3]}\tA {WORDS[i % 7]}" for i in range(12)]
    folder = tmp_path / "MRPC"
    folder.mkdir()
    for part in ("train", "dev"):
        lines = ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", *rows]
        (folder / f"{part}.tsv").write_text("".join(f"{line}\n" for line in lines))
    return classification.Config(
        encoder=bert_folder,
        data_dir=str(folder),
        steps=4,
        batch_size=2,
        max_sequence_length=24,
        turns=2,
        texts=6,
        latency_texts=3,
    )


@pytest.mark.slow
def test_both_sides_are_timed_on_the_same_texts(config, capsys):
    classification.main(config)
    out = capsys.readouterr().out
    assert "8 training rows, 2 per step" in out
    assert out.count("ours is ") == 4 and out.count("p95") == 2
    assert out.count("steps/s") == 3 and out.count("texts/s") == 3


@pytest.mark.slow
def test_their_side_classifies_as_ours_does_with_equal_weights(config, tmp_path):
    sides = classification._Sides(config)
    folder = shutil.copytree(config.encoder, tmp_path / "tuned")
    sides.other.model.save_pretrained(folder)
    sides.model = spanbert_keras.load_pretrained(str(folder), "text_classifier")
    ours = [sides.model.classify((one.text, one.pair)).scores[sides.model.labels[1]] for one in sides.examples]
    logits = sides.other.logits(sides.other.encode(*classification._columns(sides.examples)))
    assert ours == pytest.approx(scipy.special.softmax(logits, axis=1)[:, 1].tolist(), abs=1e-5)
    expected = sides.classify(sides.examples)
    assert sides.classify_other(sides.examples) == sides.classify_other(sides.examples, padded=True) == expected


def test_too_few_texts_are_rejected(config):
    with pytest.raises(InputError, match="has 12 texts. Expected: 13"):
        classification._Sides(dataclasses.replace(config, texts=13))
