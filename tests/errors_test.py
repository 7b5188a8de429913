"""Tests of the exception for what a user gave."""

import pytest

from spanbert_keras.errors import InputError, short_message, shown


def test_an_input_error_is_an_ordinary_value_error_in_python():
    with pytest.raises(ValueError, match="one clear sentence"):
        raise InputError("one clear sentence")


def test_a_caller_may_give_another_hint():
    error = InputError("f, line 3 has no words.", "Leave it out with `skip_bad=True`.")
    assert str(error) == "f, line 3 has no words. Leave it out with `skip_bad=True`."
    assert str(InputError(error.what, "Use --skip_bad.")) == "f, line 3 has no words. Use --skip_bad."
    assert str(InputError(error.what)) == error.what and InputError(error.what).hint == ""


def test_long_words_of_a_message_lose_their_middle():
    message = str(InputError(f"The file {'a' * 50_000}/{'b' * 50_000} is damaged.", "Copy it again."))
    assert message.startswith("The file aaa") and message.endswith("bbb is damaged. Copy it again.")
    assert len(message) < 300 and "a...b" in message


def test_a_message_is_never_longer_than_2000_characters():
    message = str(InputError("Unknown: " + "name " * 10_000 + "Expected: others."))
    assert len(message) == 2000 and message.endswith("Expected: others.")
    assert short_message("as it is, " * 100) == "as it is, " * 100


@pytest.mark.parametrize(
    "value",
    ["x" * 10**6, ["y" * 10**6] * 10**5, {"k" * 10**6: 1}, 10**6000, -(10**6000), "a\nb" * 1000, b"z" * 10**6],
    ids=lambda value: type(value).__name__,
)
def test_values_are_shown_in_one_short_line(value):
    assert len(shown(value)) <= 200 and "\n" not in shown(value) and len(shown(value, 60)) <= 60


def test_a_value_that_holds_itself_or_is_nested_deeply_is_shown():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    endless: list = []
    endless.append(endless)
    assert len(shown(deep)) < 60 and shown(deep).startswith("[[[[") and len(shown(endless)) < 60
    assert (shown("it"), shown(2.5), shown([1, "a"]), shown(None), shown((0,))) == (
        "'it'",
        "2.5",
        "[1, 'a']",
        "None",
        "(0,)",
    )
