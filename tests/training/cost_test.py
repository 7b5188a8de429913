"""Tests of what a run will cost, against sums made by hand."""

import dataclasses

import pytest

from spanbert_keras.training.cost import Shape, memory_bytes, step_flops

SMALL = Shape(
    vocabulary_size=11, num_layers=2, num_heads=2, hidden_dim=4, intermediate_dim=6, sequence_length=5, predictions=3,
    batch_rows=7, position_dim=8,
)  # fmt: skip


def test_arithmetic_of_a_small_shape_by_hand():
    # One piece in one layer: Q, K, V, output 4 x (4 x 4) and 4 x 6 + 6 x 4 multiply-adds; 5 + 5 rows of 4 in attention.
    layer = 2 * (64 + 48) + 2 * (5 * 4) + 2 * (5 * 4)
    masked_lm = 2 * (4 * 4 + 4 * 11)
    span_boundary = 2 * ((4 + 4 + 8) * 4 + 4 * 4 + 4 * 11)
    assert step_flops(SMALL) == 3 * 7 * (5 * 2 * layer + 3 * (masked_lm + span_boundary))
    assert step_flops(SMALL, span_boundary=False) == 3 * 7 * (5 * 2 * layer + 3 * masked_lm)


def test_the_span_boundary_head_costs_about_4_percent_at_base_size():
    base = Shape(
        vocabulary_size=28_996, num_layers=12, num_heads=12, hidden_dim=768, intermediate_dim=3072, sequence_length=512,
        predictions=77, batch_rows=1,
    )  # fmt: skip
    assert step_flops(base) / step_flops(base, span_boundary=False) == pytest.approx(1.04, abs=0.01)


def test_memory_grows_with_parameters_and_rows():
    one = memory_bytes(SMALL, 100, "float32")
    assert one["state"] == 1600
    double = memory_bytes(dataclasses.replace(SMALL, batch_rows=14), 100, "float32")
    assert double["activations"] == 2 * one["activations"]
    assert memory_bytes(dataclasses.replace(SMALL, batch_rows=14), 100, "float32", 2) == one
    assert memory_bytes(SMALL, 100, "mixed_bfloat16")["activations"] < one["activations"]
    logits = 4 * 2 * 2 * 7 * 3 * 11
    assert one["activations"] == 4 * 7 * 5 * 2 * (40 + 12 + 3 * 2 * 5) + logits
