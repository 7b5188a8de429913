import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows


class Numbers(ExampleRows):
    """Rows of ones, as many as their length; the target is the row's number."""

    input_keys = ("a",)

    def __init__(self, with_targets=True, **arguments):
        super().__init__([2, 1, 3], examples=[0, 0, 1], **arguments)
        self.target_keys = ("b",) if with_targets else ()

    def batch(self, rows, length, epoch=0):
        a = (np.arange(length) < self.lengths[rows][:, None]).astype(int)
        return {"a": a, "b": rows + 10 * epoch, "c": rows}


def test_a_batch_is_packed_with_what_was_given():
    rows = np.array([2, 0])
    x = Numbers(with_targets=False).packed(rows, 3)
    assert list(x) == ["a"] and x["a"].tolist() == [[1, 1, 1], [1, 1, 0]]
    x, y = Numbers().packed(rows, 4, epoch=2)
    assert list(x) == ["a"] and x["a"].shape == (2, 4)
    assert list(y) == ["b"] and y["b"].tolist() == [22, 20]
    _, y, weight = Numbers(with_targets=False, sample_weight=[0.5, 2]).packed(rows, 3)
    assert y is None and weight.tolist() == [2.0, 0.5] and weight.dtype == np.float32


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], 1.0])
def test_there_must_be_a_weight_for_each_example(weights):
    with pytest.raises(InputError, match=r"one number for each example. Expected: shape \(2,\)"):
        Numbers(sample_weight=weights)


def test_the_last_examples_may_have_no_rows():
    rows = ExampleRows([2, 1], examples=[0, 2], sample_weight=[1.0, 2.0, 3.0, 4.0], num_examples=4)
    assert rows.weights.tolist() == [1.0, 3.0]
    with pytest.raises(InputError, match=r"Expected: shape \(4,\)"):
        ExampleRows([2, 1], examples=[0, 2], sample_weight=[1.0, 2.0, 3.0], num_examples=4)


def test_weights_may_be_a_column():
    assert Numbers(sample_weight=[[1.0], [3.0]]).weights.tolist() == [1.0, 1.0, 3.0]


def test_rows_are_those_of_their_examples():
    rows = Numbers()
    assert len(rows) == 3 and rows.examples.tolist() == [0, 0, 1] and rows.lengths.dtype == np.int64
    assert ExampleRows([4, 4]).examples.tolist() == [0, 1]


@pytest.mark.parametrize("weights", ["a", object(), [10**400, 1], [[1], [1, 2]], {"a": 1}])
def test_weights_are_numbers(weights):
    with pytest.raises(InputError, match="`sample_weight` must be numbers. Received: "):
        Numbers(sample_weight=weights)
