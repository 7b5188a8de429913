"""Datasets of raw examples for `fit`, `evaluate` and `predict`."""

from collections.abc import Callable

import keras


class PreparedDataset(keras.utils.PyDataset):
    """Another dataset whose batches of raw examples are made into batches of arrays.

    Args:
        dataset: `PyDataset`.
        prepare: function of one of its batches.
    """

    def __init__(self, dataset: keras.utils.PyDataset, prepare: Callable):
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self.dataset = dataset
        self.prepare = prepare

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def __getitem__(self, number: int):
        return self.prepare(self.dataset[number])

    def on_epoch_begin(self) -> None:
        self.dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.dataset.on_epoch_end()
