"""Tests of the float16 loss scale."""

import keras
import numpy as np

from spanbert_keras.training.steps.loss_scale import GROWTH_STEPS, INITIAL_SCALE, next_scale


def after(scale, steps, finite):
    result = next_scale(
        keras.ops.convert_to_tensor(np.float32(scale)),
        keras.ops.convert_to_tensor(np.int32(steps)),
        keras.ops.convert_to_tensor(finite),
    )
    return tuple(keras.ops.convert_to_numpy(value).item() for value in result)


def test_an_overflow_halves_the_scale_and_starts_to_count_again():
    assert after(1024.0, 77, False) == (512.0, 0)
    assert after(1024.0, GROWTH_STEPS - 1, False) == (512.0, 0)


def test_good_steps_are_counted():
    assert after(1024.0, 0, True) == (1024.0, 1)
    assert after(1024.0, GROWTH_STEPS - 2, True) == (1024.0, GROWTH_STEPS - 1)


def test_enough_good_steps_double_the_scale():
    assert after(1024.0, GROWTH_STEPS - 1, True) == (2048.0, 0)


def test_a_whole_run_is_that_of_a_plain_loop():
    scale, steps, expected, count = INITIAL_SCALE, 0, INITIAL_SCALE, 0
    for finite in np.random.default_rng(0).random(40) < 0.8:
        scale, steps = after(scale, steps, bool(finite))
        expected, count = (expected, count + 1) if finite else (expected / 2, 0)
        assert (scale, steps) == (expected, count)


def test_dtypes_do_not_change():
    scale, steps = next_scale(
        keras.ops.convert_to_tensor(np.float32(8)),
        keras.ops.convert_to_tensor(np.int32(3)),
        keras.ops.convert_to_tensor(True),
    )
    assert keras.backend.standardize_dtype(scale.dtype) == "float32"
    assert keras.backend.standardize_dtype(steps.dtype) == "int32"
