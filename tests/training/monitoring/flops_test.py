"""Tests of FLOPs, rates and model FLOPs utilization, against numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest

from spanbert_keras.training.monitoring.flops import (
    Performance,
    Shape,
    Work,
    attended_pairs,
    model_flops,
    peak_flops,
    step_flops,
)

SMALL = Shape(
    vocabulary_size=11,
    num_layers=2,
    num_heads=2,
    hidden_dim=4,
    intermediate_dim=6,
    sequence_length=5,
    predictions=3,
    batch_rows=7,
    position_dim=8,
)
NOTHING = Work(tokens=0, attended=0, masked=0, with_boundary=0)


def test_arithmetic_of_a_small_shape_by_hand():
    # One token in one layer: Q, K, V, output 4 x (4 x 4) and 4 x 6 + 6 x 4 multiply-adds; 5 + 5 rows of 4 in attention.
    layer = 2 * (64 + 48) + 2 * (5 * 4) + 2 * (5 * 4)
    masked_lm = 2 * (4 * 4 + 4 * 11)
    span_boundary = 2 * ((4 + 4 + 8) * 4 + 4 * 4 + 4 * 11)
    assert step_flops(SMALL) == 3 * 7 * (5 * 2 * layer + 3 * (masked_lm + span_boundary))
    assert step_flops(SMALL, span_boundary=False) == 3 * 7 * (5 * 2 * layer + 3 * masked_lm)


def test_a_pair_costs_its_pooler_and_two_logits():
    of_pairs = step_flops(dataclasses.replace(SMALL, pairs=2)) - step_flops(SMALL)
    assert of_pairs == 3 * 7 * 2 * (2 * 4 * 4 + 4 * 4)  # 2 D^2 + 4 D for each of the two pairs of seven rows
    assert step_flops(dataclasses.replace(SMALL, pairs=2), False) - step_flops(SMALL, False) == of_pairs


def work_of_rows(blocks, **heads):
    """Returns the `Work` of rows with blocks of these lengths."""
    mask = np.zeros((len(blocks), max(map(sum, blocks))), np.int32)
    for row, lengths in zip(mask, blocks, strict=True):
        row[: sum(lengths)] = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    counts = {"masked": 0, "with_boundary": 0} | heads
    return Work(tokens=int((mask > 0).sum()), attended=attended_pairs(mask), **counts)


def test_full_rows_of_one_block_cost_a_whole_step():
    shape = dataclasses.replace(SMALL, pairs=2)
    work = work_of_rows([[5]] * 7, masked=21, with_boundary=21, pairs=14)
    for span_boundary in (True, False):
        assert model_flops(shape, work, span_boundary) == step_flops(shape, span_boundary)


def test_two_blocks_of_half_the_length_need_half_of_the_attention():
    one, two, alone = (work_of_rows(rows) for rows in ([[64]], [[32, 32]], [[1]] * 64))
    attention = 3 * 2 * 4 * 4 * 64 * 64  # L layers, 4 D for each pair of tokens, forward and backward
    assert model_flops(SMALL, one) - model_flops(SMALL, two) == attention / 2
    assert model_flops(SMALL, one) - model_flops(SMALL, alone) == attention * 63 / 64


def test_padding_and_heads_without_targets_cost_nothing():
    assert model_flops(SMALL, work_of_rows([[3, 1], [4], [9]])) == model_flops(SMALL, work_of_rows([[3, 1, 4, 9]]))
    bare = model_flops(SMALL, work_of_rows([[5]]))
    masked = model_flops(SMALL, work_of_rows([[5]], masked=2)) - bare
    assert masked == 3 * 2 * 2 * (4 * 4 + 4 * 11)
    both = model_flops(SMALL, work_of_rows([[5]], masked=2, with_boundary=1)) - bare - masked
    assert both == 3 * 2 * ((4 + 4 + 8) * 4 + 4 * 4 + 4 * 11)


def test_tokens_see_those_of_their_block():
    mask = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 3, 0, 0, 0], [0] * 6])
    assert attended_pairs(mask) == 9 + 4 + 1 + 1 + 1
    assert attended_pairs(mask[None].astype(np.float32)) == 16
    assert attended_pairs(mask[:0]) == attended_pairs(mask[2:]) == 0


def test_the_span_boundary_head_costs_about_4_percent_at_base_size():
    base = Shape(
        vocabulary_size=28_996,
        num_layers=12,
        num_heads=12,
        hidden_dim=768,
        intermediate_dim=3072,
        sequence_length=512,
        predictions=77,
        batch_rows=1,
    )
    assert step_flops(base) / step_flops(base, span_boundary=False) == pytest.approx(1.04, abs=0.01)


@pytest.mark.parametrize(
    "device_name, float32, half",
    [
        ("Tesla V100-SXM2-16GB", 15.7, 125.0),
        ("Tesla T4", 8.1, 65.0),
        ("NVIDIA A100-SXM4-80GB", 156.0, 312.0),
        ("NVIDIA A100-PCIE-40GB", 156.0, 312.0),
        ("NVIDIA A10G", 35.0, 70.0),
        ("NVIDIA H100 PCIe", 378.0, 756.0),
        ("NVIDIA H100 80GB HBM3", 494.0, 989.0),
        ("NVIDIA H200", 494.0, 989.0),
        ("NVIDIA L4", 60.0, 121.0),
        ("NVIDIA L40S", 183.0, 362.0),
        ("NVIDIA B200", 1125.0, 2250.0),
    ],
)
def test_a_known_device_has_the_peak_of_its_data_sheet(device_name, float32, half):
    assert peak_flops(device_name, "float32") == pytest.approx(float32 * 1e12)
    for precision in ("mixed_float16", "mixed_bfloat16"):
        assert peak_flops(device_name, precision) == pytest.approx(half * 1e12)


@pytest.mark.parametrize("device_name", ["", "NVIDIA GeForce RTX 4090", "NVIDIA A10", "NVIDIA L40", "Tesla V1000"])
def test_an_unknown_device_has_none(device_name):
    assert peak_flops(device_name, "float32") is None


def test_rates_are_those_of_a_hand_calculation():
    # 1,000 tokens in 4 s are 250 per second; at 6 GFLOP per token 1.5 TFLOP/s, a quarter of 2 devices x 3 TFLOP/s.
    work = work_of_rows([[250] * 4])
    rates = Performance(lambda done: 6e9 * done.tokens, replicas=2, peak=3e12).summary(work, seconds=4.0, waited=1.0)
    assert rates == pytest.approx(
        {
            "performance/tokens_per_second": 250.0,
            "performance/data_wait_share": 0.25,
            "performance/model_tflops_per_second": 1.5,
            "performance/model_flops_utilization": 0.25,
        }
    )


def test_without_a_peak_utilization_is_left_out():
    rates = Performance(lambda work: 6e9, 1, None).summary(work_of_rows([[10]]), 1.0, 0.0)
    assert set(rates) == {
        "performance/tokens_per_second",
        "performance/data_wait_share",
        "performance/model_tflops_per_second",
    }


def test_shares_stay_finite_and_below_one():
    rates = Performance(lambda work: 0.0, 1, 1.0).summary(NOTHING, 0.0, 0.1)
    assert rates["performance/data_wait_share"] == 1.0
    assert rates["performance/tokens_per_second"] == 0.0
