"""Tests of the settings of one run."""

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.one_run_settings import OneRunSettings


def test_defaults_are_the_papers():
    settings = OneRunSettings(output_dir="runs/x")
    assert (settings.learning_rate, settings.batch_size, settings.epochs) == (2e-5, 32, 4)
    assert (settings.warmup_ratio, settings.weight_decay, settings.clip_norm) == (0.1, 0.01, 1.0)


def test_a_batch_divides_into_parts_and_replicas():
    OneRunSettings(output_dir="x", batch_size=12, accumulation_steps=3, replicas=2)
    with pytest.raises(InputError, match="--batch_size=8 must be a multiple of 6: accumulation steps times replicas"):
        OneRunSettings(output_dir="x", batch_size=8, accumulation_steps=3, replicas=2)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"warmup_ratio": 1.0}, {"patience": -1}, {"distribution": "many"}])
def test_values_out_of_range_are_rejected(wrong):
    with pytest.raises(InputError, match=f"--{next(iter(wrong))} must be"):
        OneRunSettings(output_dir="x", **wrong)
