"""Tests of what the steps read from batches and models."""

from spanbert_keras.pretraining.objective import PretrainingObjective
from spanbert_keras.training.steps.objective import batch_keys, seed_generators


def test_a_step_reads_inputs_and_targets(make_model):
    keys = batch_keys(make_model(), PretrainingObjective())
    assert set(keys) == {
        "token_ids",
        "segment_ids",
        "padding_mask",
        "mask_positions",
        "left_positions",
        "right_positions",
        "span_offsets",
        "mask_ids",
        "mask_weights",
        "span_weights",
    }
    assert len(keys) == 10


def test_every_dropout_layer_has_its_seed_generator_in_a_fixed_order(make_model):
    assert seed_generators(make_model(dropout=0.0)) == []
    one, two = seed_generators(make_model(dropout=0.1)), seed_generators(make_model(dropout=0.1, num_layers=2))
    assert len({id(g) for g in two}) == len(two)
    per_layer = len(two) - len(one)
    assert per_layer == 3  # attention weights, after attention, after the feed-forward network
    assert len(one) == per_layer + 1  # and the embeddings
