"""Batches for `fit`, `evaluate` and `predict`: every row once in each epoch, few shapes, in the backend's form."""

import keras
import numpy as np
import pytest

from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.row_batches import RowBatches

LENGTHS = np.random.default_rng(3).integers(1, 100, 45)


class Numbers(ExampleRows):
    """Row n holds its number at each of its tokens; the target is (number, epoch)."""

    input_keys = ("token_ids",)
    target_keys = ("target",)

    def __init__(self, lengths=LENGTHS, **arguments):
        super().__init__(lengths, **arguments)

    def batch(self, rows, length, epoch=0):
        assert length >= self.lengths[rows].max()
        tokens = np.where(np.arange(length) < self.lengths[rows][:, None], rows[:, None] + 1, 0)
        return {"token_ids": tokens.astype("int32"), "target": np.stack([rows, rows * 0 + epoch], 1).astype("int32")}


def epoch_of(batches, number=0):
    """Returns (rows, shapes) of the next epoch as the backend reads it."""
    found = batches.for_backend()
    if found is batches:
        batches.on_epoch_begin()
        read = [batches[place] for place in range(len(batches))]
        batches.on_epoch_end()
    else:
        read = list(found.as_numpy_iterator())
    assert all((y["target"][:, 1] == number).all() for _, y in read)
    return [y["target"][:, 0].tolist() for _, y in read], [x["token_ids"].shape for x, _ in read]


def test_every_row_is_read_once_in_each_epoch_in_another_order():
    batches = RowBatches(Numbers(), batch_size=8, seed=(1, 2))
    assert len(batches) == 6
    first, shapes = epoch_of(batches)
    second, _ = epoch_of(batches, 1)
    for order in (first, second):
        assert sorted(sum(order, [])) == list(range(45)) and sorted(map(len, order)) == [5, 8, 8, 8, 8, 8]
    assert first != second
    assert len({length for _, length in shapes}) <= 4
    assert epoch_of(RowBatches(Numbers(), batch_size=8, seed=(1, 2)))[0] == first
    assert epoch_of(RowBatches(Numbers(), batch_size=8, seed=(1, 3)))[0] != first


def test_without_a_seed_the_order_is_the_same_in_every_epoch():
    batches = RowBatches(Numbers(), batch_size=8)
    assert epoch_of(batches)[0] == epoch_of(batches, 1)[0]


def test_a_batch_holds_rows_of_similar_length():
    batches = RowBatches(Numbers(), batch_size=4, seed=(0, 0))
    spread = [np.ptp(LENGTHS[rows]) for rows in epoch_of(batches)[0]]
    assert np.mean(spread) < 0.6 * np.mean([np.ptp(part) for part in np.array_split(LENGTHS, 12)])


def test_rows_stay_in_order_for_predictions():
    batches = RowBatches(Numbers(), batch_size=8, length=100, in_order=True)
    order, shapes = epoch_of(batches)
    assert sum(order, []) == list(range(45)) and set(shapes) == {(8, 100), (5, 100)}


def test_one_length_is_that_of_all_rows():
    _, shapes = epoch_of(RowBatches(Numbers(), batch_size=45, length=128, seed=(0, 0)))
    assert shapes == [(45, 128)]


def test_few_rows_are_one_batch():
    batches = RowBatches(Numbers(LENGTHS[:3]), batch_size=32, seed=(0, 0))
    assert len(batches) == 1 and sorted(epoch_of(batches)[0][0]) == [0, 1, 2]


def test_a_run_may_begin_at_a_later_epoch():
    whole, later = (RowBatches(Numbers(), batch_size=8, seed=(1, 2), epoch=epoch) for epoch in (0, 1))
    epoch_of(whole)
    assert epoch_of(whole, 1)[0] == epoch_of(later, 1)[0]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends read a PyDataset")
def test_tensorflow_gets_a_dataset_whose_shapes_fit_all_batches():
    dataset = RowBatches(Numbers(), batch_size=8, seed=(1, 2)).for_backend()
    assert dataset.cardinality() == 6
    x, y = dataset.element_spec
    assert x["token_ids"].shape.as_list() == [None, None] and y["target"].shape.as_list() == [None, 2]
    x, _ = RowBatches(Numbers(), batch_size=8, length=100).for_backend().element_spec
    assert x["token_ids"].shape.as_list() == [None, 100]
