"""The settings of coreference resolution: types, ranges, sizes that follow from them."""

import json

import numpy as np
import pytest

from spanbert_keras.models.coreference_settings import CoreferenceSettings

VALID = {
    "segment_length": 16,
    "max_span_width": 4,
    "top_span_ratio": 0.25,
    "max_antecedents": 5,
    "antecedent_window": 7,
    "refinements": 0,
    "feature_dim": 3,
    "hidden_dim": 9,
    "dropout": 0.1,
    "genres": ["x", "y"],
    "default_genre": "y",
    "max_segment_distance": 2,
    "candidates": "words",
    "language": "de",
}


def test_the_config_holds_every_setting_as_json():
    assert json.loads(json.dumps(CoreferenceSettings(**VALID).config())) == VALID
    given = VALID | {"hidden_dim": np.int64(9), "dropout": np.float64(0.1), "genres": ("x", "y"), "top_span_ratio": 1}
    config = json.loads(json.dumps(CoreferenceSettings(**given).config()))
    assert config == VALID | {"top_span_ratio": 1.0}


@pytest.mark.parametrize("pieces, limit", [(0, 1), (3, 1), (4, 1), (11, 2), (400, 100)])
def test_a_share_of_the_pieces_and_at_least_one_span_is_kept(pieces, limit):
    assert CoreferenceSettings(**VALID).span_limit(pieces) == limit


def test_a_spans_vector_is_three_of_the_encoder_and_its_width():
    assert CoreferenceSettings(**VALID).span_dim(10) == 33


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"top_span_ratio": 0}, "above 0 and at most 1. Received: top_span_ratio=0.0"),
        ({"top_span_ratio": 1.5}, "top_span_ratio=1.5"),
        ({"refinements": -1}, "refinements=-1"),
        *(({name: 0}, f"`{name}` must be positive. Received: 0") for name in ("max_span_width", "hidden_dim")),
        *(({name: 0}, f"`{name}` must be positive") for name in ("max_antecedents", "antecedent_window")),
        *(({name: 0}, f"`{name}` must be positive") for name in ("feature_dim", "max_segment_distance")),
        ({"genres": ("x", "y", "x")}, r"different names. Received: \['x', 'y', 'x'\]"),
        *(({"language": wrong}, "`language` must be the code of a language") for wrong in ("", "de-AT", None, ["de"])),
        ({"default_genre": "z"}, r"one of \['x', 'y'\]. Received: 'z'"),
    ],
)
def test_settings_out_of_range_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        CoreferenceSettings(**(VALID | changes))
