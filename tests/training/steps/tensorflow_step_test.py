"""Tests of what only the TensorFlow step does; the contract of all steps is tested in `step_test.py`."""

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the backend is not TensorFlow")


def test_xla_computes_the_same(make_training_step, batch, seeds_of, weights_of, train_once):
    found = []
    for compiled in (False, True):
        step = make_training_step(**({"compile": True} if compiled else {}))
        results = train_once(step, batch, seeds_of(step))
        found.append((results["loss"], weights_of(step.model)))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    # Adam's first step is the gradient's sign, noise where the gradient is zero: compare the share that agrees.
    close = [np.isclose(a, b, atol=1e-4).mean() for a, b in zip(found[0][1], found[1][1], strict=True)]
    assert np.mean(close) > 0.99


@pytest.mark.slow
def test_a_step_is_traced_once(make_training_step, stream_of, seeds_of, train_once):
    step, stream = make_training_step(dropout=0.15), stream_of()  # a step that no other test uses
    scale, scale_steps = 1.0, 0
    for k in range(3):
        batch = stream.batch(k)
        results = train_once(step, batch, seeds_of(step, k), scale, scale_steps)
        scale, scale_steps = results["scale"], results["scale_steps"]
        step.evaluate(batch)
    assert step._train[()].experimental_get_tracing_count() == 1
    assert step._evaluate.experimental_get_tracing_count() == 1
    for count in (2, 3, 5):  # calls of other lengths share one more
        several = {key: np.stack([value] * count) for key, value in batch.items()}
        step.train(several, np.stack([seeds_of(step)[None]] * count), 1.0, 0)
    assert step._train[()].experimental_get_tracing_count() == 2
