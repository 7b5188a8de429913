"""Settings of annotating: what contradicts itself is rejected on construction."""

import pytest

from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.errors import InputError


def test_defaults_are_entities_of_the_small_english_pipeline():
    settings = AnnotationSettings(corpus="shards")
    assert settings.annotations == ("entities",) and settings.annotator == "spacy:en_core_web_sm"
    assert settings.part == (0, 1) and AnnotationSettings(corpus="shards", shard="2/5").part == (2, 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": ()}, "--annotations must name entities or noun_phrases, each once. Received: none"),
        ({"annotations": ("entities", "entities")}, "each once. Received: entities,entities"),
        ({"annotations": ("verbs",)}, "--annotations must be one of entities, noun_phrases. Received: verbs"),
        ({"annotator": "nltk"}, "--annotator must be spacy:PACKAGE_OR_PATH"),
        ({"annotator": "jsonl:a"}, "--annotator=jsonl:a needs --input"),
        ({"shard": "4/4"}, "--shard must be i/n with i from 0 to n - 1.* Received: 4/4"),
        ({"workers": 0}, "--workers must be at least 1"),
    ],
)
def test_contradictions_are_rejected(changes, message):
    with pytest.raises(InputError, match=message):
        AnnotationSettings(corpus="shards", **changes)
