"""The tab of a relation extractor: entities are found where they are written, relations are bars."""

import types

import pytest

from spanbert_keras import Relation
from spanbert_keras.demo_page.relation_tab import entity_types, find_words, relation_tab, show_relation
from spanbert_keras.errors import InputError

SENTENCE = "Her mother, <Ann> Lee, sold her other house to Ann."
MARKERS = {"SUBJ-START": "[unused1]", "SUBJ-PERSON": "[unused2]", "OBJ-PERSON": "[unused3]", "OBJ-CITY": "[unused4]"}
FOUND = Relation("per:title", 0.75, {"no_relation": 0.25, "per:title": 0.75})


@pytest.mark.parametrize(
    "words, start, end",
    [
        ("her", 28, 31),  # not the one in "mother"
        ("Ann", 13, 16),
        (" Ann Lee ", None, None),
        ("<Ann> Lee", 12, 21),
        ("Ann #2", 47, 50),
        ("Ann#1", 13, 16),
        ("oth", 5, 8),  # inside a longer word: these letters alone are not a word of the text
    ],
)
def test_entities_are_found_as_words(words, start, end):
    if start is None:
        with pytest.raises(InputError, match="must be a part of the sentence, written in the same way. .*0 times"):
            find_words(SENTENCE, words, "object")
    else:
        assert find_words(SENTENCE, words, "object") == (start, end)
        assert SENTENCE[start:end] == words.partition("#")[0].strip()


@pytest.mark.parametrize("words, message", [("Ann #3", "'Ann', which is there 2 times"), ("", "The object is empty")])
def test_an_entity_that_is_not_there_is_a_mistake(words, message):
    with pytest.raises(InputError, match=message):
        find_words(SENTENCE, words, "object")


def test_words_with_a_number_sign_of_their_own_are_found():
    assert find_words("He is #1 and she is Ann #2.", "Ann #2", "subject") == (20, 26)


def test_types_are_those_with_a_marker():
    assert entity_types(MARKERS, "SUBJ") == ["PERSON"] and entity_types(MARKERS, "OBJ") == ["PERSON", "CITY"]


def test_entities_that_cross_are_shown_in_a_whole_sentence(read_result):
    found = read_result(show_relation(FOUND, SENTENCE, (12, 21), (13, 28)))
    assert found["sb-text"] == [SENTENCE] and sorted(found["sub"]) == ["object", "subject"]
    assert found["sb-answer"] == ["per:title 75.0 %"] and found["th"] == ["per:title ✓", "no_relation"]


def test_the_extractor_is_asked_for_what_the_fields_hold(read_result):
    asked = []
    extractor = types.SimpleNamespace(markers=MARKERS, extract=lambda *given: asked.append(given) or FOUND)
    tab = relation_tab(extractor)
    assert [field.label for field in tab.fields[3:]] == ["Type of the subject", "Type of the object"]
    assert tab.example[3:] == ("PERSON", "CITY") and tab.fields[4].value == "PERSON"
    tab.answer(SENTENCE, "Lee", "Ann", "PERSON", "CITY")
    assert asked == [(SENTENCE, (18, 21), (13, 16), "PERSON", "CITY")]
    assert "written in the same way" in read_result(tab.answer(SENTENCE, "Bob", "Ann", "PERSON", "CITY"))["sb-error"][0]
    extractor.markers = {"SUBJ-START": "[unused1]"}  # mode "text"
    tab = relation_tab(extractor)
    assert len(tab.fields) == 3 and tab.answer(SENTENCE, "Lee", "Ann") and len(asked) == 2
