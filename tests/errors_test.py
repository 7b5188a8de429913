"""Tests of the exception for what a user gave."""

import pytest

from spanbert_keras.errors import InputError


def test_an_input_error_is_an_ordinary_value_error_in_python():
    with pytest.raises(ValueError, match="one clear sentence"):
        raise InputError("one clear sentence")


def test_a_caller_may_give_another_hint():
    error = InputError("f, line 3 has no words.", "Leave it out with `skip_bad=True`.")
    assert str(error) == "f, line 3 has no words. Leave it out with `skip_bad=True`."
    assert str(InputError(error.what, "Use --skip_bad.")) == "f, line 3 has no words. Use --skip_bad."
    assert str(InputError(error.what)) == error.what and InputError(error.what).hint == ""
