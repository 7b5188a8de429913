"""Tests of the exception for what a user gave."""

import pytest

from spanbert_keras.errors import InputError


def test_an_input_error_is_an_ordinary_value_error_in_python():
    with pytest.raises(ValueError, match="one clear sentence"):
        raise InputError("one clear sentence")
