"""Whole runs on pairs of segments: workers, resuming, and learning which segment is next."""

import json
import signal

import keras
import pytest

from spanbert_keras import pretrain, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(keras.backend.backend() == "torch", reason="the torch backend trains on one device"),
]

PAIRS = {"segments": 2, "max_sequence_length": 64, "allow_skewed_pairs": True, "pair_copies": 2, "mask_copies": 2}


def test_two_workers_compute_on_pairs_what_one_does_also_after_a_stop(start, start_workers, check_same_numbers):
    one = start("one", **PAIRS).finish()
    stopped = start_workers("two", **PAIRS)
    stopped[0].wait_for("step 17/50")
    stopped[1].send(signal.SIGTERM)  # one worker gets the signal: both stop at the same step
    assert [worker.wait() for worker in stopped] == [75, 75], stopped[0].text()[-3000:]
    again = start_workers("two", attempt="again", **PAIRS)
    for worker in again:
        worker.finish()
    check_same_numbers(one, again[0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="learning is tested on the main backend")
def test_the_embedded_corpus_teaches_which_segment_is_next(tmp_path):
    flags = ["--segments=2", "--pair_units=sentence", "--max_sequence_length=128", "--steps=800", "--evaluate_every=0"]
    flags += ["--eval_rows=192", f"--output_dir={tmp_path / 'run'}", "--checkpoint_every=800", "--examples=0"]
    config = program.parse(pretrain.Config, ["--flagfile=configs/tiny.flags", *flags])
    assert pretrain.pretrain(config) == 0
    scores = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["scores"]["span"]
    print({name: round(value, 3) for name, value in scores.items() if name.startswith("next_sentence")})
    assert 0.45 < scores["next_sentence/random_share"] < 0.55
    assert scores["next_sentence/accuracy"] > 0.6
    assert scores["masked_lm/loss_masked"] < scores["masked_lm/unigram_loss_masked"] - 0.1
