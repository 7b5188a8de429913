"""Tests of the record that reading makes."""

import dataclasses

import pytest

from tasks.glue.example import Example

ONE = Example("7", "It rains.", "It is wet.", "entailment")


def test_an_example_does_not_change_and_can_be_a_key():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ONE.label = "not_entailment"
    assert {ONE: 1}[dataclasses.replace(ONE)] == 1
    assert dataclasses.replace(ONE, pair=None) != ONE


def test_the_fields_are_these():
    assert [field.name for field in dataclasses.fields(Example)] == ["id", "text", "pair", "label"]
