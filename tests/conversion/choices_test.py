"""Tests of the names that a conversion may be given."""

from spanbert_keras.conversion import choices
from spanbert_keras.conversion.destinations import FORMATS


def test_the_formats_are_those_that_can_be_written():
    assert choices.FORMATS == tuple(FORMATS)
