"""Tests of the settings of pre-training: contradictions are rejected."""

import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.pretraining.config import Config


def test_the_error_of_an_uneven_batch_names_the_nearest_size():
    with pytest.raises(InputError, match="--batch_tokens=1000 .*--max_sequence_length=96; the nearest is 960"):
        Config(corpus="a", output_dir="b", batch_tokens=1000, max_sequence_length=96)
    assert Config(corpus="a", output_dir="b", batch_tokens=960, max_sequence_length=96).batch_rows == 10
