"""Texts and pairs of texts for the classifier: forms of both, labels, settings, `tf.data` and errors."""

import keras
import keras_hub
import numpy as np
import pytest

from spanbert_keras import (
    SpanBertEncoder,
    SpanBertTextClassifier,
    SpanBertTextClassifierPreprocessor,
    SpanBertTokenizer,
)
from spanbert_keras.errors import InputError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dull", "moving", "film"]
TEXTS = ["a dull film", "a moving film a film"]
SECONDS = ["film", ""]


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(PIECES)


@pytest.fixture
def make(tokenizer):
    """Function of settings that returns a preprocessor with a tokenizer."""
    return lambda **own: SpanBertTextClassifierPreprocessor(tokenizer, **({"row_length": 32} | own))


@pytest.fixture
def make_classifier(tokenizer):
    """Function of a classifier's arguments that returns a small one."""

    def make(**settings):
        encoder = SpanBertEncoder(len(PIECES), 1, 2, 8, 12, max_sequence_length=24, tokenizer=tokenizer)
        return SpanBertTextClassifier(encoder, **settings)

    return make


@pytest.mark.parametrize("texts", [TEXTS, np.array(TEXTS), np.array(TEXTS, object), iter(TEXTS)])
def test_texts_are_rows(make, texts):
    x = make()(texts)
    assert x["token_ids"].tolist() == [[2, 5, 6, 8, 3, 0, 0, 0], [2, 5, 7, 8, 5, 8, 3, 0]]
    assert x["padding_mask"].sum(axis=1).tolist() == [5, 7] and not x["segment_ids"].any()
    assert {values.dtype for values in x.values()} == {np.dtype(np.int32)}


def test_one_text_is_one_row(make):
    assert len(make().rows("a dull film")) == 1 and make().rows([]).lengths.shape == (0,)


@pytest.mark.parametrize(
    "pairs",
    [
        list(zip(TEXTS, SECONDS, strict=True)),
        [list(pair) for pair in zip(TEXTS, SECONDS, strict=True)],
        np.array(list(zip(TEXTS, SECONDS, strict=True)), object),
        (TEXTS, SECONDS),
        (np.array(TEXTS), tuple(SECONDS)),
    ],
)
def test_pairs_are_a_list_of_pairs_or_two_columns(make, pairs):
    rows = make().rows(pairs)
    batch = rows.batch(np.arange(2), 9)
    assert batch["token_ids"].tolist() == [[2, 5, 6, 8, 3, 8, 3, 0, 0], [2, 5, 7, 8, 5, 8, 3, 3, 0]]
    assert batch["segment_ids"].tolist() == [[0, 0, 0, 0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1, 0]]
    assert make(num_segments=1).rows(pairs).batch(np.arange(2), 9)["segment_ids"].any() == False  # noqa: E712


def test_two_columns_have_the_same_length(make):
    with pytest.raises(InputError, match="a second text for each first one. Expected: 2. Received: 1."):
        make().rows((TEXTS, SECONDS[:1]))


def test_empty_texts_are_rows_too(make):
    assert make().rows(["", "a"]).lengths.tolist() == [2, 3]
    assert make().rows([("", ""), ("a", "")]).lengths.tolist() == [3, 4]


def test_rows_are_padded_to_one_of_four_lengths(make):
    for words, length in ((2, 8), (6, 8), (7, 16), (14, 16), (29, 32), (99, 32)):
        assert make()(["a " * words])["token_ids"].shape == (1, length)
    rows = make().rows(["a " * 99, "a"])
    assert rows.cut == 1 and rows.lengths.tolist() == [32, 3]


@pytest.mark.parametrize(
    "settings, y, expected",
    [
        ({"labels": ["bad", "good"]}, ["good", "bad"], [1, 0]),
        ({"labels": ["bad", "good"]}, [1, 0], [1, 0]),
        ({"labels": ["bad", "good"]}, [[0.25, 0.75], [1, 0]], [[0.25, 0.75], [1, 0]]),
        ({"labels": ["x", "y"], "problem_type": "multi_label"}, [["y", "x"], []], [[1, 1], [0, 0]]),
        ({}, [0.5, 2], [[0.5], [2]]),
        ({"labels": ["x", "y"], "problem_type": "regression"}, [[0.5, 2], [1, -1]], [[0.5, 2], [1, -1]]),
    ],
)
def test_labels_are_those_of_the_problem_type(make, settings, y, expected):
    _, found, weight = make(**settings)(TEXTS, y, [2.0, 0.5])
    assert found.tolist() == expected and weight.tolist() == [2.0, 0.5]
    rows = make(**settings).rows(TEXTS, y)
    targets = np.eye(2)[expected] if found.dtype == np.int32 else expected
    np.testing.assert_array_equal(rows.batch(np.arange(2), 8)["label_targets"], targets)
    assert rows.num_classes == len(settings.get("labels", [None]))


@pytest.mark.parametrize(
    "settings, problem_type",
    [
        ({}, "regression"),
        ({"labels": ["a", "b"]}, "single_label"),
        ({"labels": ["a"], "problem_type": "multi_label"}, "multi_label"),
    ],
)
def test_the_problem_type_follows_from_the_labels(make, settings, problem_type):
    assert make(**settings).problem_type == problem_type


@pytest.mark.parametrize(
    "x, y, message",
    [
        (["a", 5], None, "Text 1 must be a str or a pair of them. Received: 5."),
        (["a", ("a", "b")], None, "Texts and pairs of texts cannot be classified together"),
        ({"text": TEXTS}, None, "`x` must be a list of str or of pairs of them"),
        (7, None, "`x` must be a list of str or of pairs of them. Received: 7."),
        ([b"a"], None, "Text 0 must be a str or a pair"),
        (TEXTS, ["bad", "awful"], "The label of example 1 is unknown"),
        (TEXTS, ["bad"], "as many labels as examples. Expected: 2. Received: 1."),
    ],
)
def test_what_cannot_be_read_is_named(make, x, y, message):
    with pytest.raises(InputError, match=message):
        make(labels=["bad", "good"]).rows(x, y)


def test_a_model_of_pairs_takes_no_single_texts_and_the_other_way_round(make):
    with pytest.raises(InputError, match="This model classifies pairs of texts. Received: single texts."):
        make(takes_pairs=True).rows(TEXTS)
    with pytest.raises(InputError, match="This model classifies single texts. Received: pairs of texts."):
        make(takes_pairs=False).rows((TEXTS, SECONDS))
    assert len(make(takes_pairs=True).rows((TEXTS, SECONDS))) == len(make(takes_pairs=False).rows(TEXTS)) == 2


def test_a_model_gives_its_settings(make_classifier):
    model = make_classifier(labels=["x", "y"], row_length=16, takes_pairs=False, problem_type="multi_label")
    preprocessor = model.preprocessor
    assert isinstance(preprocessor, SpanBertTextClassifierPreprocessor)
    assert isinstance(preprocessor, keras_hub.models.TextClassifierPreprocessor)
    assert preprocessor.settings == {
        "labels": ["x", "y"],
        "row_length": 16,
        "takes_pairs": False,
        "problem_type": "multi_label",
        "num_segments": model.encoder.num_segments,
    }
    x, y = preprocessor(["a " * 40], [["y"]])
    assert x["token_ids"].shape == (1, 16) and y.tolist() == [[0.0, 1.0]]


def test_a_models_preprocessor_may_be_replaced_and_adds_nothing_to_it(make_classifier):
    model = make_classifier(labels=["x", "y"])
    before = [layer.name for layer in model._flatten_layers()], len(model.weights)
    other = SpanBertTextClassifierPreprocessor(labels=["x", "y"])
    model.preprocessor = other
    assert model.preprocessor is other and other.tokenizer is model.tokenizer
    assert ([layer.name for layer in model._flatten_layers()], len(model.weights)) == before
    if keras.backend.backend() == "torch":
        assert all(module is not other for module in model.modules())
    model.preprocessor = None
    assert model.preprocessor is None


def test_a_config_makes_the_same_preprocessor(make):
    one = make(labels=["x", "y"], takes_pairs=True, num_segments=1, problem_type="regression")
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert other.own_settings == one.own_settings and type(other) is type(one)


@pytest.mark.parametrize(
    "settings, y",
    [
        ({"labels": ["bad", "good"]}, ["good", "bad"]),
        ({"labels": ["bad", "good"]}, [1, 0]),
        ({"labels": ["bad", "good"]}, [[1], [0]]),
        ({"labels": ["bad", "good"]}, [[0.25, 0.75], [1.0, 0.0]]),
        ({"labels": ["x", "y"], "problem_type": "multi_label"}, [[1.0, 1.0], [0.0, 0.0]]),
        ({}, [0.5, 2.0]),
        ({}, [[0.5], [2.0]]),
        ({"labels": ["x", "y"], "problem_type": "regression"}, [[0.5, 2.0], [1.0, -1.0]]),
        ({}, None),
    ],
)
@pytest.mark.parametrize("in_pairs", ["no", "rows", "columns"])
@pytest.mark.parametrize("weight", [None, [2.0, 0.5]])
def test_a_pipeline_gives_what_a_call_gives(make, settings, y, in_pairs, weight):
    tf = pytest.importorskip("tensorflow")
    rows = [list(pair) for pair in zip(TEXTS, SECONDS, strict=True)]
    x = {"no": TEXTS, "rows": rows, "columns": (TEXTS, SECONDS)}[in_pairs]
    given = {name: part for name, part in (("x", x), ("y", y), ("sample_weight", weight)) if part is not None}
    preprocessor = make(**settings)
    batches = list(tf.data.Dataset.from_tensor_slices(given).batch(2).map(lambda parts: preprocessor(**parts)))
    expected = preprocessor(**given)
    assert len(batches) == 1
    tf.nest.assert_same_structure(batches[0], expected)
    for found, wanted in zip(tf.nest.flatten(batches[0]), tf.nest.flatten(expected), strict=True):
        assert (found is None) == (wanted is None)
        if wanted is not None:
            np.testing.assert_array_equal(found.numpy(), wanted)
            assert found.numpy().dtype == wanted.dtype
