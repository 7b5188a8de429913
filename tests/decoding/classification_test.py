"""What a classifier says."""

import dataclasses
import inspect

import pytest

import spanbert_keras
from spanbert_keras.decoding.classification import Classification


def test_it_has_the_promised_fields_in_order_and_is_public():
    assert [field.name for field in dataclasses.fields(Classification)] == ["label", "score", "scores", "labels"]
    assert spanbert_keras.Classification is Classification
    text = inspect.getdoc(Classification)
    assert all(f"{name}:" in text for name in ("label", "score", "scores", "labels"))


def test_it_cannot_be_changed_and_compares_by_value():
    found = Classification("a", 0.75, {"a": 0.75, "b": 0.25})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.label = "b"
    assert found == Classification("a", 0.75, {"a": 0.75, "b": 0.25}) != Classification(None, 0.75, {})


def test_labels_are_the_label_alone_unless_they_are_given():
    assert Classification("a", 0.75, {"a": 0.75, "b": 0.25}).labels == ("a",)
    assert Classification(None, 2.5, {}).labels == ()
    assert Classification("a", 0.4, {"a": 0.4, "b": 0.1}, ()).labels == ()
    assert Classification("a", 0.8, {"a": 0.8, "b": 0.7}, ("a", "b")) != Classification("a", 0.8, {"a": 0.8, "b": 0.7})
