"""Every annotator has the form of the protocol."""

import pytest

from spanbert_keras.data.annotations.annotator import ANNOTATIONS, ENTITIES, Mention
from spanbert_keras.data.annotations.jsonl_annotator import JsonlAnnotator
from spanbert_keras.data.annotations.rule_annotator import RuleAnnotator
from spanbert_keras.preprocessing.masking.schemes import SCHEMES


def test_a_mention_has_no_label_by_default():
    assert Mention(1, 2) == (1, 2, "")


def test_the_names_of_annotations_are_those_that_schemes_read():
    assert set(ANNOTATIONS) == {scheme.annotation for scheme in SCHEMES.values()} - {None}


@pytest.mark.parametrize("kind", ["rules", "jsonl"])
def test_annotators_describe_themselves_and_return_mentions_by_name(kind, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "He met Ann.", "entities": [[7, 10, "NAME"]]}\n', encoding="utf-8")
    annotator = RuleAnnotator() if kind == "rules" else JsonlAnnotator(str(tmp_path / "a.jsonl"), (ENTITIES,))
    assert annotator.description.startswith(kind) and annotator.labels == {ENTITIES: ["NAME"]}
    assert isinstance(annotator.settings, dict)
    assert annotator.annotate(["He met Ann."]) == [{ENTITIES: [Mention(7, 10, "NAME")]}]
