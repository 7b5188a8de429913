"""Batches of few shapes: lengths of rows, one call at a time."""

import logging

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.models.bucketed_prediction import BucketedPrediction, quiet_tracing
from spanbert_keras.preprocessing.length_buckets import row_lengths


@pytest.mark.parametrize("length", [5, 8, 9, 21, 24, 31, 32, 33, 64, 100, 384, 512])
def test_rows_have_one_of_four_lengths_up_to_the_longest(length):
    lengths = row_lengths(length)
    assert len(lengths) <= 4 and lengths == sorted(set(lengths)) and lengths[-1] == length
    assert all(value % 8 == 0 for value in lengths[:-1])
    steps = np.diff([0, *lengths])
    assert steps.max() <= max(8, length / 4 + 8)  # so that padding stays below a quarter of a row


def test_five_hundred_and_twelve_pieces_give_quarters_and_other_counts_other_parts():
    assert (row_lengths(512), row_lengths(384)) == ([128, 256, 384, 512], [96, 192, 288, 384])
    assert (row_lengths(512, 2), row_lengths(10, 1)) == ([256, 512], [10])


class Sums(BucketedPrediction, keras.Model):
    """Sums of the encoder's vectors."""

    input_keys = ("token_ids", "segment_ids", "padding_mask")

    def __init__(self, encoder):
        super().__init__(encoder, lambda sequence, inputs: {"sums": ops.sum(sequence, axis=-1)})


@pytest.fixture
def model(make_encoder, tokenizer):
    return Sums(make_encoder(tokenizer=tokenizer, num_layers=1, scale=None))


def test_what_is_changed_before_compile_is_predicted(model, rows, monkeypatch):
    before = model.compute_rows(rows)["sums"]
    call = type(model.encoder).call
    monkeypatch.setattr(type(model.encoder), "call", lambda *args, **kwargs: _doubled(call(*args, **kwargs)))
    model.compile()
    np.testing.assert_allclose(model.compute_rows(rows)["sums"], 2 * before, rtol=1e-5)


def _doubled(outputs):
    return {name: 2 * values for name, values in outputs.items()}


def test_tensorflow_compiles_without_xla(model, monkeypatch):
    # Keras decides when first asked; on a machine without GPU it may decide the same.
    monkeypatch.setattr(Sums, "_resolve_auto_jit_compile", lambda self: True)
    assert model.jit_compile is (keras.backend.backend() != "tensorflow")


def test_the_constructor_makes_the_graph_of_the_head(model, rows, to_numpy):
    found = to_numpy(model(rows)["sums"])
    np.testing.assert_allclose(found, to_numpy(model.encoder(rows)["sequence_output"]).sum(-1), atol=1e-5)


def test_tensorflows_warning_of_a_few_shapes_is_kept_back_and_no_other(caplog):
    logger = logging.getLogger("tensorflow")
    with caplog.at_level("WARNING", "tensorflow"), quiet_tracing():
        logger.warning("5 out of the last 6 calls to %s triggered tf.function retracing.", "f")
        logger.warning("Something else.")
    logger.warning("7 out of the last 8 calls to %s triggered tf.function retracing.", "f")
    shown = [record.getMessage() for record in caplog.records]
    assert shown == ["Something else.", "7 out of the last 8 calls to f triggered tf.function retracing."]
