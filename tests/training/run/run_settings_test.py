"""Tests of the settings that pre-training and fine-tuning share: one text and one limit, defaults of their own."""

import dataclasses

import pytest

from spanbert_keras.fine_tuning.settings import FineTuningSettings
from spanbert_keras.pretraining.config import Config
from spanbert_keras.training.run.run_settings import RunSettings

SHARED = [field.name for field in dataclasses.fields(RunSettings)]


@pytest.mark.parametrize("program_settings", [Config, FineTuningSettings])
@pytest.mark.parametrize("name", SHARED)
def test_programs_change_at_most_the_default(program_settings, name):
    field = program_settings.__dataclass_fields__[name]
    assert field.metadata == RunSettings.__dataclass_fields__[name].metadata
    assert (field.default is dataclasses.MISSING) == (name == "output_dir")


def test_each_program_has_its_own_defaults():
    assert [Config.__dataclass_fields__[name].default for name in SHARED[1:]] == [
        *(1e-4, 0.1, 1.0, 1, "auto", "auto", "none", None),
        *(50, 30.0, 75),
    ]
    assert [FineTuningSettings.__dataclass_fields__[name].default for name in SHARED[1:]] == [
        *(2e-5, 0.01, 1.0, 1, "auto", "auto", "none", None),
        *(20, 15.0, 75),
    ]


def test_what_changes_the_updates_is_fixed_for_the_whole_run():
    assert set(SHARED) - set(RunSettings.changeable()) == {"learning_rate", "weight_decay", "clip_norm"}
