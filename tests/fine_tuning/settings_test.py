"""Tests of the settings of fine-tuning programs: the paper's defaults, and limits that name their flag."""

import dataclasses
import math

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.settings import FineTuningSettings


def settings_of(**changes):
    return FineTuningSettings(**({"encoder": "e", "output_dir": "o"} | changes))


def test_the_defaults_are_the_papers_and_pass():
    settings = settings_of()
    assert (settings.epochs, settings.warmup_ratio, settings.weight_decay) == (4, 0.1, 0.01)
    assert tuple(map(float, settings.sweep_learning_rates)) == (5e-6, 1e-5, 2e-5, 3e-5, 5e-5)  # appendix B
    assert settings.sweep_batch_sizes == ("16", "32")


LIMITED = [field for field in dataclasses.fields(FineTuningSettings) if field.metadata["minimum"] is not None]


@pytest.mark.parametrize("field", LIMITED, ids=lambda field: field.name)
def test_a_number_out_of_range_is_rejected_with_its_flag(field):
    low, high = field.metadata["minimum"], field.metadata["below"] or math.inf
    for value in (low - 1, -math.inf, math.nan, high):
        with pytest.raises(
            InputError, match=rf"--{field.name} must be (at least {low}|a whole number).*Received: {value}\.$"
        ):
            settings_of(**{field.name: value})
    assert getattr(settings_of(**{field.name: low}), field.name) == low


def test_settings_that_change_the_model_are_not_changeable():
    fixed = {"learning_rate", "batch_size", "epochs", "seed", "precision", "dropout"}
    assert not fixed & set(FineTuningSettings.changeable()) and "output_dir" in FineTuningSettings.changeable()


@pytest.mark.parametrize("name", ["learning_rate", "epochs"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_rate_and_epochs_are_positive(name, value):
    with pytest.raises(InputError, match=f"--{name}.*must be positive.*{value}"):
        settings_of(**{name: value})


def test_settings_without_a_value_are_not_checked():
    settings_of(replicas=None, dropout=None, sweep_trials=None)


def test_a_batch_must_divide_into_even_parts():
    settings_of(batch_size=24, accumulation_steps=3, replicas=4)
    with pytest.raises(InputError, match="--batch_size=24 must be a multiple of 9: accumulation steps times replicas"):
        settings_of(batch_size=24, accumulation_steps=3, replicas=3)


@pytest.mark.parametrize(
    "name, values",
    [
        ("sweep_learning_rates", ("1e-5", "fast")),
        ("sweep_learning_rates", ()),
        ("sweep_learning_rates", ("0",)),
        ("sweep_learning_rates", ("nan",)),
        ("sweep_learning_rates", ("1e-5", "inf")),
        ("sweep_batch_sizes", ("16.5",)),
        ("sweep_batch_sizes", ("16", "-8")),
        ("sweep_batch_sizes", ()),
    ],
)
def test_values_of_a_sweep_are_positive_numbers(name, values):
    with pytest.raises(InputError, match=f"--{name} must be positive numbers. Received: {','.join(values)}."):
        settings_of(**{name: values})


def test_a_sweep_tries_one_seed():
    with pytest.raises(InputError, match="--sweep tries one seed for each combination. Received: --seeds=3"):
        settings_of(sweep=True, seeds=3)


def test_the_grid_is_every_rate_with_every_batch_size():
    settings = settings_of(sweep_learning_rates=("1e-5", "2e-5"), sweep_batch_sizes=("16", "32"))
    expected = [(1e-5, 16), (1e-5, 32), (2e-5, 16), (2e-5, 32)]
    assert settings.sweep_grid() == [{"learning_rate": rate, "batch_size": size} for rate, size in expected]
    assert settings_of(sweep_trials=3).sweep_grid() == settings_of().sweep_grid()[:3]
    assert len(settings_of().sweep_grid()) == 10


def test_a_program_may_sweep_over_more():
    class More(FineTuningSettings):
        def sweep_axes(self):
            return [*super().sweep_axes(), [{"length": 128, "rows": 2}, {"length": 256, "rows": 1}]]

    grid = More(encoder="e", output_dir="o", sweep_learning_rates=("1",), sweep_batch_sizes=("8",)).sweep_grid()
    assert [(one["batch_size"], one["length"], one["rows"]) for one in grid] == [(8, 128, 2), (8, 256, 1)]
