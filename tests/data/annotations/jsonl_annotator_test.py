"""Mentions from a file: looked up line by line, checked where they are read."""

import json

import pytest

from spanbert_keras.data.annotations.annotator import ENTITIES, NOUN_PHRASES, Mention
from spanbert_keras.data.annotations.jsonl_annotator import JsonlAnnotator
from spanbert_keras.errors import InputError

BOTH = (ENTITIES, NOUN_PHRASES)


@pytest.fixture
def annotator(tmp_path):
    """Function of rows and names: writes a file and returns its annotator."""

    def make(*rows, names=(ENTITIES,)):
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / "mentions.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return JsonlAnnotator(str(tmp_path / "mentions.jsonl"), names)

    return make


def test_mentions_of_a_document_are_found_by_each_of_its_lines(annotator):
    text = "Ann met Bob.\r\n\nIn New\nYork."
    found = annotator({"text": text, "entities": [[18, 26, "GPE"], [0, 3, "PERSON"], [8, 11]]}, "")
    assert found.labels == {ENTITIES: ["GPE", "PERSON"]}
    assert found.annotate(["York.", "Ann met Bob.", "In New", "Another."]) == [
        {ENTITIES: [Mention(0, 4, "GPE")]},
        {ENTITIES: [Mention(0, 3, "PERSON"), Mention(8, 11)]},
        {ENTITIES: [Mention(3, 6, "GPE")]},
        None,
    ]


def test_the_first_of_two_equal_lines_counts(annotator):
    found = annotator({"text": "Ann.", "entities": [[0, 3, "A"]]}, {"text": "Ann.", "entities": [[0, 4, "B"]]})
    assert found.annotate(["Ann."]) == [{ENTITIES: [Mention(0, 3, "A")]}]


def test_both_annotations_are_read_from_one_file(annotator):
    found = annotator({"text": "An ox.", "noun_phrases": [[0, 5]], "entities": [[3, 5, "ANIMAL"]]}, names=BOTH)
    assert found.annotate(["An ox."]) == [{ENTITIES: [Mention(3, 5, "ANIMAL")], NOUN_PHRASES: [Mention(0, 5)]}]
    assert found.labels == {ENTITIES: ["ANIMAL"], NOUN_PHRASES: []}


def test_another_file_is_another_annotation(annotator):
    first = annotator({"text": "Ann.", "entities": [[0, 3]]}).settings
    assert first != annotator({"text": "Ann.", "entities": [[0, 4]]}).settings


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", r"line 2: .*Expected: \{.text.: .* Received: '\{'"),
        ({"words": 1}, "line 2: no text under 'text'"),
        ({"text": 3, "entities": []}, "line 2: no text under 'text'"),
        ([1], "line 2"),
        ({"text": "Ann", "entities": [[0, 4]]}, r"\[0, 4\] is not \[start, end\] .* in a text of 3 characters"),
        ({"text": "Ann", "entities": [[2, 2]]}, r"\[2, 2\]"),
        ({"text": "Ann", "entities": [[-1, 2]]}, r"\[-1, 2\]"),
        ({"text": "Ann", "entities": [[0, 1, 2]]}, r"\[0, 1, 2\]"),
        ({"text": "Ann", "entities": [[0, 1, "A", 3]]}, "is not"),
        ({"text": "Ann", "entities": [0]}, r"0 is not \[start, end\]"),
        ({"text": "Ann", "entities": {"a": 1}}, r"is not a list of \[start, end\]"),
        ({"text": "Ann", "entities": [[0]]}, "line 2"),
    ],
)
def test_a_line_of_another_form_is_rejected_by_number(annotator, row, message):
    with pytest.raises(InputError, match=message):
        annotator({"text": "Ann", "entities": [[0, 3]]}, row)


def test_a_file_without_the_wanted_mentions_or_with_too_many_labels_is_rejected(annotator, tmp_path):
    with pytest.raises(InputError, match="holds no mention under 'noun_phrases'"):
        annotator({"text": "Ann", "entities": [[0, 3]]}, names=BOTH)
    many = [{"text": f"{i} Ann", "entities": [[0, 1, f"L{i}"]]} for i in range(64)]
    assert len(annotator(*many[:63]).labels[ENTITIES]) == 63
    with pytest.raises(InputError, match="at most 63. Received: 64"):
        annotator(*many)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        JsonlAnnotator(str(tmp_path / "nowhere"), (ENTITIES,))
    (tmp_path / "bytes").write_bytes(b'{"text": "\xff"}')
    with pytest.raises(InputError, match="is not UTF-8 text"):
        JsonlAnnotator(str(tmp_path / "bytes"), (ENTITIES,))
