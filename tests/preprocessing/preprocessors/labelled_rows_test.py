"""Rows with labels: batches, and the forms in which labels may be given. C 3 where there are names."""

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.piece_row import PieceRow
from spanbert_keras.preprocessing.preprocessors.labelled_rows import LabelledRows, label_array

NAMES = ("a", "b", "c")


def row(*pieces, cut=False):
    return PieceRow(np.array(pieces, np.int32), np.arange(len(pieces), dtype=np.int32) % 2, cut)


ROWS = [row(5, 6, 7, cut=True), row(8), row(9, 9, cut=True)]


def test_a_batch_has_inputs_and_targets_of_its_rows():
    made = LabelledRows(ROWS, np.array([0, 1, 1], np.int32), 2)
    assert made.lengths.tolist() == [3, 1, 2] and made.cut == 2 and made.target_keys == ("label_targets",)
    batch = made.batch(np.array([2, 0]), 4, epoch=3)
    assert batch["token_ids"].tolist() == [[9, 9, 0, 0], [5, 6, 7, 0]]
    assert batch["segment_ids"].tolist() == [[0, 1, 0, 0], [0, 1, 0, 0]]
    assert batch["padding_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0]]
    assert batch["label_targets"].tolist() == [[0, 1], [1, 0]] and batch["label_targets"].dtype == np.float32
    assert set(batch) == {"token_ids", "segment_ids", "padding_mask", "label_targets"}
    again = made.batch(np.array([2, 0]), 4, epoch=8)
    assert all((again[key] == batch[key]).all() for key in batch)


def test_targets_that_are_rows_of_numbers_stay_as_they_are():
    targets = np.array([[0.25, 0.5, 0.25], [2.0, 0.0, 0.0], [-1.0, 0.5, 7.0]], np.float32)
    made = LabelledRows(ROWS, targets, 3)
    batch = made.batch(np.array([1, 2]), 4)
    np.testing.assert_array_equal(batch["label_targets"], targets[[1, 2]])
    _, y = made.packed(np.array([2]), 4)
    assert y.tolist() == [[-1.0, 0.5, 7.0]] and y.dtype == np.float32


def test_packed_rows_have_the_labels_as_they_were_given():
    _, y, weight = LabelledRows(ROWS, np.array([0, 1, 1], np.int32), 2, [1.0, 2.0, 3.0]).packed(np.array([2, 0]), 4)
    assert y.tolist() == [1, 0] and y.dtype == np.int32 and weight.tolist() == [3.0, 1.0]


def test_rows_without_labels_are_inputs_alone():
    made = LabelledRows(ROWS, None, 2)
    assert made.target_keys == () and set(made.batch(np.array([0]), 4)) == set(made.input_keys)
    assert set(made.packed(np.array([0]), 4)) == set(made.input_keys)


@pytest.mark.parametrize("count", [2, 4])
def test_there_are_as_many_labels_as_rows(count):
    with pytest.raises(InputError, match=f"as many labels as examples. Expected: 3. Received: {count}."):
        LabelledRows(ROWS, np.zeros(count, np.int32), 2)


@pytest.mark.parametrize(
    "y",
    [
        ["c", "a"],
        ("c", "a"),
        [b"c", b"a"],
        np.array(["c", "a"]),
        np.array([b"c", b"a"], object),
        [["c"], ["a"]],
        np.array([["c"], ["a"]]),
        [2, 0],
        [2.0, 0.0],
        np.array([2, 0], np.int64),
        np.array([[2.0], [0.0]], np.float32),
        [np.int32(2), np.int32(0)],
    ],
)
def test_single_labels_are_names_or_numbers(y):
    found = label_array(y, NAMES, "single_label")
    assert found.dtype == np.int32 and found.tolist() == [2, 0]


@pytest.mark.parametrize("y", [[[0.5, 0.25, 0.25], [0, 0, 1]], np.array([[0.5, 0.25, 0.25], [0, 0, 1]], np.float16)])
def test_single_labels_may_be_probabilities(y):
    found = label_array(y, NAMES, "single_label")
    assert found.dtype == np.float32 and found.tolist() == [[0.5, 0.25, 0.25], [0, 0, 1]]


@pytest.mark.parametrize(
    "y",
    [
        [["a", "c"], [], ["b"]],
        [("a", "c"), (), "b"],
        [[b"c", b"a"], [], [b"b"]],
        [np.array(["a", "c"]), [], ["b"]],
        [[1, 0, 1], [0, 0, 0], [0, 1, 0]],
        np.array([[True, False, True], [False] * 3, [False, True, False]]),
    ],
)
def test_several_labels_are_lists_of_names_or_rows_of_zeros_and_ones(y):
    found = label_array(y, NAMES, "multi_label")
    assert found.dtype == np.float32 and found.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]


def test_one_of_several_labels_may_be_a_name_without_a_list():
    assert label_array(["blue", ["red", "blue"]], ("red", "blue"), "multi_label").tolist() == [[0, 1], [1, 1]]


def test_examples_may_all_be_without_labels():
    assert label_array([[], []], NAMES, "multi_label").tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize(
    "y, names, expected",
    [
        ([0.5, -3, 7], (), [[0.5], [-3], [7]]),
        ([[0.5], [-3]], (), [[0.5], [-3]]),
        (np.array([1, 2]), (), [[1], [2]]),
        ([1.5, 2.5], ("width",), [[1.5], [2.5]]),
        ([[1, 2], [3, -4.5]], ("width", "height"), [[1, 2], [3, -4.5]]),
    ],
)
def test_a_regressions_labels_are_numbers(y, names, expected):
    found = label_array(y, names, "regression")
    assert found.dtype == np.float32 and found.tolist() == expected


@pytest.mark.parametrize(
    "y, names, problem_type, message",
    [
        (
            ["a", "d"],
            NAMES,
            "single_label",
            "The label of example 1 is unknown. Expected: one of 'a', 'b', 'c'. Received: 'd'.",
        ),
        (["a", 1], NAMES, "single_label", "The label of example 1 is unknown. .* Received: 1."),
        ([0, 3], NAMES, "single_label", "example 1 is unknown. Expected: names .*numbers from 0 to 2.* Received: 3."),
        ([-1, 0], NAMES, "single_label", "The label of example 0 is unknown. .*Received: -1."),
        ([0, 0.5], NAMES, "single_label", "The label of example 1 is unknown. .*Received: 0.5."),
        ([[0.5, 0.5]], NAMES, "single_label", r"or rows of 3 probabilities. Received: shape \(1, 2\)."),
        ([[0.5, 0.5], [1.0]], NAMES, "single_label", "rows of 3 probabilities. Received: .* and so on"),
        ([None], NAMES, "single_label", "The label of example 0 is unknown. .* Received: None."),
        ([1.0, None], (), "regression", "The labels of example 1 must be finite. Received: None."),
        ([[0.0, 1.0], [1.0, np.inf]], ("x", "y"), "regression", r"example 1 must be finite. Received: \[1.0, inf\]."),
        ([[0.5, np.nan, 0.5]], NAMES, "single_label", "The labels of example 0 must be finite."),
        ([["a"], ["d"]], NAMES, "multi_label", "The label of example 1 is unknown. .*Received: 'd'."),
        (
            [0, 1],
            NAMES,
            "multi_label",
            r"lists of the model's labels, or rows of 3 zeros and ones. Received: shape \(2,\)",
        ),
        (["a", "b"], (), "regression", "one number for each example. Received: .*'a'"),
        ([[1, 2]], (), "regression", r"one number for each example. Received: shape \(1, 2\)."),
        ([1, 2], ("x", "y"), "regression", r"a row of 2 numbers for each example. Received: shape \(2,\)."),
    ],
)
def test_labels_that_do_not_fit_are_rejected(y, names, problem_type, message):
    with pytest.raises(InputError, match=message):
        label_array(y, names, problem_type)


@pytest.mark.parametrize("y", [3, None, True, np.array(1), object(), 2.5])
def test_labels_that_are_not_a_list_are_rejected(y):
    with pytest.raises(InputError, match="Labels must be a list with one entry for each example. Received: "):
        label_array(y, NAMES, "single_label")
