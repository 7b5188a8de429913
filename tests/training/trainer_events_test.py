"""Tests of the events of training: nothing happens unless a program asks for it."""

import dataclasses

import pytest

from spanbert_keras.training.cadence import LogWindow
from spanbert_keras.training.trainer_events import Evaluation, TrainerEvents


def test_by_default_nothing_happens():
    events = TrainerEvents()
    assert events.on_log(3, LogWindow(0)) is None
    assert events.on_step(3) is events.on_encoder(3) is events.on_rollback(3) is None
    assert events.on_evaluate(3) == Evaluation(loss=None, end=False)


def test_a_program_gives_its_own_functions_once():
    seen = []
    events = TrainerEvents(on_step=seen.append)
    events.on_step(4)
    assert seen == [4]
    with pytest.raises(dataclasses.FrozenInstanceError):
        events.on_step = print
