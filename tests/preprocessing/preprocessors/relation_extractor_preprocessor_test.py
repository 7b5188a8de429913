"""Sentences with entities for the extractor: what may be given, labels, settings, `tf.data` and errors."""

import keras
import numpy as np
import pytest

from spanbert_keras import EntityPair, SpanBertEncoder, SpanBertRelationExtractor, SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.preprocessors.labelled_rows import LabelledRows
from spanbert_keras.preprocessing.preprocessors.relation_extractor_preprocessor import (
    SpanBertRelationExtractorPreprocessor,
)

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "[unused2]", "[unused3]", "lives", "in", "."]
LABELS = ["none", "city", "birth"]
MARKERS = {"SUBJ-PERSON": "[unused1]", "OBJ-CITY": "[unused2]", "OBJ-PERSON": "[unused3]"}
TYPES = {"subject_type": "PERSON", "object_type": "CITY"}
PAIRS = [
    EntityPair(("Ann", "lives", "in", "Oslo"), (0, 1), (3, 4), "PERSON", "CITY"),
    EntityPair(("in", "Oslo", "lives", "Bob", "."), (3, 4), (1, 2), "PERSON", "CITY"),
]
TOKENS = [{"tokens": list(one.units), "subject": one.subject, "object": one.object} | TYPES for one in PAIRS]
TEXTS = [
    {"text": "Ann lives in Oslo", "subject": (0, 3), "object": (13, 17)} | TYPES,
    {"text": "in Oslo lives Bob.", "subject": (14, 17), "object": (3, 7)} | TYPES,
]
ROWS = [[2, 5, 8, 9, 6, 3, 0], [2, 9, 6, 8, 5, 10, 3]]  # entities are their markers


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(PIECES)


@pytest.fixture
def make(tokenizer):
    """Function of settings that returns a preprocessor with a tokenizer."""
    settings = {"labels": LABELS, "markers": MARKERS, "row_length": 32}
    return lambda **own: SpanBertRelationExtractorPreprocessor(tokenizer, **(settings | own))


def columns(examples):
    return {key: [one[key] for one in examples] for key in examples[0]}


def arrays(examples):
    return {
        key: np.array(values, object if isinstance(values[0], list) else None)
        for key, values in columns(examples).items()
    }


FORMS = {
    "pairs": PAIRS,
    "an array of pairs": np.array([*PAIRS, None], object)[:2],
    "tokens": TOKENS,
    "texts": TEXTS,
    "tokens and texts": [TOKENS[0], TEXTS[1]],
    "pairs and texts": [PAIRS[0], TEXTS[1]],
    "columns of tokens": columns(TOKENS),
    "columns of texts": columns(TEXTS),
    "columns with one type for all": columns(TEXTS) | TYPES,
    "columns as arrays": arrays(TEXTS),
    "other entries": [one | {"id": "a", "relation": 3} for one in TEXTS],
    "an entry without value": [one | {"tokens": None} for one in TEXTS],
    "spans as lists and arrays": [TEXTS[0] | {"subject": [0, 3]}, TEXTS[1] | {"subject": np.array([14, 17])}],
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_makes_the_same_rows(make, name):
    x = make()(FORMS[name])
    assert set(x) == {"token_ids", "segment_ids", "padding_mask"} and x["token_ids"].shape == (2, 8)
    assert x["token_ids"][:, :7].tolist() == ROWS
    assert x["padding_mask"].sum(axis=1).tolist() == [6, 7]


@pytest.mark.parametrize(
    "given, y",
    [(PAIRS[0], ["birth"]), (TOKENS[0], [2]), (TEXTS[0], ["birth"]), (TEXTS[0] | {"label": "birth"}, None)],
)
def test_one_example_is_one_row(make, given, y):
    rows = make().rows(given, y)
    assert isinstance(rows, LabelledRows) and rows.labels.tolist() == [2]
    assert rows.batch(np.array([0]), 7)["token_ids"].tolist() == ROWS[:1]


@pytest.mark.parametrize(
    "labels", [["birth", "none"], [2, 0], np.array([2, 0]), np.array(["birth", "none"]), [[2], [0]]]
)
def test_labels_are_names_or_numbers_beside_the_examples_or_in_them(make, labels):
    x, y = make()(PAIRS, labels)
    assert y.dtype == np.int32 and y.tolist() == [2, 0] and x["token_ids"].shape == (2, 8)
    of_dicts = [one | {"label": label} for one, label in zip(TEXTS, labels, strict=True)]
    for given in (of_dicts, columns(of_dicts), columns(TOKENS) | {"label": labels}):
        assert make()(given)[1].tolist() == [2, 0]
    assert make()(of_dicts, ["city", "city"])[1].tolist() == [1, 1]  # `y` goes first


def test_labels_may_be_rows_of_probabilities(make):
    given = np.array([[0.1, 0.8, 0.1], [0.5, 0.25, 0.25]])
    rows = make().rows(PAIRS, given)
    assert rows.labels.dtype == np.float32 and rows.batch(np.array([1]), 8)["label_targets"].tolist() == [
        [0.5, 0.25, 0.25]
    ]
    np.testing.assert_allclose(make()(PAIRS, given)[1], given, rtol=1e-6)
    one_hot = make().rows(PAIRS, ["city", "none"]).batch(np.array([0, 1]), 8)["label_targets"]
    assert one_hot.tolist() == [[0, 1, 0], [1, 0, 0]] and one_hot.dtype == np.float32


def test_weights_are_those_of_the_examples(make):
    _, y, weight = make()(TEXTS, ["city", "none"], [0.5, 2])
    assert weight.tolist() == [0.5, 2.0] and y.tolist() == [1, 0]
    _, y, weight = make()(TEXTS, sample_weight=[0.5, 2])
    assert y is None and weight.dtype == np.float32
    _, y, weight = make()([one | {"label": "city"} for one in TEXTS], sample_weight=[0.5, 2])
    assert y.tolist() == [1, 1] and weight.tolist() == [0.5, 2.0]


def test_long_sentences_are_cut_and_counted(make):
    long = EntityPair(("lives",) * 60, (50, 51), (58, 59), "PERSON", "CITY")
    rows = make().rows([long, PAIRS[0]])
    assert rows.cut == 1 and rows.lengths.tolist() == [32, 6]
    assert {5, 6} <= set(rows.rows[0].token_ids.tolist())  # both entities are there


def test_a_model_gives_its_settings(tokenizer):
    encoder = SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=24, tokenizer=tokenizer)
    model = SpanBertRelationExtractor(encoder, LABELS, ["PERSON"], ["CITY"], feature_mode="ner_text")
    preprocessor = model.preprocessor
    assert isinstance(preprocessor, SpanBertRelationExtractorPreprocessor)
    assert (
        preprocessor.settings
        == model.preprocessor_settings()
        == {
            "labels": LABELS,
            "markers": {"SUBJ-PERSON": "[unused1]", "OBJ-CITY": "[unused2]"},
            "feature_mode": "ner_text",
            "row_length": 24,
        }
    )
    expected = model.entities.rows(PAIRS)
    for row, other in zip(preprocessor.rows(TOKENS).rows, expected, strict=True):
        assert row.token_ids.tolist() == other.token_ids.tolist()
    model.markers = {"SUBJ-PERSON": "[unused3]", "OBJ-CITY": "[unused2]"}  # may be set later
    assert model.preprocessor(PAIRS[:1])["token_ids"][0, 1] == 7
    with pytest.raises(ValueError, match="must agree. Expected: feature_mode='ner_text'"):
        own = SpanBertRelationExtractorPreprocessor(feature_mode="text")
        SpanBertRelationExtractor(encoder, LABELS, ["PERSON"], ["CITY"], "ner_text", preprocessor=own).preprocessor  # noqa: B018


def test_a_model_trains_on_what_its_preprocessor_makes(tokenizer):
    encoder = SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=24, tokenizer=tokenizer)
    model = SpanBertRelationExtractor(encoder, LABELS, ["PERSON"], ["CITY"])
    logits = model.logits_of(model.entities.rows(PAIRS)).astype(np.float64)
    expected = [np.log(np.exp(row).sum()) - row[label] for row, label in zip(logits, (1, 2), strict=True)]
    model.compile("sgd")
    x, y = model.preprocessor(TEXTS, ["city", "birth"])
    assert model.evaluate(x, y, verbose=0) == pytest.approx(np.mean(expected), rel=1e-4)
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


def test_a_config_makes_the_same_preprocessor(make):
    one = make(feature_mode="text_ner")
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert other.own_settings == one.own_settings and other.settings["markers"] == MARKERS
    assert SpanBertRelationExtractorPreprocessor.from_config(
        SpanBertRelationExtractorPreprocessor().get_config()
    ).settings == {
        "labels": (),
        "markers": {},
        "feature_mode": "ner",
        "row_length": 128,
    }


@pytest.mark.parametrize(
    "x, message",
    [
        (5, "`x` must be a list of `EntityPair` or of dicts, or a dict of columns. Received: 5."),
        (["Ann lives"], "Example 0 is not an example of a relation. Expected: a list of .*Received: str."),
        ([PAIRS[0], TOKENS[0] | {"text": "a"}], r"Example 1 must have either `tokens` or `text`, besides `subject`"),
        ([{"subject": (0, 1), "object": (1, 2)}], r"Example 0 must have either .*Received: subject, object\."),
        ({"subject": [(0, 1)]}, "`x` must have either `tokens` or `text`"),
        ([TEXTS[0] | {"text": ["Ann"]}], r"Example 0: `text` must be a str. Received: \['Ann'\]\."),
        ([TOKENS[0] | {"tokens": "Ann lives"}], "Example 0: `tokens` must be a list of str. Received: 'Ann lives'."),
        ([TOKENS[0] | {"tokens": ["Ann", 5]}], r"Sentence 0 must be a str or a list of them."),
        ([TEXTS[0], {"text": "Ann"}], r"Sentence 1: `subject` must be \(start, end\). Received: None."),
        ([TEXTS[0] | {"object": (13, 18)}], "the object must be a half-open range of its 17 characters"),
        ([TOKENS[0] | {"object": (3, 5)}], "the object must be a half-open range of its 4 tokens"),
        ([TEXTS[0] | {"object_type": "COUNTRY"}], "'COUNTRY' is not a type of object that this model knows. Expected:"),
        ([TEXTS[0] | {"object_type": None}], "The type of the object is missing"),
        (columns(TEXTS) | {"object": [(0, 1)]}, "one `object` for each sentence. Expected: 2. Received: 1."),
        (columns(TEXTS) | {"label": ["city"]}, "one `label` for each sentence. Expected: 2. Received: 1."),
        ([TEXTS[0] | {"label": "city"}, PAIRS[0], TEXTS[0]], "2 of 3 without, the first is example 1."),
        ([TEXTS[0] | {"label": "town"}], "The label of example 0 is unknown. Expected: one of 'none', 'city', 'birth'"),
    ],
)
def test_what_cannot_be_read_is_named(make, x, message):
    with pytest.raises(InputError, match=message):
        make().rows(x)


@pytest.mark.parametrize(
    "y, message",
    [
        (["city"], "as many labels as examples. Expected: 2. Received: 1."),
        ([3, 0], "The label of example 0 is unknown. Expected: names of the model's labels, numbers from 0 to 2"),
        ([[0.5, 0.5]] * 2, r"rows of 3 probabilities. Received: shape \(2, 2\)"),
    ],
)
def test_labels_that_do_not_fit_are_rejected(make, y, message):
    with pytest.raises(InputError, match=message):
        make().rows(PAIRS, y)


def test_a_preprocessor_without_markers_says_what_it_needs(tokenizer):
    with pytest.raises(InputError, match="Expected: `markers`, a dict"):
        SpanBertRelationExtractorPreprocessor(tokenizer).rows(PAIRS)


LABEL_FORMS = [["birth", "none"], [2, 0], [[2], [0]], [[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]]]
PIPELINES = {
    "no labels": lambda label: columns(TEXTS),
    "labels in x": lambda label: columns(TEXTS) | {"label": label},
    "labels": lambda label: (columns(TEXTS), label),
    "labels and weights": lambda label: (columns(TEXTS), label, [0.5, 2.0]),
}


@pytest.mark.parametrize("label", LABEL_FORMS)
@pytest.mark.parametrize("form", PIPELINES)
def test_a_pipeline_gives_what_a_call_gives(make, label, form):
    tf = pytest.importorskip("tensorflow")
    given = PIPELINES[form](label)
    batches = list(tf.data.Dataset.from_tensor_slices(given).batch(2).map(make()))
    expected = make()(*given) if isinstance(given, tuple) else make()(given)
    assert len(batches) == 1
    tf.nest.assert_same_structure(batches[0], expected)
    for found, wanted in zip(tf.nest.flatten(batches[0]), tf.nest.flatten(expected), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)
        assert found.numpy().dtype == wanted.dtype
