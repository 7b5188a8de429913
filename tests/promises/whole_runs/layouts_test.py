"""The result of a run does not depend on how its work is split."""

import signal

import keras
import numpy as np
import pytest

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() == "torch", reason="the torch backend trains on one device"),
]


@pytest.fixture
def one(finished_run):
    """A run on one device."""
    return finished_run()


def test_two_mirrored_replicas_compute_what_one_device_does(one, start, check_same_numbers, losses_of):
    assert losses_of(one, "optimization/gradient_norm").min() > 0.1  # clipping is active at every step
    two = start("two", distribution="mirrored", replicas=2).finish()
    check_same_numbers(one, two)
    assert not np.array_equal(losses_of(one), losses_of(two))  # the sums were indeed made in another order


@pytest.mark.slow
def test_accumulation_and_several_steps_per_call_compute_what_one_step_does(one, start, check_same_numbers):
    check_same_numbers(one, start("accumulated", accumulation_steps=2, steps_per_call=7).finish())


@pytest.mark.slow
def test_two_mirrored_replicas_with_accumulation_do_too(one, start, check_same_numbers):
    layout = {"distribution": "mirrored", "replicas": 2, "accumulation_steps": 2, "steps_per_call": 5, "compile": "on"}
    both = start("both", **layout).finish()
    check_same_numbers(one, both)


@pytest.mark.slow
def test_two_workers_compute_what_one_does(one, start_workers, check_same_numbers):
    workers = start_workers("workers")
    for worker in workers:
        worker.finish()
    check_same_numbers(one, workers[0])
    assert (workers[0].folder / "pretrainer.keras").is_file()


@pytest.mark.slow
def test_two_workers_under_xla_do_too(one, start_workers, check_same_numbers):
    workers = start_workers("compiled", compile="on", accumulation_steps=2)
    for worker in workers:
        worker.finish()
    check_same_numbers(one, workers[0])


@pytest.mark.slow
def test_a_run_continues_on_two_then_one_then_two_workers(one, start, start_workers, check_same_numbers):
    first = start_workers("moving", attempt="-a", log_every=1)
    first[0].wait_for("step 12/50")
    first[1].send(signal.SIGUSR1)  # one worker gets the signal: all stop at the same step
    assert [worker.wait() for worker in first] == [75, 75]
    alone = start("moving", steps_per_call=1)
    alone.wait_for("step 30/50")
    alone.send(signal.SIGTERM)
    assert alone.wait() == 75
    last = start_workers("moving", attempt="-b")
    for worker in last:
        worker.finish()
    check_same_numbers(one, last[0])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="op determinism is TensorFlow's")
def test_two_runs_of_one_layout_with_dropout_are_equal_bit_for_bit(start, check_same_bits):
    layout = {
        "distribution": "mirrored",
        "replicas": 2,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "deterministic": True,
    }
    check_same_bits(start("first", **layout).finish(), start("second", **layout).finish())
