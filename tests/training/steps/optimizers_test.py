"""Tests of AdamW against a NumPy version written from Loshchilov and Hutter, and of clipping."""

import keras
import numpy as np
import pytest

from spanbert_keras.training.steps.optimizers import (
    VariableGroup,
    clip_factor,
    clip_in_groups,
    global_norm,
    is_decayed,
    make_adamw,
)
from spanbert_keras.training.steps.warmup_linear_decay import WarmupLinearDecay


def number(value):
    return np.array(keras.ops.convert_to_numpy(value))


def test_biases_and_layer_norms_do_not_decay(make_model):
    model = make_model()
    decayed = {v.path for v in model.trainable_variables if is_decayed(v)}
    spared = {v.path for v in model.trainable_variables} - decayed
    assert all(path.rsplit("/", 1)[-1] in ("bias", "gamma", "beta", "vocabulary_bias") for path in spared), spared
    assert any("embedding" in path for path in decayed)
    assert not any(path.rsplit("/", 1)[-1] in ("bias", "gamma", "beta") for path in decayed), decayed
    assert spared and decayed


def variables():
    random = np.random.default_rng(0)
    return [keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in ((3, 2), (2,), (4, 1))]


def adamw(values, gradients, rate, decay, beta_1, beta_2, epsilon, spared):
    """AdamW in float64: decoupled decay, bias corrections, epsilon outside the correction of the second moment."""
    values = [v.astype(np.float64) for v in values]
    first = [np.zeros_like(v) for v in values]
    second = [np.zeros_like(v) for v in values]
    rates = np.broadcast_to(rate, len(gradients))
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        for i, g in enumerate(gradient):
            first[i] = beta_1 * first[i] + (1 - beta_1) * g
            second[i] = beta_2 * second[i] + (1 - beta_2) * g * g
            if i not in spared:
                values[i] = values[i] - rate * decay * values[i]
            scale = np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
            values[i] = values[i] - rate * scale * first[i] / (np.sqrt(second[i]) + epsilon)
    return values


@pytest.mark.parametrize("decay_all", [False, True])
def test_updates_are_those_of_adamw(decay_all):
    weights = variables()
    start = [number(v) for v in weights]
    settings = {"weight_decay": 0.2, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-6}
    optimizer = make_adamw(weights, 0.05, **settings, decay_all=decay_all)
    random = np.random.default_rng(1)
    gradients = [[random.normal(size=v.shape).astype(np.float32) for v in start] for _ in range(5)]
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradient], weights)
    expected = adamw(start, gradients, 0.05, 0.2, 0.8, 0.95, 1e-6, () if decay_all else (1,))
    for weight, value in zip(weights, expected, strict=True):
        np.testing.assert_allclose(number(weight), value, rtol=2e-5, atol=1e-6)


def test_one_update_without_bias_correction_is_googles():
    def after_one(**settings):
        weight = keras.Variable(np.ones((1, 1), np.float32))
        optimizer = make_adamw([weight], 1e-2, weight_decay=0.0, epsilon=1e-6, **settings)
        optimizer.apply([keras.ops.convert_to_tensor(np.full((1, 1), 0.5, np.float32))])
        return number(weight).item(), [number(v).item() for v in optimizer.variables[2:]]

    weight, (moment, square) = after_one(bias_correction=False)
    assert (moment, square) == pytest.approx((0.05, 2.5e-4), rel=1e-6)
    assert weight == pytest.approx(1 - 1e-2 * 0.05 / (0.0158113883 + 1e-6), abs=1e-7)
    assert round(weight, 6) == 0.968379
    assert after_one()[0] == pytest.approx(0.99, abs=1e-6)


def test_updates_without_bias_correction_decay_as_the_others_do():
    decayed, spared = (keras.Variable(np.full(shape, 2.0, np.float32)) for shape in ((1, 1), (1,)))
    optimizer = make_adamw([decayed, spared], 0.1, weight_decay=0.5, epsilon=1e-6, bias_correction=False)
    expected, moment, square = np.array([2.0, 2.0]), 0.0, 0.0
    for gradient in (1.0, -3.0, 0.5):
        arrays = [np.full(shape, gradient, np.float32) for shape in ((1, 1), (1,))]
        optimizer.apply([keras.ops.convert_to_tensor(array) for array in arrays])
        moment, square = 0.9 * moment + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        expected = expected - 0.1 * (moment / (np.sqrt(square) + 1e-6) + np.array([0.5, 0.0]) * expected)
    np.testing.assert_allclose([number(decayed).item(), number(spared).item()], expected, rtol=1e-5)


def test_frozen_weights_wait_and_their_moments_do_not():
    weights = variables()
    start = [number(v) for v in weights]
    settings = {"weight_decay": 0.2, "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-6}
    optimizer = make_adamw(weights, 0.05, **settings, frozen=weights[:2], frozen_steps=3)
    random = np.random.default_rng(1)
    gradients = [[random.normal(size=v.shape).astype(np.float32) for v in start] for _ in range(5)]
    first = [adamw(start, gradients[:n], 0.05, 0.2, 0.8, 0.95, 1e-6, (1,)) for n in range(6)]
    for done, gradient in enumerate(gradients, 1):
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradient], weights)
        np.testing.assert_allclose(number(weights[2]), first[done][2], rtol=2e-5, atol=1e-6)
        if done <= 3:
            for i in (0, 1):
                np.testing.assert_array_equal(number(weights[i]), start[i])
    # Weight 1, which does not decay, makes the last two updates that it would have made.
    expected = start[1] + first[5][1] - first[3][1]
    np.testing.assert_allclose(number(weights[1]), expected, rtol=2e-5, atol=1e-6)
    assert (number(weights[0]) != start[0]).all()


def test_frozen_weights_leave_the_state_of_a_checkpoint_as_it_is():
    plain, frozen = (
        make_adamw(variables(), 0.1),
        make_adamw(weights := variables(), 0.1, frozen=weights, frozen_steps=2),
    )
    assert [v.shape for v in plain.variables] == [v.shape for v in frozen.variables]


def test_defaults_are_the_papers():
    optimizer = make_adamw(variables(), 1e-4)
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon, optimizer.weight_decay) == (0.9, 0.999, 1e-8, 0.1)
    assert optimizer.clipnorm is None and optimizer.global_clipnorm is None and optimizer.clipvalue is None


def test_the_state_is_built_before_the_first_step():
    optimizer = make_adamw(variables(), 1e-4)
    assert len(optimizer.variables) >= 2 * 3


def test_the_global_norm_is_that_of_all_gradients_together():
    gradients = [np.float32([[3.0]]), np.float32([4.0, 12.0])]
    assert float(number(global_norm([keras.ops.convert_to_tensor(g) for g in gradients]))) == 13.0
    half = keras.ops.convert_to_tensor(np.float16([200.0] * 4))  # squares overflow in float16
    assert float(number(global_norm([half]))) == 400.0


@pytest.mark.parametrize(
    "norm, limit, factor",
    [(4.0, 1.0, 0.25), (0.5, 1.0, 1.0), (0.0, 1.0, 1.0), (9.0, None, 1.0), (9.0, 0, 1.0), (3.0, 6.0, 1.0)],
)
def test_the_clip_factor_brings_a_gradient_to_the_limit(norm, limit, factor):
    assert float(number(clip_factor(keras.ops.convert_to_tensor(np.float32(norm)), limit))) == factor


def test_a_group_has_its_own_rate_decay_and_epsilon():
    weights = variables()
    start = [number(v) for v in weights]
    rate = WarmupLinearDecay(0.3, 0, 4)
    group = VariableGroup([weights[0]], rate, weight_decay=0.4, epsilon=1e-2)
    optimizer = make_adamw(weights, 0.05, weight_decay=0.2, epsilon=1e-6, groups=[group])
    random = np.random.default_rng(1)
    gradients = [[random.normal(size=v.shape).astype(np.float32) for v in start] for _ in range(3)]
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradient], weights)
    others = adamw(start, gradients, 0.05, 0.2, 0.9, 0.999, 1e-6, (1,))
    for i in (1, 2):
        np.testing.assert_allclose(number(weights[i]), others[i], rtol=2e-5, atol=1e-6)
    own = adamw(start, gradients, [0.3, 0.225, 0.15], 0.4, 0.9, 0.999, 1e-2, ())
    np.testing.assert_allclose(number(weights[0]), own[0], rtol=2e-5, atol=1e-6)
    assert abs(number(weights[0]) - others[0]).max() > 0.1


def test_groups_leave_the_state_of_a_checkpoint_as_it_is():
    grouped = make_adamw(weights := variables(), 0.1, groups=[VariableGroup(weights[:1], 0.2)])
    assert [v.shape for v in make_adamw(variables(), 0.1).variables] == [v.shape for v in grouped.variables]


def test_each_group_is_clipped_by_its_own_norm():
    gradients = [keras.ops.convert_to_tensor(np.float32(g)) for g in ([[6.0, 8.0]], [0.6], [0.8, 0.0])]
    norm, factors = clip_in_groups(gradients, ((1, 2), (0,)), 2.0, 2.0)  # norms 0.5 and 5 without the scale of 2
    assert float(number(norm)) == pytest.approx(np.sqrt(0.25 + 25.0))
    assert [float(number(f)) for f in factors] == pytest.approx([0.4 / 2, 1 / 2, 1 / 2])
    norm, factors = clip_in_groups(gradients, (), 2.0, 1.0)
    assert [float(number(f)) for f in factors] == pytest.approx([2.0 / np.sqrt(101.0)] * 3)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX makes float32 of float64")
def test_weights_of_float64_are_updated(to_numpy):
    weight = keras.Variable(np.ones((3, 4)), dtype="float64")
    optimizer = make_adamw([weight], 0.5, weight_decay=0.0)
    optimizer.apply([keras.ops.ones((3, 4), "float64")], [weight])
    np.testing.assert_allclose(to_numpy(weight.value), 0.5, rtol=1e-4)  # Adam's rates may be float32
