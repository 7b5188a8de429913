"""Tests of the examples that `fine_tune` is given."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertTextClassifier
from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.given_rows import given_rows
from tests.fine_tuning.conftest import DATA, LABELS, TEXTS


@pytest.fixture(scope="module")
def model(make_classifier):
    """A classifier of two classes."""
    return make_classifier()


def test_examples_come_with_targets_and_weights(model):
    rows = given_rows(model, (TEXTS, LABELS, np.arange(20)), "train")
    assert len(rows) == 20 and rows.weights.tolist() == list(range(20)) and rows.target_keys == ("label_targets",)
    assert given_rows(model, (TEXTS, LABELS), "validation").weights is None
    assert given_rows(model, rows, "train") is rows and given_rows(model, None, "validation") is None


class _Dataset(keras.utils.PyDataset):
    def __len__(self):
        return 1

    def __getitem__(self, number):
        return DATA


@pytest.mark.parametrize(
    ("examples", "complaint"),
    [
        (TEXTS, r"`train` must say what the model should predict. Expected: \(x, y\). Received: only x."),
        (([], []), "`train` must have at least one example"),
        (_Dataset(), "`train` must be examples in memory.* Received: `_Dataset`. `model.fit` takes datasets."),
    ],
)
def test_what_cannot_be_trained_with_is_named(model, examples, complaint):
    with pytest.raises(InputError, match=complaint):
        given_rows(model, examples, "train")


def test_raw_examples_need_a_preprocessor(model):
    plain = SpanBertTextClassifier(model.encoder, labels=["no", "yes"], preprocessor=None)
    with pytest.raises(ValueError, match='Set `model.preprocessor = "auto"`, or give `ExampleRows`'):
        given_rows(plain, DATA, "train")
    assert len(given_rows(plain, given_rows(model, DATA, "train"), "train")) == 20
