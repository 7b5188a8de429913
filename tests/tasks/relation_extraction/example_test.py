import dataclasses

import pytest

from spanbert_keras import EntityPair
from tasks.relation_extraction.example import Example

PAIR = EntityPair(("Ann", "was", "born", "in", "Oslo"), (0, 1), (4, 5), "PERSON", "CITY")


def test_an_example_does_not_change_and_can_be_a_key():
    example = Example("e1", PAIR, "per:city_of_birth")
    with pytest.raises(dataclasses.FrozenInstanceError):
        example.relation = "no_relation"
    assert {example: 1}[dataclasses.replace(example)] == 1
    assert dataclasses.replace(example, relation="no_relation") != example


def test_the_fields_are_these():
    assert [field.name for field in dataclasses.fields(Example)] == ["id", "pair", "relation"]
