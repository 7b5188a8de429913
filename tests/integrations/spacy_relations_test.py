"""Relations in spaCy documents: those of `extract_document`, in batches, saved with the document."""

import pytest

import spanbert_keras
from spanbert_keras.errors import InputError

spacy = pytest.importorskip("spacy", reason="components of spaCy's pipelines, extra `linguistic`")

TEXTS = ["Ann lives in Rome. Bob met Ann in Oslo.", "Ann left.", "Paris", "Bob lives in Paris."]
PATTERNS = [
    *({"label": "PERSON", "pattern": name} for name in ("Ann", "Bob")),
    *({"label": "GPE", "pattern": name} for name in ("Rome", "Oslo", "Paris")),
]


@pytest.fixture
def pipeline(extractor_path):
    """Function of the component's settings: a pipeline of sentences, entities and relations."""

    def make(**config):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer")
        nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
        nlp.add_pipe("spanbert_relations", config={"model": str(extractor_path)} | config)
        return nlp

    return make


def shown(relations):
    return [(a.text, b.text, one.label, pytest.approx(one.score, rel=1e-4)) for a, b, one in relations]


def test_relations_are_those_of_the_extractor(pipeline, extractor_path):
    extractor = spanbert_keras.load_pretrained(extractor_path)
    nlp = pipeline(no_relation="none of them")
    docs = list(nlp.pipe(TEXTS))
    for doc in docs:
        expected = extractor.extract_document(doc)
        assert shown(expected) == [(a.text, b.text, one.label, one.score) for a, b, one in doc._.relations]
    assert [len(doc._.relations) for doc in docs] == [3, 0, 0, 1]
    labels = {one.label for doc in docs for *_, one in doc._.relations}
    for label in labels:
        left_out = pipeline(no_relation=label)(TEXTS[0])._.relations
        assert [one.label for *_, one in left_out] == [
            one.label for *_, one in docs[0]._.relations if one.label != label
        ]


def test_unlikely_relations_are_left_out(pipeline):
    every = pipeline(no_relation="")(TEXTS[0])._.relations
    scores = sorted(one.score for *_, one in every)
    for least in (scores[1], 1.0):
        found = pipeline(no_relation="", min_score=least)(TEXTS[0])._.relations
        assert [one.score for *_, one in found] == [one.score for *_, one in every if one.score >= least]


def test_types_may_be_translated(pipeline):
    doc = pipeline(no_relation="", types={"GPE": "unknown"})(TEXTS[0])
    assert doc._.relations == []


def test_relations_are_saved_with_the_document(pipeline):
    nlp = pipeline(no_relation="")
    doc = nlp(TEXTS[0])
    again = spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert shown(doc._.relations) == [(a.text, b.text, one.label, one.score) for a, b, one in again._.relations] != []


def test_a_document_without_sentences_is_named(extractor_path):
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    nlp.add_pipe("spanbert_relations", config={"model": str(extractor_path)})
    with pytest.raises(InputError, match="has no sentences. Add a component that sets them"):
        nlp(TEXTS[0])
    assert nlp("left")._.relations == []
