"""Streams, models and steps as in the tests of training."""

from tests.training.conftest import (  # noqa: F401
    _plain_graphs,
    batch,
    lines,
    make_model,
    make_training_step,
    read_events,
    seeds_of,
    step_pool,
    stream_of,
    terminal,
    train_once,
    weights_of,
)
