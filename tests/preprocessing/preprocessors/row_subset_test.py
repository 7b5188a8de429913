import numpy as np
import pytest

from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.row_subset import RowSubset, split_rows


class Numbers(ExampleRows):
    """Rows that hold their own number; the target is ten times that."""

    input_keys = ("a",)
    target_keys = ("b",)

    def batch(self, rows, length, epoch=0):
        return {"a": np.repeat(rows[:, None], length, 1) + 100 * epoch, "b": 10 * rows}


def test_a_subset_reads_the_rows_that_were_chosen_with_their_weights():
    rows = Numbers([3, 1, 2, 5], [0, 0, 1, 2], [0.5, 2.0, 3.0])
    subset = RowSubset(rows, np.array([3, 0]))
    assert (len(subset), subset.lengths.tolist(), subset.examples.tolist()) == (2, [5, 3], [2, 0])
    x, y, weights = subset.packed(np.array([1, 0]), 2, epoch=1)
    assert x["a"].tolist() == [[100, 100], [103, 103]] and y["b"].tolist() == [0, 30]
    assert weights.tolist() == [0.5, 3.0]
    assert RowSubset(rows, np.array([3, 0]), np.array([7.0, 8.0])).packed(np.array([0]), 2)[2].tolist() == [7.0]
    assert RowSubset(Numbers([3, 1]), np.array([1])).weights is None


def test_all_rows_of_an_example_are_on_the_same_side():
    rows = Numbers([1] * 7, [0, 0, 1, 2, 3, 3, 3])
    assert [part.numbers.tolist() for part in split_rows(rows, 0.25)] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [part.numbers.tolist() for part in split_rows(rows, 0.7)] == [[0, 1], [2, 3, 4, 5, 6]]


@pytest.mark.parametrize("share", [0.99, 1.0])
def test_both_parts_need_examples(share):
    with pytest.raises(ValueError, match=r"leaves one part without examples.*of 2 examples"):
        split_rows(Numbers([1, 1]), share)


@pytest.mark.parametrize("share", ["0.5", b"a", None, [0.5], np.nan, object()])
def test_the_share_is_a_number(share):
    with pytest.raises(ValueError, match="`validation_split` must be a finite number. Received: validation_split="):
        split_rows(Numbers([1, 1, 1, 1]), share)
