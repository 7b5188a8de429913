"""The head of a text's class against NumPy. B 4, T 6, D 5, C 3."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.layers.classification_head import ClassificationHead

B, T, D, C = 4, 6, 5, 3


def slow(sequence, weights, pooler):
    x = sequence[:, 0]
    if pooler:
        x = np.tanh(x @ weights["pooler_dense/kernel"] + weights["pooler_dense/bias"])
    return x @ weights["classifier/kernel"] + weights["classifier/bias"]


@pytest.mark.parametrize("pooler", [False, True])
def test_it_is_linear_on_cls_after_a_tanh_with_a_pooler(randomize, to_numpy, rng, policy, pooler):
    name, tolerance = policy
    layer = ClassificationHead(C, pooler, dtype=name)
    layer.build((None, None, D))
    weights, sequence = randomize(layer), rng.normal(size=(B, T, D))
    found = layer(sequence.astype("float32"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(found), slow(sequence, weights, pooler), atol=tolerance)
    assert len(weights) == (4 if pooler else 2)
    sequence[:, 1:] = 7.0  # what follows [CLS] does not matter
    np.testing.assert_allclose(to_numpy(layer(sequence.astype("float32"))), to_numpy(found), atol=1e-6)


def test_dropout_is_before_the_linear_layer_and_in_training_only(randomize, to_numpy):
    layer = ClassificationHead(C, dropout=0.5)
    layer.build((None, None, D))
    weights = randomize(layer)
    sequence = np.ones((200, 1, D), "float32")
    exact = slow(sequence.astype("float64"), weights, False)
    for training in (None, False):
        np.testing.assert_allclose(to_numpy(layer(sequence, training=training)), exact, atol=1e-5)
    found = to_numpy(layer(sequence, training=True)) - weights["classifier/bias"]
    masks = np.linalg.lstsq(weights["classifier/kernel"].T, found.T, rcond=None)[0]  # D > C: a least-squares guess only
    assert masks.shape == (D, 200) and np.abs(found).std(0).min() > 0.05
    choices = np.array(np.meshgrid(*[[0.0, 2.0]] * D)).reshape(D, -1).T @ weights["classifier/kernel"]
    assert np.abs(found[:, None] - choices[None]).max(-1).min(-1).max() < 1e-4  # every input kept, doubled, or dropped


def test_it_begins_small_and_has_berts_initializer():
    layer = ClassificationHead(40, pooler=True)
    layer.build((None, None, 64))
    for dense in (layer.pooler_dense, layer.classifier):
        assert ops.convert_to_numpy(dense.kernel).std() == pytest.approx(0.02, rel=0.1)
        assert not ops.convert_to_numpy(dense.bias).any()


def test_symbolic_shapes_and_its_configuration(rebuild):
    layer = ClassificationHead(C, True, 0.25, name="mine")
    found = layer(keras.KerasTensor((None, None, D), dtype="float32"))
    assert (found.shape, found.dtype) == ((None, C), "float32")
    again = rebuild(layer)
    assert (again.num_outputs, again.pooler, again.dropout, again.name) == (C, True, 0.25, "mine")
    assert ClassificationHead(2).dropout == 0.1 and ClassificationHead(2).pooler is False
