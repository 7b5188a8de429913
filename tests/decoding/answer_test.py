"""What a reader answers."""

import dataclasses
import inspect

import pytest

import spanbert_keras
from spanbert_keras.decoding.answer import Answer


def test_an_answer_has_the_promised_fields_in_order_and_is_public():
    assert [field.name for field in dataclasses.fields(Answer)] == ["text", "start", "end", "score", "no_answer_score"]
    assert spanbert_keras.Answer is Answer


def test_an_answer_cannot_be_changed_and_compares_by_value():
    answer = Answer("Ann", 4, 7, 0.5, -2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        answer.text = "Bob"
    assert answer == Answer("Ann", 4, 7, 0.5, -2.0) != Answer("Ann", 4, 8, 0.5, -2.0)
    assert len({answer, Answer("Ann", 4, 7, 0.5, -2.0)}) == 1


def test_every_field_is_explained():
    text = inspect.getdoc(Answer)
    assert all(
        name in text for name in ("text:", "start, end:", "score:", "no_answer_score:", "half-open".capitalize())
    )
