"""Tests of the checks of numbers."""

import math
import time

import numpy as np
import pytest

from spanbert_keras.arguments import MAX_SIZE, dropout_rate, list_of_names, one_of, real_number, whole_number
from spanbert_keras.errors import InputError


@pytest.mark.parametrize("value", [1, 7, np.int64(7), np.uint8(7), MAX_SIZE])
def test_a_whole_number_becomes_an_int(value):
    found = whole_number("n", value)
    assert found == value and type(found) is int


@pytest.mark.parametrize(
    "value",
    [0, -1, 1e9, 2.0, math.nan, math.inf, "8", b"8", True, None, [8], np.array(8), 10**10, 10**5000, iter(()), {}],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_one_short_sentence(value):
    with pytest.raises(
        InputError, match="^`n` must be a whole number (of at least 1|from 1 to 2,147,483,647)"
    ) as error:
        whole_number("n", value)
    assert len(str(error.value)) < 350 and "\n" not in str(error.value)


def test_the_limits_are_named():
    with pytest.raises(InputError, match=r"`n` must be a whole number from 2 to 4. Received: n=5."):
        whole_number("n", 5, minimum=2, maximum=4)
    assert [whole_number("n", value, 2, 4) for value in (2, 3, 4)] == [2, 3, 4]


@pytest.mark.parametrize("value", [0, 0.25, np.float32(0.25), np.int64(0)])
def test_a_number_becomes_a_float(value):
    found = real_number("x", value, minimum=0, below=1)
    assert found == value and type(found) is float and dropout_rate("x", value) == found


@pytest.mark.parametrize(
    "value",
    [-0.1, 1, 1.0, math.nan, math.inf, -math.inf, "0.1", None, True, [0.1], 10**400],
    ids=lambda value: type(value).__name__,
)
def test_no_other_number_is_a_dropout_rate(value):
    with pytest.raises(
        InputError, match="`dropout` must be a number, at least 0 and below 1. Received: dropout="
    ) as error:
        dropout_rate("dropout", value)
    assert len(str(error.value)) < 350


def test_any_finite_number_fits_without_limits():
    assert real_number("x", -1e300) == -1e300
    with pytest.raises(InputError, match="`x` must be a finite number. Received: x=nan."):
        real_number("x", math.nan)


def test_choices_are_named():
    assert one_of("mode", "b", ("a", "b")) == "b"
    for value in ("c", None, ["a"], 1):
        with pytest.raises(InputError, match="`mode` must be one of a, b. Received: mode="):
            one_of("mode", value, ("a", "b"))


def test_a_huge_value_costs_nothing():
    began = time.monotonic()
    with pytest.raises(InputError):
        whole_number("n", [["a" * 10_000_000]] * 1000)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("value", ["ab", b"ab", None, 3, np.array("a"), [1], ["a", None], [b"a"], object()])
def test_only_a_sequence_of_strings_is_a_list_of_names(value):
    with pytest.raises(InputError, match="^`labels` must be a list of strings. Received: labels="):
        list_of_names("labels", value)


def test_names_become_a_tuple_of_plain_strings():
    for value in (["a", "b"], np.array(["a", "b"]), iter("ab")):
        found = list_of_names("labels", value)
        assert found == ("a", "b") and {type(name) for name in found} == {str}
