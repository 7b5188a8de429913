"""Tests of what fine-tuning programs can be told: the paper's defaults, and numbers out of range refused by name."""

import dataclasses
import math

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.settings import CHANGEABLE, RANGES, FineTuningSettings, check


def settings_of(**changes):
    return FineTuningSettings(**({"encoder": "e", "output_dir": "o"} | changes))


def test_the_defaults_are_the_papers_and_pass():
    settings = settings_of()
    check(settings)
    assert (settings.epochs, settings.warmup_share, settings.weight_decay) == (4, 0.1, 0.01)
    assert tuple(map(float, settings.sweep_learning_rates)) == (5e-6, 1e-5, 2e-5, 3e-5, 5e-5)  # appendix B
    assert settings.sweep_batch_sizes == ("16", "32")


@pytest.mark.parametrize("name", sorted(RANGES))
def test_a_number_out_of_range_is_refused_by_its_flag(name):
    low, high = RANGES[name]
    for value in (low - 1, -math.inf, math.nan, high):
        with pytest.raises(InputError, match=rf"--{name} must be at least {low}.*Received: {value}\.$"):
            check(settings_of(**{name: value}))
    check(settings_of(**{name: low}))


def test_every_number_has_a_range():
    numbers = {
        f.name for f in dataclasses.fields(FineTuningSettings) if f.type in (int, float, int | None, float | None)
    }
    assert numbers - set(RANGES) == {"learning_rate", "epochs"}
    assert set(CHANGEABLE) <= {field.name for field in dataclasses.fields(FineTuningSettings)}
    assert not {"learning_rate", "batch_size", "epochs", "seed", "precision", "dropout"} & set(CHANGEABLE)


@pytest.mark.parametrize("name", ["learning_rate", "epochs"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_rate_and_epochs_are_positive(name, value):
    with pytest.raises(InputError, match=f"--{name}.*must be positive.*{value}"):
        check(settings_of(**{name: value}))


def test_what_is_not_given_is_not_refused():
    check(settings_of(replicas=None, dropout=None, sweep_trials=None))


def test_a_batch_is_cut_into_even_parts():
    check(settings_of(batch_size=24, accumulation_steps=3, replicas=4))
    with pytest.raises(InputError, match="--batch_size=24 must be a multiple of 9: accumulation steps times replicas"):
        check(settings_of(batch_size=24, accumulation_steps=3, replicas=3))


@pytest.mark.parametrize(
    "name, values",
    [
        ("sweep_learning_rates", ("1e-5", "fast")), ("sweep_learning_rates", ()), ("sweep_learning_rates", ("0",)),
        ("sweep_learning_rates", ("nan",)), ("sweep_learning_rates", ("1e-5", "inf")),
        ("sweep_batch_sizes", ("16.5",)), ("sweep_batch_sizes", ("16", "-8")), ("sweep_batch_sizes", ()),
    ],
)  # fmt: skip
def test_values_of_a_sweep_are_positive_numbers(name, values):
    with pytest.raises(InputError, match=f"--{name} must be positive numbers. Received: {','.join(values)}."):
        check(settings_of(**{name: values}))


def test_a_sweep_tries_one_seed():
    with pytest.raises(InputError, match="--sweep tries one seed for each combination. Received: --seeds=3"):
        check(settings_of(sweep=True, seeds=3))


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


def test_a_program_adds_ranges_of_its_own():
    class More(FineTuningSettings):
        ranges = {"epochs": (2, 9)}
        positive = ("learning_rate", "clip_norm")

    check(More(encoder="e", output_dir="o"))
    for changes, sentence in (
        ({"epochs": 9.0}, "--epochs must be at least 2 and below 9. Received: 9.0"),
        ({"clip_norm": 0.0}, "--clip_norm must be positive. Received: 0.0"),
    ):
        with pytest.raises(InputError, match=sentence):
            check(More(encoder="e", output_dir="o", **changes))
