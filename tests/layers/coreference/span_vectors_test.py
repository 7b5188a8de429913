"""Vectors of spans against loops over their pieces. B 2, T 9, S 6, W 4, D 5, F 3."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.coreference.span_vectors import SpanVectors, gather_spans

B, T, S, W, D, F = 2, 9, 6, 4, 5, 3


@pytest.fixture
def layer(randomize):
    layer = SpanVectors(W, F, 0.5)
    layer.build((None, None, W, D))
    return layer, randomize(layer, scale=1.0)


@pytest.fixture
def spans(rng):
    """A sequence (B, T, D), and spans of every width, the last of which end with the text."""
    widths = np.array([[0, 1, 2, 3, 0, 3], [3, 2, 1, 0, 1, 2]])
    starts = rng.integers(0, T - widths)
    starts[:, -2:] = T - 1 - widths[:, -2:]
    return rng.normal(size=(B, T, D)), starts.astype("int32"), widths.astype("int32")


def slow(sequence, starts, widths, weights):
    """[x_start; x_end; width; sum_t a_t x_t], a = softmax over the span of w x_t + b, span by span."""
    found = np.zeros((*starts.shape, 3 * D + F))
    for b, i in np.ndindex(*starts.shape):
        pieces = sequence[b, starts[b, i] : starts[b, i] + widths[b, i] + 1]
        scores = (pieces @ weights["head_score/kernel"] + weights["head_score/bias"])[:, 0]
        shares = np.exp(scores - scores.max())
        head = (shares / shares.sum()) @ pieces
        found[b, i] = np.concatenate([pieces[0], pieces[-1], weights["width_embeddings"][widths[b, i]], head])
    return found


def vectors_of(layer, sequence, starts, widths, **kwargs):
    return layer(gather_spans(sequence.astype("float32"), starts, W), widths, **kwargs)


def test_a_vector_is_first_last_width_and_attended_piece(layer, spans, to_numpy):
    layer, weights = layer
    found = vectors_of(layer, *spans)
    assert tuple(found.shape) == (B, S, 3 * D + F) and keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(found), slow(*spans, weights), atol=2e-6)


@pytest.mark.parametrize("scale", [80.0, 1e4])
def test_extreme_attention_stays_finite_and_right(layer, spans, to_numpy, scale):
    layer, weights = layer
    kernel = (scale * np.sign(weights["head_score/kernel"])).astype("float32")
    layer.head_score.kernel.assign(kernel)
    weights["head_score/kernel"] = kernel.astype("float64")
    sequence = np.sign(spans[0])  # scores are exact
    found = to_numpy(vectors_of(layer, sequence, *spans[1:]))
    np.testing.assert_allclose(found, slow(sequence, *spans[1:], weights), atol=2e-6)


def test_pieces_after_a_span_change_nothing(layer, spans, to_numpy, rng):
    layer, _ = layer
    sequence, starts, widths = spans
    pieces = to_numpy(gather_spans(sequence.astype("float32"), starts, W)).astype("float32")
    after = np.arange(W) > widths[..., None]
    changed = np.where(after[..., None], 100 * rng.normal(size=pieces.shape), pieces).astype("float32")
    assert after.any() and (changed != pieces).any()
    np.testing.assert_array_equal(to_numpy(layer(changed, widths)), to_numpy(layer(pieces, widths)))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_gathered_are_the_pieces_from_each_start_and_the_last_one_past_the_end(spans, to_numpy, dtype):
    sequence = keras.ops.cast(spans[0].astype("float32"), dtype)
    found = gather_spans(sequence, spans[1], W)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    exact = to_numpy(sequence)
    expected = [[[exact[b, min(s + w, T - 1)] for w in range(W)] for s in row] for b, row in enumerate(spans[1])]
    np.testing.assert_array_equal(to_numpy(found), expected)


def test_dropout_is_of_the_width_alone_and_in_training_only(layer, spans, to_numpy):
    layer, weights = layer
    exact = slow(*spans, weights)
    for training in (None, False):
        np.testing.assert_allclose(to_numpy(vectors_of(layer, *spans, training=training)), exact, atol=2e-6)
    found = np.stack([to_numpy(vectors_of(layer, *spans, training=True)) for _ in range(8)])
    width = slice(2 * D, 2 * D + F)
    others = np.r_[0 : 2 * D, 2 * D + F : 3 * D + F]
    np.testing.assert_allclose(
        found[..., others], np.broadcast_to(exact[..., others], found[..., others].shape), atol=2e-6
    )
    kept = np.isclose(found[..., width], 2 * exact[..., width], atol=2e-6)
    assert (kept | (found[..., width] == 0)).all() and 0.35 < kept.mean() < 0.65


def test_parameters_and_defaults_are_the_released_codes():
    layer = SpanVectors()
    layer.build((None, None, 30, 768))
    assert tuple(layer.width_embeddings.shape) == (30, 20) and layer.dropout == 0.3
    assert layer.count_params() == 30 * 20 + 768 + 1
    assert layer.compute_output_shape((2, 5, 30, 768)) == (2, 5, 2324)


def test_symbolic_shapes_are_those_of_a_call(layer):
    found = layer[0](keras.KerasTensor((None, S, W, D)), keras.KerasTensor((None, S), dtype="int32"))
    assert (found.shape, found.dtype) == ((None, S, 3 * D + F), "float32")


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(SpanVectors(7, 6, 0.25, name="mine"))
    assert (layer.max_span_width, layer.feature_dim, layer.width_dropout.rate, layer.name) == (7, 6, 0.25, "mine")
