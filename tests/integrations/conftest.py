"""Small models in files, for the pipelines of other libraries."""

import keras
import pytest

import spanbert_keras
from spanbert_keras import (
    SpanBertCoreferenceResolver,
    SpanBertEncoder,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTokenizer,
)

WORDS = "Ann Bob met her his hat he She left . lives in Rome Oslo Paris".split()
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "[unused2]", *WORDS]
TEXT = "Ann met Bob. She left her hat.\n\nhe met her in Oslo"


def encoder():
    tokenizer = SpanBertTokenizer(PIECES)
    return SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=24, tokenizer=tokenizer)


def saved(model, scale, path):
    """Saves a model with larger weights, so that its scores differ, and returns the path."""
    for weight in model.trainable_variables:
        weight.assign(weight * scale)
    model.save(path)
    return path


@pytest.fixture(scope="session")
def resolver_path(tmp_path_factory):
    """A saved resolver with random weights that link spans."""
    keras.utils.set_random_seed(1)
    model = SpanBertCoreferenceResolver(encoder(), max_span_width=3, hidden_dim=6, feature_dim=2)
    return saved(model, 20.0, tmp_path_factory.mktemp("models") / "coreference_resolver.keras")


@pytest.fixture(scope="session")
def extractor_path(tmp_path_factory):
    """A saved extractor with random weights."""
    keras.utils.set_random_seed(2)
    model = SpanBertRelationExtractor(encoder(), ["no_relation", "lives_in", "born_in"], ["PERSON"], ["LOCATION"])
    return saved(model, 3.0, tmp_path_factory.mktemp("models") / "relation_extractor.keras")


@pytest.fixture(scope="session")
def reader_path(tmp_path_factory):
    """A saved reader with random weights and a temperature."""
    keras.utils.set_random_seed(3)
    model = SpanBertQuestionAnswerer(encoder(), stride=6, max_question_pieces=5, max_answer_pieces=4, temperature=2.0)
    return saved(model, 3.0, tmp_path_factory.mktemp("models") / "question_answerer.keras")


@pytest.fixture(scope="session")
def resolver(resolver_path):
    return spanbert_keras.load_pretrained(resolver_path)
