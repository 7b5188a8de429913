"""Tests of predictions: the best label or the number, rows of texts and pairs, the submission files."""

import types

import numpy as np
import pytest

from tasks.glue import predictions
from tasks.glue.data import Example

LOGITS = np.array([[0.0, 2.0, 1.0], [3.0, 3.0, 1.0], [1e4, -1e4, 2e4]], np.float32)


def test_the_most_probable_label_is_taken_the_first_of_equal_ones():
    model = types.SimpleNamespace(labels=("contradiction", "entailment", "neutral"), problem_type="single_label")
    assert predictions.found_of(model, LOGITS) == ["entailment", "contradiction", "neutral"]


def test_a_model_without_labels_gives_numbers():
    for labels in ((), ("stars",)):
        model = types.SimpleNamespace(labels=labels, problem_type="regression")
        found = predictions.found_of(model, np.array([[1.5], [-0.25]], np.float32))
        assert found == [1.5, -0.25] and all(type(value) is float for value in found)
    model = types.SimpleNamespace(labels=("x", "y"), problem_type="regression")
    assert predictions.found_of(model, np.array([[1.5, -0.25]], np.float32)) == [(1.5, -0.25)]


def test_a_text_has_all_labels_that_reach_the_threshold(classifier_of):
    model = classifier_of(("a", "b", "c"), problem_type="multi_label", threshold=0.5)
    assert predictions.found_of(model, np.array([[0.0, -1.0, 9.0], [-1.0, -2.0, -3.0]])) == [("a", "c"), ()]
    model.threshold = 0.9
    assert predictions.found_of(model, np.array([[0.0, -1.0, 9.0]])) == [("c",)]


@pytest.fixture
def classifier_of(encoder_path):
    """Function of a classifier's arguments that makes one."""
    import keras

    from spanbert_keras import SpanBertTextClassifier

    return lambda *given, **settings: SpanBertTextClassifier(keras.saving.load_model(encoder_path), *given, **settings)


def test_several_labels_or_numbers_are_a_list_in_a_file(tmp_path):
    path = tmp_path / "own.tsv"
    predictions.write(path, ["0", "1"], [("a, b", "é"), ()])
    assert path.read_text(encoding="utf-8") == 'index\tprediction\n0\t["a, b", "é"]\n1\t[]\n'
    predictions.write(path, ["0"], [(1.23456789, -2.0)])
    assert path.read_text() == "index\tprediction\n0\t[1.23457, -2.0]\n"


def test_inputs_are_texts_or_pairs_the_first_text_first():
    pairs = [Example("0", "a", "x", None), Example("1", "b", "", None)]
    assert predictions.inputs_of(pairs) == [("a", "x"), ("b", "")]
    assert predictions.inputs_of([Example("0", "a", None, "1"), Example("1", "", None, "1")]) == ["a", ""]


def test_a_file_has_the_sites_header_ids_and_three_decimals(tmp_path):
    path = tmp_path / "deep" / "RTE.tsv"
    predictions.write(path, ["9", "é"], ["entailment", "not_entailment"])
    assert path.read_bytes().decode("utf-8") == "index\tprediction\n9\tentailment\né\tnot_entailment\n"
    predictions.write(path, ["0", "1", "2"], [2.0, -0.12345, 4.9996])
    assert path.read_text() == "index\tprediction\n0\t2.000\n1\t-0.123\n2\t5.000\n"
    with pytest.raises(ValueError):
        predictions.write(path, ["0"], ["a", "b"])


def test_the_site_gets_numbers_of_its_scale_and_labels_as_they_are():
    assert predictions.for_site([-0.1, 0.0, 2.5, 5.0, 5.001, 70.0]) == [0.0, 0.0, 2.5, 5.0, 5.0, 5.0]
    assert predictions.for_site(["7", "entailment"]) == ["7", "entailment"]
