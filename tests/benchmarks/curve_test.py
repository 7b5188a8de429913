"""Tests of the picture of a run."""

import importlib.util

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.training.monitoring.event_writer import EventWriter


@pytest.fixture
def curve(root):
    pytest.importorskip("matplotlib")
    spec = importlib.util.spec_from_file_location("curve_benchmark", root / "benchmarks" / "curve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path):
    writer = EventWriter(tmp_path / "run" / "heldout_span")
    for step, loss in ((10, 7.5), (20, 6.25)):
        writer.scalars({"masked_lm/loss_masked": loss, "masked_lm/unigram_loss_masked": 7.0, "other": 1.0}, step)
    writer.close()
    return tmp_path / "run"


def test_the_scalars_of_a_run_are_read_by_step(curve, run):
    found = curve.read_scalars(run / "heldout_span", curve.LINES)
    assert found == {
        "masked_lm/loss_masked": {10: 7.5, 20: 6.25},
        "masked_lm/unigram_loss_masked": {10: 7.0, 20: 7.0},
    }


@pytest.mark.parametrize(
    "folder, text",
    [
        ("train", "training text"),
        ("heldout_span", "held-out text, span masking"),
        ("heldout_whole_word", "held-out text, whole word masking"),
    ],
)
def test_the_title_says_which_text_was_scored(curve, folder, text):
    assert curve.title(folder) == f"Loss on tokens replaced by [MASK] ({text})"


def test_the_labels_of_the_picture_are_readable(curve, run, tmp_path):
    curve.main(curve.Config(run=str(run), output=str(tmp_path / "curve.svg")))
    drawn = (tmp_path / "curve.svg").read_text(encoding="utf-8")
    labels = ("step", "nats per token", "masked LM", "unigram baseline", curve.title("heldout_span"))
    assert [label for label in labels if f"<!-- {label} -->" not in drawn] == []


def test_the_picture_is_a_png(curve, run, tmp_path):
    target = tmp_path / "pictures" / "curve.png"
    curve.main(curve.Config(run=str(run), output=str(target)))
    assert target.read_bytes().startswith(b"\x89PNG") and target.stat().st_size > 5_000


def test_a_run_without_scores_is_named(curve, tmp_path):
    (tmp_path / "heldout_span").mkdir()
    with pytest.raises(InputError, match="no scores in heldout_span"):
        curve.main(curve.Config(run=str(tmp_path), output=str(tmp_path / "curve.png")))
