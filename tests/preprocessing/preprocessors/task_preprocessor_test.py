"""The base of the preprocessors, by one that counts letters: settings, a model's, calls, `tf.data`, saving."""

from typing import ClassVar

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor


class LetterRows(ExampleRows):
    """One row for each text: a 1 for each of its letters; the target is their number."""

    def __init__(self, texts, y, scale, sample_weight):
        super().__init__([len(text) for text in texts], sample_weight=sample_weight)
        self.target_keys = () if y is None else ("counts",)
        self.scale = scale

    def batch(self, rows, length, epoch=0):
        mask = (np.arange(length) < self.lengths[rows][:, None]).astype(np.int32)
        counts = (self.lengths[rows] * self.scale).astype(np.int32)
        return dict.fromkeys(self.input_keys, mask) | {"counts": counts}


@keras.saving.register_keras_serializable(package="tests")
class Letters(TaskPreprocessor):
    defaults: ClassVar = {"row_length": 32, "scale": 1, "names": ()}

    def __init__(self, tokenizer=None, row_length=None, scale=None, names=None, **kwargs):
        super().__init__(tokenizer, {"row_length": row_length, "scale": scale, "names": names}, **kwargs)

    def rows(self, x, y=None, sample_weight=None):
        texts = x.tolist() if isinstance(x, np.ndarray) else list(x)
        if not all(isinstance(text, str) for text in texts):
            raise InputError(f"Texts must be str. Received: {texts!r}.")
        return LetterRows(texts, y, self.settings["scale"], sample_weight)

    def target_spec(self, x, y):
        import tensorflow as tf

        return None if y is None else {"counts": tf.TensorSpec((None,), tf.int32)}


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])


def test_a_setting_is_its_own_else_the_models_else_the_default(tokenizer):
    one = Letters(scale=3)
    assert one.settings == {"row_length": 32, "scale": 3, "names": ()} and one.tokenizer is None
    one.adopt(tokenizer, {"row_length": 16, "scale": 3})
    assert one.settings == {"row_length": 16, "scale": 3, "names": ()} and one.tokenizer is tokenizer
    one.adopt(tokenizer, {"row_length": 24, "scale": 3})  # the model's may change
    assert one.settings["row_length"] == 24 and one.own_settings == {"scale": 3}


def test_a_setting_that_is_given_must_be_the_models(tokenizer):
    with pytest.raises(
        ValueError, match=r"`Letters` and its model must agree. Expected: scale=2, .* Received: scale=3 "
    ):
        Letters(scale=3).adopt(tokenizer, {"scale": 2})
    one = Letters(names=["a", "b"], scale=0)
    one.adopt(tokenizer, {"names": ("a", "b")})  # a list in a config is a tuple in a model
    with pytest.raises(ValueError, match=r"Expected: names=\('b', 'a'\)"):
        one.adopt(tokenizer, {"names": ("b", "a")})
    with pytest.raises(ValueError, match="Expected: scale=1, as in the model. Received: scale=0"):
        one.adopt(tokenizer, {"scale": 1})  # a false value is given too


def test_a_models_tokenizer_replaces_its_own(tokenizer):
    one = Letters(SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    one.adopt(tokenizer, {})
    assert one.tokenizer is tokenizer


def test_a_call_returns_as_much_as_was_given():
    one = Letters()
    x = one(["a", "aaa"])
    assert set(x) == set(ExampleRows.input_keys)
    assert x["token_ids"].tolist() == [[1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0, 0, 0]]
    x, y = one(["a", "aaa"], [0, 0])
    assert set(x) == set(ExampleRows.input_keys) and y["counts"].tolist() == [1, 3]
    x, y, weight = one(["a", "aaa"], [0, 0], [0.5, 1])
    assert y["counts"].tolist() == [1, 3] and weight.tolist() == [0.5, 1.0] and weight.dtype == np.float32
    x, y, weight = one(["a", "aaa"], sample_weight=[0.5, 1])
    assert y is None and weight.tolist() == [0.5, 1.0]


def test_a_row_has_one_of_four_lengths():
    one = Letters()
    for longest, length in ((1, 8), (8, 8), (9, 16), (17, 24), (25, 32), (32, 32)):
        assert one.row_length_for(one.rows(["a" * longest, "a"])) == length
    assert one.row_length_for(one.rows([])) == 8
    assert Letters(row_length=10).row_length_for(one.rows(["a" * 9])) == 10


@pytest.mark.parametrize("y", [None, [7, 7, 7]])
@pytest.mark.parametrize("weight", [None, [0.5, 1.0, 2.0]])
def test_a_pipeline_gives_what_calls_give_batch_by_batch(y, weight):
    tf = pytest.importorskip("tensorflow")
    texts, one = ["a", "aé😀", "a" * 30], Letters(scale=2)
    given = {name: part for name, part in (("x", texts), ("y", y), ("sample_weight", weight)) if part is not None}
    dataset = tf.data.Dataset.from_tensor_slices(given).batch(2).map(lambda parts: one(**parts))
    batches = list(dataset)
    assert len(batches) == 2
    for batch, part in zip(batches, (slice(0, 2), slice(2, 3)), strict=True):
        expected = one(**{name: values[part] for name, values in given.items()})
        tf.nest.assert_same_structure(batch, expected)
        for found, wanted in zip(tf.nest.flatten(batch), tf.nest.flatten(expected), strict=True):
            assert (found is None) == (wanted is None)
            if wanted is not None:
                np.testing.assert_array_equal(found.numpy(), wanted)
                assert found.numpy().dtype == wanted.dtype
    specs = dataset.element_spec if isinstance(dataset.element_spec, dict) else dataset.element_spec[0]
    assert {tuple(spec.shape) for spec in specs.values()} == {(None, None)}


def test_texts_in_a_pipeline_are_str_and_errors_keep_their_sentence():
    tf = pytest.importorskip("tensorflow")
    one = Letters()
    letters = tf.data.Dataset.from_tensor_slices(["é😀"]).batch(1).map(one)
    assert next(iter(letters))["padding_mask"].numpy().sum() == 2  # letters, not bytes
    numbers = tf.data.Dataset.from_tensor_slices([5]).batch(1).map(one)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"Texts must be str. Received: \[5\]."):
        next(iter(numbers))


def test_a_config_has_what_was_given_and_what_the_model_gave(tokenizer):
    one = Letters(tokenizer, scale=3, names=["a"])
    assert set(one.get_config()) & set(one.defaults) == {"scale", "names"}
    one.adopt(tokenizer, {"row_length": 16})
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert other.own_settings == {"scale": 3, "names": ["a"], "row_length": 16}
    assert isinstance(other.tokenizer, SpanBertTokenizer)
    assert Letters.from_config(Letters(name="x").get_config()).name == "x"


def test_a_base_has_no_rows():
    with pytest.raises(NotImplementedError):
        TaskPreprocessor().rows([])
