"""Tests of the learning rate: the numbers of the paper's section 4.2, and both lines of decay."""

import keras
import numpy as np
import pytest

from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay


def rate(schedule, step):
    return float(keras.ops.convert_to_numpy(schedule(step)))


def test_the_papers_rate_peaks_at_1e_4_after_10k_steps_and_ends_at_zero():
    schedule = WarmupLinearDecay(1e-4, 10_000, 2_400_000)
    assert rate(schedule, 0) == pytest.approx(1e-8)
    assert rate(schedule, 4_999) == pytest.approx(5e-5)
    assert rate(schedule, 9_999) == pytest.approx(1e-4)
    assert rate(schedule, 10_000) == pytest.approx(1e-4)
    assert rate(schedule, 10_000 + 2_390_000 // 2) == pytest.approx(5e-5)
    assert rate(schedule, 2_399_999) == pytest.approx(1e-4 / 2_390_000, rel=1e-4)
    assert rate(schedule, 2_400_000) == 0.0
    assert rate(schedule, 2_400_007) == 0.0


def test_the_released_codes_decay_starts_at_step_zero():
    schedule = WarmupLinearDecay(1e-4, 10_000, 2_400_000, decay="from_start")
    assert rate(schedule, 9_999) == pytest.approx(1e-4)
    assert rate(schedule, 10_000) == pytest.approx(1e-4 * 2_390_000 / 2_400_000)
    assert rate(schedule, 1_200_000) == pytest.approx(5e-5)
    assert rate(schedule, 2_400_000) == 0.0


def test_without_decay_the_peak_stays():
    schedule = WarmupLinearDecay(0.5, 4, 10, decay="none")
    assert [rate(schedule, step) for step in (0, 1, 3, 4, 9, 99)] == pytest.approx([0.125, 0.25, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("decay", ["after_warmup", "from_start", "none"])
def test_without_warmup_the_first_step_has_the_peak(decay):
    assert rate(WarmupLinearDecay(0.5, 0, 10, decay=decay), 0) == 0.5


@pytest.mark.parametrize("decay", ["after_warmup", "from_start"])
def test_every_step_is_that_of_a_plain_formula(decay):
    peak, warmup, total = 3.0, 5, 17
    schedule = WarmupLinearDecay(peak, warmup, total, decay)
    for step in range(20):
        begin = warmup if decay == "after_warmup" else 0
        falling = peak * max(0, total - step) / (total - begin)
        assert rate(schedule, step) == pytest.approx(peak * (step + 1) / warmup if step < warmup else falling, abs=1e-6)


def test_an_optimizer_follows_the_schedule_and_keeps_it_in_its_config():
    optimizer = keras.optimizers.SGD(WarmupLinearDecay(0.5, 2, 10))
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones((1,))], [variable])
    assert float(keras.ops.convert_to_numpy(variable.value)[0]) == -0.25
    copy = keras.optimizers.SGD.from_config(optimizer.get_config())
    assert rate(copy._learning_rate, 1) == 0.5


@pytest.mark.parametrize("arguments", [(1.0, 5, 5), (1.0, -1, 5), (1.0, 0, 5, "cosine")])
def test_a_warmup_as_long_as_the_run_or_an_unknown_decay_is_rejected(arguments):
    with pytest.raises(ValueError, match="Received: decay="):
        WarmupLinearDecay(*arguments)
