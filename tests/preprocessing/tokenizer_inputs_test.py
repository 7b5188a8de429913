"""Inputs of a tokenizer as plain lists: strings, bytes, arrays, tensors; one or a batch."""

import keras
import numpy as np
import pytest

from spanbert_keras.preprocessing.tokenizer_inputs import as_rows, as_texts, is_symbolic


@pytest.mark.parametrize("one", ["ä", "ä".encode(), np.array("ä"), np.str_("ä")])
def test_one_text_is_a_batch_of_one_and_marked(one):
    assert as_texts(one) == (["ä"], False)


@pytest.mark.parametrize("many", [["a", "b"], ("a", "b"), [b"a", "b"], np.array(["a", "b"])])
def test_several_texts_are_a_batch(many):
    assert as_texts(many) == (["a", "b"], True)


@pytest.mark.parametrize(("value", "received"), [(3, "int"), (["a", None], "NoneType")])
def test_values_other_than_text_are_rejected(value, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        as_texts(value)


@pytest.mark.parametrize("make", [list, tuple, np.array, keras.ops.convert_to_tensor])
def test_ids_are_lists_of_int(make):
    rows, batched = as_rows(make([5, 6]))
    assert rows == [[5, 6]] and not batched and {type(index) for index in rows[0]} == {int}
    assert as_rows(make([[5, 6], [7, 8]])) == ([[5, 6], [7, 8]], True)


def test_rows_of_different_lengths_are_a_batch():
    assert as_rows([[5], [6, 7]]) == ([[5], [6, 7]], True)


@pytest.mark.parametrize("value", [3, "ab", ["a", "b"]])
def test_values_other_than_ids_are_rejected(value):
    with pytest.raises(ValueError, match="Ids must be a list of int or a batch of lists"):
        as_rows(value)


def test_plain_values_are_not_symbolic():
    assert not any(map(is_symbolic, ["a", ["a"], np.array(["a"]), keras.ops.convert_to_tensor([1])]))
