"""The classes of spans against a layer on the joined vector of each span, in float64; initial probabilities."""

import math

import keras
import numpy as np
import pytest

from spanbert_keras.layers.span_classification_head import SpanClassificationHead

B, T, N, W, D, F, C = 2, 7, 5, 3, 4, 6, 4


@pytest.fixture(scope="module")
def layer(randomize):
    layer = SpanClassificationHead(C, W, hidden_dim=F, dropout=0.5)
    layer.build((B, T, D))
    randomize(layer, scale=0.5)
    return layer


def inputs():
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, T, (B, N)), axis=1)
    ends = np.minimum(starts + rng.integers(0, 2, (B, N)), T - 1)
    return rng.normal(size=(B, T, D)).astype("float32"), starts.astype("int32"), ends.astype("int32")


def test_every_span_gets_the_layer_of_its_joined_vector(layer):
    sequence, starts, ends = inputs()
    weights = {
        name: np.asarray(keras.ops.convert_to_numpy(weight), "float64")
        for name, weight in {
            "a": layer.start_dense.kernel,
            "bias": layer.start_dense.bias,
            "b": layer.end_dense.kernel,
            "w": layer.width_embeddings,
            "v": layer.classifier.kernel,
            "c": layer.classifier.bias,
        }.items()
    }
    found = keras.ops.convert_to_numpy(layer(sequence, starts, ends))
    assert found.shape == (B, N, W, C) and found.dtype == "float32"
    of_span = np.concatenate([weights["a"], weights["b"], np.eye(F)])  # of [x_start; x_end; w]
    for row in range(B):
        for first in range(N):
            for width in range(min(W, N - first)):
                vector = np.concatenate(
                    [sequence[row, starts[row, first]], sequence[row, ends[row, first + width]], weights["w"][width]]
                )
                hidden = vector @ of_span + weights["bias"]
                hidden = np.array([0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in hidden])
                expected = hidden @ weights["v"] + weights["c"]
                np.testing.assert_allclose(found[row, first, width], expected, atol=1e-5)


def test_a_new_layer_gives_spans_no_class_with_99_percent():
    keras.utils.set_random_seed(0)
    layer = SpanClassificationHead(C, W, hidden_dim=F)
    sequence, starts, ends = inputs()
    shares = keras.ops.convert_to_numpy(keras.ops.softmax(layer(sequence * 0, starts, ends)))
    np.testing.assert_allclose(shares, np.broadcast_to([0.99, *[0.01 / 3] * 3], shares.shape), atol=1e-4)


def test_dropout_is_applied_in_training_alone(layer):
    first, second = (keras.ops.convert_to_numpy(layer(*inputs(), training=True)) for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    same = [keras.ops.convert_to_numpy(layer(*inputs(), training=False)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
