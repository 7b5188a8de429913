"""Tests of what happens to bad examples of a file."""

import types

import pytest

from spanbert_keras.program import InputError
from tasks.shared.example_collector import LEAVE_OUT, ExampleCollector


def fail(sentence):
    raise InputError(sentence)


def example(id):
    return types.SimpleNamespace(id=id)


def test_the_first_bad_example_raises_with_the_hint():
    collector = ExampleCollector("f", False)
    collector.add(lambda: example("a"))
    with pytest.raises(InputError) as caught:
        collector.add(lambda: fail("f, line 2 is empty."))
    assert str(caught.value) == f"f, line 2 is empty. {LEAVE_OUT}" and "--skip_bad_examples" in LEAVE_OUT


def test_a_hint_is_made_from_the_error_and_only_if_it_is_shown():
    errors = []

    def hint(error):
        errors.append(str(error))
        return "Look again."

    ExampleCollector("f", True, hint).add(lambda: fail("Bad."))
    assert errors == []
    with pytest.raises(InputError, match=r"^Bad\. Look again\.$"):
        ExampleCollector("f", False, hint).add(lambda: fail("Bad."))
    assert errors == ["Bad."]


def test_bad_examples_are_left_out_with_a_sentence_each():
    collector = ExampleCollector("f", True)
    for make in (lambda: example("a"), lambda: fail("One."), lambda: example("b"), lambda: fail("Two.")):
        collector.add(make)
    assert [one.id for one in collector.examples] == ["a", "b"] and collector.left_out == ["One.", "Two."]


def test_ids_are_unique_among_examples_with_a_place():
    collector = ExampleCollector("f", True)
    for line, id in enumerate("aba", start=1):
        collector.add(lambda id=id: example(id), f"line {line}")
    assert [one.id for one in collector.examples] == ["a", "b"]
    assert collector.left_out == ["f, line 3: the id 'a' is that of line 1 already. Expected: unique ids."]
    collector.add(lambda: example("a"))
    assert [one.id for one in collector.examples] == ["a", "b", "a"]
