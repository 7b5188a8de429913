"""Tests of what only the TensorFlow step does; what all steps promise is tested in `devices_test.py`."""

import keras
import numpy as np
import pytest

from spanbert_keras.training.objective import target_counts

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the backend is not TensorFlow")


def test_xla_computes_the_same(make_training_step, batch, seeds_of, weights_of):
    found = []
    for compiled in (False, True):
        step = make_training_step(**({"compile": True} if compiled else {}))
        results = step.train(batch, target_counts(batch), seeds_of(step), 1.0, 0)
        found.append((results["loss"].numpy(), weights_of(step.model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    # Adam's first step is the gradient's sign, noise where the gradient is zero: compare the share that agrees.
    close = [np.isclose(a, b, atol=1e-4).mean() for a, b in zip(found[0][1], found[1][1], strict=True)]
    assert np.mean(close) > 0.99


def test_a_step_is_traced_once(make_training_step, stream_of, seeds_of):
    step, stream = make_training_step(dropout=0.1), stream_of()
    scale, scale_steps = 1.0, 0
    for k in range(3):
        batch = stream.batch(k)
        results = step.train(batch, target_counts(batch), seeds_of(step, k), scale, scale_steps)
        scale, scale_steps = results["scale"], results["scale_steps"]
        step.evaluate(batch)
    assert step._train.experimental_get_tracing_count() == 1
    assert step._evaluate.experimental_get_tracing_count() == 1
