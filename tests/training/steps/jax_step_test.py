"""Tests of what only the JAX step does; the contract of all steps is tested in `step_test.py`."""

import keras
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="the backend is not JAX")


def test_a_step_is_compiled_once(make_training_step, stream_of, seeds_of, train_once):
    import jax

    step, stream = make_training_step(dropout=0.15), stream_of()  # a step that no other test uses
    traced, counts = [], []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: traced.append(name))
    scale, scale_steps = 1.0, 0
    for k in range(3):
        batch = stream.batch(k)
        results = train_once(step, batch, seeds_of(step, k), scale, scale_steps)
        scale, scale_steps = results["scale"], results["scale_steps"]
        step.evaluate(batch)
        counts.append(traced.count("/jax/core/compile/jaxpr_trace_duration"))
    assert 0 < counts[0] == counts[1] == counts[2]


def test_every_dropout_layer_gets_its_seed(make_training_step, seeds_of):
    step = make_training_step(dropout=0.1)
    indices = [index for index in step.seed_index if index is not None]
    assert sorted(indices) == list(range(seeds_of(step).shape[1]))


def test_the_weights_on_the_model_are_those_of_the_last_step(make_training_step, batch, seeds_of, train_once):
    step = make_training_step()
    train_once(step, batch, seeds_of(step))
    train_once(step, batch, seeds_of(step))
    outputs = step.model({key: batch[key] for key in step.model.input_keys})  # no donated buffer is used again
    assert bool(keras.ops.all(keras.ops.isfinite(outputs["masked_lm"])))
    assert int(step.optimizer.iterations.value) == 2
