import keras

from spanbert_keras.preprocessing.preprocessors.prepared_dataset import PreparedDataset


class Letters(keras.utils.PyDataset):
    num_batches = 2
    begun = ended = 0

    def __getitem__(self, number):
        return "ab"[number]

    def on_epoch_begin(self):
        self.begun += 1

    def on_epoch_end(self):
        self.ended += 1


def test_a_prepared_dataset_prepares_each_batch_of_the_other():
    letters = Letters(workers=1)
    prepared = PreparedDataset(letters, str.upper)
    prepared.on_epoch_begin()
    prepared.on_epoch_end()
    assert ([prepared[0], prepared[1]], prepared.num_batches, letters.begun, letters.ended) == (["A", "B"], 2, 1, 1)
