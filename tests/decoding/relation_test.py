"""What an extractor says."""

import dataclasses
import inspect

import pytest

import spanbert_keras
from spanbert_keras.decoding.relation import Relation


def test_it_has_the_promised_fields_in_order_and_is_public():
    assert [field.name for field in dataclasses.fields(Relation)] == ["label", "score", "scores"]
    assert spanbert_keras.Relation is Relation
    text = inspect.getdoc(Relation)
    assert all(f"{name}:" in text for name in ("label", "score", "scores"))


def test_it_cannot_be_changed_and_compares_by_value():
    found = Relation("per:title", 0.75, {"no_relation": 0.25, "per:title": 0.75})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.score = 1.0
    assert found == Relation("per:title", 0.75, {"no_relation": 0.25, "per:title": 0.75})
    assert found != Relation("no_relation", 0.75, {"no_relation": 0.25, "per:title": 0.75})
