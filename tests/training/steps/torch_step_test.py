"""Tests of what only the torch step does; the contract of all steps is tested in `step_test.py`."""

import keras
import pytest

pytestmark = pytest.mark.skipif(keras.backend.backend() != "torch", reason="the backend is not torch")


def test_results_hold_no_graph(make_training_step, batch, seeds_of):
    step = make_training_step()
    batches = {key: value[None] for key, value in batch.items()}
    results = step.train(batches, seeds_of(step)[None, None], 1.0, 0)
    assert not any(value.requires_grad for value in results.values() if hasattr(value, "requires_grad"))
    assert not any(value.requires_grad for value in step.evaluate(batch).values())


def test_gradients_of_the_last_step_are_not_added(make_training_step, batch, seeds_of, train_once):
    step = make_training_step(learning_rate=0.0)
    norms = [float(train_once(step, batch, seeds_of(step))["gradient_norm"]) for _ in range(2)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-6)


def test_the_optimizer_counts_the_steps(make_training_step, batch, seeds_of, train_once):
    step = make_training_step()
    for _ in range(3):
        train_once(step, batch, seeds_of(step))
    assert int(step.optimizer.iterations.value) == 3
