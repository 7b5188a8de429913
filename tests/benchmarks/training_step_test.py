"""Tests of the training-step benchmark, at a size that runs in seconds."""

import importlib.util

import pytest


@pytest.fixture
def benchmark(root):
    spec = importlib.util.spec_from_file_location("training_step_benchmark", root / "benchmarks" / "training_step.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small(benchmark, **changes):
    return benchmark.Config(
        architecture="tiny", vocabulary_size=50, sequence_length=20, batch_rows=3, steps=2, **changes
    )


def test_a_batch_masks_15_percent_and_no_special_place(benchmark):
    batch = benchmark.random_batch(small(benchmark))
    assert batch["mask_positions"].shape == (3, 3)
    assert batch["mask_positions"].min() >= 1 and batch["mask_positions"].max() <= 18
    assert all(len(set(row)) == 3 for row in batch["mask_positions"].tolist())


@pytest.mark.slow
def test_every_contestant_takes_every_turn(benchmark, capsys):
    benchmark.main(small(benchmark))
    out = capsys.readouterr().out
    assert "MLM + SBO: " in out and "MLM + SBO / MLM alone: " in out and "median of 2" in out
