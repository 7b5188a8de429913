import dataclasses

import pytest

from tasks.question_answering.example import Example

EXAMPLE = Example("q1", "Who wrote it?", "Ann and Bob wrote it.", ("Ann", "Bob"), ((0, 3), (8, 11)), "It")


def test_spans_are_half_open():
    assert tuple(EXAMPLE.context[start:end] for start, end in EXAMPLE.spans) == EXAMPLE.answers


def test_an_example_does_not_change_and_can_be_a_key():
    with pytest.raises(dataclasses.FrozenInstanceError):
        EXAMPLE.question = "Who?"
    assert {EXAMPLE: 1}[dataclasses.replace(EXAMPLE)] == 1
    assert dataclasses.replace(EXAMPLE, id="q2") != EXAMPLE


def test_the_fields_are_these():
    names = [field.name for field in dataclasses.fields(Example)]
    assert names == ["id", "question", "context", "answers", "spans", "article"]
