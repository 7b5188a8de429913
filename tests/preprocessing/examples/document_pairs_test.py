"""Tests of the pairs of entities that a spaCy document holds."""

import pytest

from spanbert_keras import SpanBertEncoder, SpanBertRelationExtractor
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.document_pairs import document_pairs

MARKERS = ["SUBJ-PERSON", "SUBJ-ORGANIZATION", "OBJ-PERSON", "OBJ-LOCATION", "OBJ-DATE"]
PATTERNS = [("PERSON", "Ann"), ("PERSON", "Bob Ray"), ("GPE", "Oslo"), ("ORG", "Acme"), ("MONEY", "ten dollars")]
TEXT = "Ann met Bob Ray in Oslo. Acme paid ten dollars."


@pytest.fixture(scope="module")
def nlp():
    """A spaCy pipeline of rules: sentences end at full stops, entities are those of `PATTERNS`."""
    spacy = pytest.importorskip("spacy", reason="documents are spaCy's")
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": text} for label, text in PATTERNS])
    return pipeline


def names(found):
    return [(subject.text, other.text, pair.subject_type, pair.object_type) for subject, other, pair in found]


def test_every_ordered_pair_of_a_sentence_whose_types_have_markers(nlp):
    found = document_pairs(nlp(TEXT), MARKERS)
    assert names(found) == [
        ("Ann", "Bob Ray", "PERSON", "PERSON"),
        ("Ann", "Oslo", "PERSON", "LOCATION"),
        ("Bob Ray", "Ann", "PERSON", "PERSON"),
        ("Bob Ray", "Oslo", "PERSON", "LOCATION"),
    ]
    for subject, other, pair in found:
        for span, (start, end) in ((subject, pair.subject), (other, pair.object)):
            assert " ".join(pair.units[start:end]) == span.text
        assert pair.units == ("Ann", "met", "Bob", "Ray", "in", "Oslo", ".")


def test_places_count_from_the_sentence(nlp):
    [(subject, other, pair)] = document_pairs(nlp(TEXT), ["SUBJ-ORGANIZATION", "OBJ-MONEY"])
    assert (subject.text, other.text) == ("Acme", "ten dollars") and (pair.subject, pair.object) == ((0, 1), (2, 4))


def test_types_may_have_a_custom_translation(nlp):
    found = document_pairs(nlp(TEXT), ["SUBJ-HUMAN", "OBJ-CITY"], {"PERSON": "HUMAN", "GPE": "CITY"})
    assert names(found) == [("Ann", "Oslo", "HUMAN", "CITY"), ("Bob Ray", "Oslo", "HUMAN", "CITY")]


def test_without_types_among_the_markers_all_entities_count(nlp):
    found = document_pairs(nlp(TEXT), ["SUBJ-START", "SUBJ-END", "OBJ-START", "OBJ-END"])
    assert len(found) == 3 * 2 + 2 * 1 and found[-1][2].object_type == "ORGANIZATION"


def test_anything_but_a_document_with_sentences_is_rejected(nlp):
    with pytest.raises(InputError, match="must be a spaCy document. Received: str"):
        document_pairs("Ann", MARKERS)
    import spacy

    with pytest.raises(InputError, match="has no sentences. Add a component"):
        document_pairs(spacy.blank("en")("Ann met Bob."), MARKERS)
    assert document_pairs(nlp(""), MARKERS) == []


def test_an_extractor_reads_a_whole_document(nlp, toy_tokenizer):
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    pieces = [piece for piece in toy_tokenizer.get_vocabulary() if piece.isalnum()]
    markers = dict(zip(MARKERS, pieces, strict=False))
    extractor = SpanBertRelationExtractor(encoder, ["no_relation", "knows"], markers=markers, row_length=24)
    doc = nlp(TEXT)
    found = extractor.extract_document(doc, batch_size=3)
    alone = extractor.extract_pairs([pair for _, _, pair in document_pairs(doc, MARKERS)])
    assert [(subject.text, other.text) for subject, other, _ in found] == [
        ("Ann", "Bob Ray"),
        ("Ann", "Oslo"),
        ("Bob Ray", "Ann"),
        ("Bob Ray", "Oslo"),
    ]
    for (_, _, relation), expected in zip(found, alone, strict=True):
        assert relation.label == expected.label and relation.score == pytest.approx(expected.score, abs=1e-6)
    assert extractor.extract_document(nlp("Nobody.")) == []
