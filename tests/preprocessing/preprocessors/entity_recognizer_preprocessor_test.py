"""Texts with entities for the recognizer: what it returns, its settings, `tf.data` and errors."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEntityRecognizerPreprocessor, SpanBertTokenizer
from spanbert_keras.errors import InputError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "lives", "in", "Os", "##lo"]
TEXTS, ENTITIES = ["Ann lives in Oslo", "Oslo"], [[(0, 3, "PER"), (13, 17, "LOC")], [(0, 4, "LOC")]]


@pytest.fixture(scope="module")
def prepare():
    return SpanBertEntityRecognizerPreprocessor(
        SpanBertTokenizer(PIECES), labels=["PER", "LOC"], row_length=16, max_span_width=2
    )


def test_targets_are_classes_of_spans_and_examples_have_weights(prepare):
    x, y, weights = prepare(TEXTS, ENTITIES, [1.0, 0.5])
    assert {key: value.shape for key, value in x.items()} == dict.fromkeys(prepare.rows(TEXTS).input_keys, (2, 8))
    assert x["word_starts"][:, :5].tolist() == [[1, 2, 3, 4, 0], [1, 0, 0, 0, 0]]
    assert y["span_labels"].shape == y["span_weights"].shape == (2, 8, 2)
    assert y["span_labels"][:, :4, 0].tolist() == [[1, 0, 0, 2], [2, 0, 0, 0]] and not y["span_labels"][..., 1].any()
    assert y["span_weights"][0, :5].tolist() == [[1, 1], [1, 1], [1, 1], [1, 0], [0, 0]]
    assert weights.tolist() == [1.0, 0.5]
    assert set(prepare(TEXTS)) == set(x)


def test_settings_are_saved(prepare):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prepare))
    assert again.settings == prepare.settings
    again.tokenizer = prepare.tokenizer  # its vocabulary is a file of the model or preset
    for one, other in zip(
        keras.tree.flatten(again(TEXTS, ENTITIES)), keras.tree.flatten(prepare(TEXTS, ENTITIES)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="`tf.data` is the same on every backend")
def test_texts_may_come_in_a_dataset_and_lists_of_entities_may_not(prepare):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(2)
    found = next(iter(dataset.map(prepare)))
    np.testing.assert_array_equal(found["token_ids"], prepare(TEXTS)["token_ids"])
    labelled = tf.data.Dataset.from_tensor_slices((TEXTS, [["PER"], ["LOC"]])).batch(2)
    with pytest.raises(Exception, match="Lists of entities are not tensors"):
        labelled.map(prepare)


def test_an_unknown_label_is_named(prepare):
    with pytest.raises(InputError, match="unknown label.*Received: 'X'"):
        prepare(["Ann"], [[(0, 3, "X")]])
