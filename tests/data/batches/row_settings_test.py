"""Tests of the settings of rows."""

import pytest

from spanbert_keras.data.batches.row_settings import RowSettings
from spanbert_keras.errors import InputError


def test_rows_are_packed_blocks_by_default():
    assert RowSettings(128) == RowSettings(128, "word", 1, "line", 0.0, 1, 0, True)


def test_a_row_without_room_for_two_segments_is_rejected():
    assert RowSettings(5, segments=2).max_sequence_length == 5
    assert RowSettings(3).segments == 1
    with pytest.raises(InputError, match="--max_sequence_length=4 is too short for two segments.*at least 5"):
        RowSettings(4, segments=2)
