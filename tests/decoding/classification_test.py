"""What a classifier says."""

import dataclasses
import inspect

import pytest

import spanbert_keras
from spanbert_keras.decoding.classification import Classification


def test_it_has_the_promised_fields_in_order_and_is_public():
    assert [field.name for field in dataclasses.fields(Classification)] == ["label", "score", "scores"]
    assert spanbert_keras.Classification is Classification
    text = inspect.getdoc(Classification)
    assert all(f"{name}:" in text for name in ("label", "score", "scores"))


def test_it_cannot_be_changed_and_compares_by_value():
    found = Classification("a", 0.75, {"a": 0.75, "b": 0.25})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.label = "b"
    assert found == Classification("a", 0.75, {"a": 0.75, "b": 0.25}) != Classification(None, 0.75, {})
