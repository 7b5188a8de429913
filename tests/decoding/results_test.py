"""The result records: their fields in order, and what they do beyond holding values."""

import dataclasses

import pytest

import spanbert_keras
from spanbert_keras.decoding.results import Answer, Classification, Mention, Relation


@pytest.mark.parametrize(
    "record, fields",
    [
        (Answer, ["text", "start", "end", "score", "no_answer_score"]),
        (Classification, ["label", "score", "scores", "labels"]),
        (Mention, ["text", "start", "end", "mention_score", "link_probability"]),
        (Relation, ["label", "score", "scores"]),
    ],
)
def test_a_record_has_the_promised_fields_in_order_and_cannot_be_changed(record, fields):
    assert [field.name for field in dataclasses.fields(record)] == fields
    assert getattr(spanbert_keras, record.__name__) is record
    one = record(*[0.5] * len(fields))
    assert one == record(*[0.5] * len(fields)) != record(0.25, *[0.5] * (len(fields) - 1))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, fields[0], "another")


def test_labels_are_the_label_alone_unless_they_are_given():
    assert Classification("a", 0.75, {"a": 0.75, "b": 0.25}).labels == ("a",)
    assert Classification(None, 2.5, {}).labels == ()
    assert Classification("a", 0.4, {"a": 0.4, "b": 0.1}, ()).labels == ()
    assert Classification("a", 0.8, {"a": 0.8, "b": 0.7}, ("a", "b")) != Classification("a", 0.8, {"a": 0.8, "b": 0.7})


def test_mentions_sort_by_their_place_in_the_text():
    inner, outer, later = Mention("Ann", 0, 3), Mention("Ann's hat", 0, 9), Mention("hat", 6, 9)
    assert sorted([later, outer, inner]) == [inner, outer, later]
