"""Tests of the training-loop benchmark, at a size that runs in seconds."""

import contextlib

import numpy as np
import pytest

from benchmarks import training_loop
from spanbert_keras.errors import InputError


def small(**changes):
    settings = {"vocabulary_size": 60, "sequence_length": 20, "batch_rows": 3, "steps": 4, "turns": 2} | changes
    return training_loop.Config(**settings)


@pytest.mark.slow
def test_every_turn_is_timed_for_all(capsys):
    training_loop.main(small(steps_per_call=2))
    out = capsys.readouterr().out
    assert "tiny, 60 tokens, 3 x 20, compile=False, steps_per_call=2" in out
    assert out.count("median of 2 turns of 4 steps") == 3 and "ours / fit: " in out and "loop / fit: " in out
    assert "fit get them ready made" in out


@pytest.mark.slow
def test_all_make_the_same_updates_from_the_same_batches(tmp_path):
    config = small(dropout=0.0)
    stream, unigram = training_loop.make_stream(config)
    models = [training_loop.make_model(config) for _ in range(3)]
    first = models[0].encoder.token_embedding.get_weights()[0]
    with contextlib.ExitStack() as stack:
        ready = training_loop.MemoryStream(stream)
        ours = training_loop.our_loop(config, models[0], stream, unigram, str(tmp_path), stack)
        loop = training_loop.our_loop(config, models[2], ready, unigram, str(tmp_path / "loop"), stack)
        fit = training_loop.keras_fit(config, models[1])
        for number in range(config.turns):
            ready.make(range(number * config.steps, (number + 1) * config.steps))
            ours(number)
            loop(number)
            fit(training_loop.for_fit(list(ready.batches.values())))
    trained = [model.encoder.token_embedding.get_weights()[0] for model in models]
    assert np.abs(trained[0] - first).max() > 1e-4
    np.testing.assert_allclose(trained[0], trained[1], atol=2e-5)
    np.testing.assert_array_equal(trained[0], trained[2])
    assert not list(tmp_path.glob("step_*")) and list((tmp_path / "train").iterdir())


def test_a_turn_is_a_whole_number_of_calls():
    with pytest.raises(InputError, match="multiple of --steps_per_call"):
        training_loop.measure(small(steps_per_call=3))
