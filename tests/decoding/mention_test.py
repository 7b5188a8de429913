"""What a resolver finds."""

import dataclasses
import inspect

import pytest

import spanbert_keras
from spanbert_keras.decoding.mention import Mention


def test_a_mention_has_the_promised_fields_in_order_and_is_public():
    assert [field.name for field in dataclasses.fields(Mention)] == ["text", "start", "end"]
    assert spanbert_keras.Mention is Mention


def test_a_mention_cannot_be_changed_and_compares_by_value():
    mention = Mention("Ann", 4, 7)
    with pytest.raises(dataclasses.FrozenInstanceError):
        mention.start = 3
    assert mention == Mention("Ann", 4, 7) != Mention("Ann,", 4, 8)
    assert len({mention, Mention("Ann", 4, 7)}) == 1


def test_mentions_sort_by_their_place_in_the_text():
    inner, outer, later = Mention("Ann", 0, 3), Mention("Ann's hat", 0, 9), Mention("hat", 6, 9)
    assert sorted([later, outer, inner]) == [inner, outer, later]


def test_every_field_is_explained():
    text = inspect.getdoc(Mention)
    assert all(word in text for word in ("start, end:", "text:", "Half-open", "code point", "tokens"))
