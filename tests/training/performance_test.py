"""Tests of rates and of model FLOPs utilization, against numbers worked out by hand."""

import pytest

from spanbert_keras.training.performance import Performance, peak_flops


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
    # 1,000 pieces in 4 s are 250 a second; at 6 GFLOP a piece 1.5 TFLOP/s, of 2 devices x 3 TFLOP/s a quarter.
    rates = Performance(6e9, replicas=2, peak=3e12).summary(pieces=1000.0, seconds=4.0, waited=1.0)
    assert rates == pytest.approx({
        "performance/pieces_per_second": 250.0,
        "performance/data_wait_share": 0.25,
        "performance/model_tflops_per_second": 1.5,
        "performance/model_flops_utilization": 0.25,
    })  # fmt: skip


def test_without_a_peak_there_is_no_utilization():
    rates = Performance(6e9, 1, None).summary(10.0, 1.0, 0.0)
    assert set(rates) == {
        "performance/pieces_per_second",
        "performance/data_wait_share",
        "performance/model_tflops_per_second",
    }


def test_shares_stay_finite_and_below_one():
    rates = Performance(1.0, 1, 1.0).summary(0.0, 0.0, 0.1)
    assert rates["performance/data_wait_share"] == 1.0
    assert rates["performance/pieces_per_second"] == 0.0
