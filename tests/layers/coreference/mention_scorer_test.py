"""Mention scores against NumPy, and the scores of all spans against those of their vectors. B 2, T 11, W 4, D 5."""

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras.layers.coreference.mention_scorer import MentionScorer
from spanbert_keras.layers.coreference.span_vectors import SpanVectors, gather_spans

B, T, W, D, F, H = 2, 11, 4, 5, 3, 13


@pytest.fixture
def layers(randomize):
    """`SpanVectors` and `MentionScorer` full of noise, and the weights of both."""
    vectors, scorer = SpanVectors(W, F, 0.5), MentionScorer(W, F, H, 0.5)
    vectors.build((None, None, W, D))
    scorer.build((None, None, 3 * D + F))
    return vectors, scorer, randomize(vectors, 1), randomize(scorer, 2)


def feed_forward(x, weights, name):
    hidden = np.maximum(x @ weights[f"{name}/hidden/kernel"] + weights[f"{name}/hidden/bias"], 0.0)
    return (hidden @ weights[f"{name}/out/kernel"] + weights[f"{name}/out/bias"])[..., 0]


def slow(vectors, widths, weights):
    """FFNN(g) + FFNN'(width), with a table of widths of its own."""
    prior = feed_forward(weights["width_embeddings"], weights, "width_score")
    return feed_forward(vectors, weights, "span_score") + prior[widths]


def slow_grid(sequence, of_vectors, of_scorer):
    """All spans that fit, one after the other, vector and all; 0 for the others."""
    grid = np.zeros((*sequence.shape[:2], W))
    for b, s, w in np.ndindex(*grid.shape):
        pieces = sequence[b, s : s + w + 1]
        if len(pieces) == w + 1:
            scores = (pieces @ of_vectors["head_score/kernel"] + of_vectors["head_score/bias"])[:, 0]
            shares = np.exp(scores - scores.max())
            head = shares / shares.sum() @ pieces
            vector = np.concatenate([pieces[0], pieces[-1], of_vectors["width_embeddings"][w], head])
            grid[b, s, w] = slow(vector, w, of_scorer)
    return grid


def fits(tokens):
    return np.arange(tokens)[:, None] + np.arange(W) < tokens


def test_a_score_is_of_the_vector_and_of_the_width(layers, to_numpy, rng):
    _, scorer, _, weights = layers
    vectors, widths = rng.normal(size=(B, 7, 3 * D + F)), rng.integers(0, W, (B, 7)).astype("int32")
    found = scorer(vectors.astype("float32"), widths)
    assert tuple(found.shape) == (B, 7)
    np.testing.assert_allclose(to_numpy(found), slow(vectors, widths, weights), atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, T])
def test_the_grid_is_what_a_call_returns_for_every_span(layers, to_numpy, rng, tokens):
    vectors, scorer, of_vectors, of_scorer = layers
    sequence = rng.normal(size=(B, tokens, D))
    grid = to_numpy(scorer.grid(ops.convert_to_tensor(sequence.astype("float32")), vectors))
    assert grid.shape == (B, tokens, W)
    starts, widths = (np.tile(x, (B, 1)).astype("int32") for x in np.nonzero(fits(tokens)))
    g = vectors(gather_spans(sequence.astype("float32"), starts, W), widths)
    np.testing.assert_allclose(grid[:, starts[0], widths[0]], to_numpy(scorer(g, widths)), atol=1e-5)
    expected = slow_grid(sequence, of_vectors, of_scorer)
    np.testing.assert_allclose(grid[:, fits(tokens)], expected[:, fits(tokens)], atol=1e-5)
    assert np.isfinite(grid).all()


@pytest.mark.parametrize("kind", ["rising", "falling", "mixed", "far"])
def test_extreme_attention_stays_finite_and_right(layers, to_numpy, rng, kind):
    """Scores of the pieces up to +-80 (`far`: +-1,000), of which the exponential alone would not do."""
    vectors, scorer, of_vectors, of_scorer = layers
    sequence = rng.normal(size=(B, T, D))
    steps = np.linspace(-80, 80, T)
    sequence[:, :, 0] = {
        "rising": steps,
        "falling": -steps,
        "mixed": rng.choice([-80, 80], (B, T)),
        "far": 12.5 * steps,
    }[kind]
    sequence = np.round(16 * sequence) / 16
    kernel = np.eye(D, 1)
    vectors.head_score.kernel.assign(kernel.astype("float32"))
    scorer.span_score.hidden.kernel.assign(of_scorer["span_score/hidden/kernel"].astype("float32") * 0.1)
    of_scorer["span_score/hidden/kernel"] = to_numpy(scorer.span_score.hidden.kernel)
    grid = to_numpy(scorer.grid(ops.convert_to_tensor(sequence.astype("float32")), vectors))
    expected = slow_grid(sequence, of_vectors | {"head_score/kernel": kernel}, of_scorer)
    assert np.isfinite(grid).all()
    np.testing.assert_allclose(grid[:, fits(T)], expected[:, fits(T)], atol=3e-6 * np.abs(sequence).max() + 1e-5)


def test_the_grid_takes_half_precision_and_gives_float32(layers, to_numpy, rng):
    vectors, scorer, *weights = layers
    sequence = ops.cast(rng.normal(size=(B, T, D)).astype("float32"), "bfloat16")
    grid = scorer.grid(sequence, vectors)
    assert keras.backend.standardize_dtype(grid.dtype) == "float32"
    expected = slow_grid(to_numpy(sequence), *weights)
    np.testing.assert_allclose(to_numpy(grid)[:, fits(T)], expected[:, fits(T)], atol=1e-5)


class Grid(keras.Model):
    """The grid from inside another layer, as the resolver asks for it."""

    def __init__(self, vectors, scorer, dtype="float32"):
        super().__init__(dtype=dtype)
        self.vectors, self.scorer = vectors, scorer

    def call(self, sequence, training=None):
        return self.scorer.grid(sequence, self.vectors)


def test_the_grid_has_no_dropout_in_training_either(layers, to_numpy, rng):
    """Inside a model that trains, layers inherit `training` unless told otherwise."""
    model, sequence = Grid(*layers[:2]), rng.normal(size=(B, T, D)).astype("float32")
    exact = to_numpy(model(sequence, training=False))
    np.testing.assert_allclose(to_numpy(model(sequence, training=True)), exact, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_inside_a_model_of_half_precision_the_grids_weights_stay_whole(layers, to_numpy, rng, policy):
    """A model casts the weights that are read in its call, unless a layer of another policy is called."""
    sequence = ops.cast(rng.normal(size=(B, T, D)).astype("float32"), policy.removeprefix("mixed_"))
    grid = Grid(*layers[:2], dtype=policy)(sequence)
    assert keras.backend.standardize_dtype(grid.dtype) == "float32"
    np.testing.assert_array_equal(to_numpy(grid), to_numpy(layers[1].grid(sequence, layers[0])))


@pytest.mark.parametrize("active", ["span_score", "width_score"])
def test_both_scores_have_dropout_in_training_only(layers, to_numpy, rng, active):
    _, scorer, _, weights = layers
    vectors, widths = rng.normal(size=(B, 9, 3 * D + F)), np.tile(np.arange(9) % W, (B, 1)).astype("int32")
    for name in {"span_score", "width_score"} - {active}:
        getattr(scorer, name).hidden_dropout.rate = 0.0
    exact = slow(vectors, widths, weights)
    for training in (None, False):
        found = to_numpy(scorer(vectors.astype("float32"), widths, training=training))
        np.testing.assert_allclose(found, exact, atol=1e-5)
    moved = to_numpy(scorer(vectors.astype("float32"), widths, training=True)) - exact
    assert np.abs(moved).max() > 0.01
    # The prior is drawn once per call: spans of one width share it.
    same = np.allclose(moved[:, :W], moved[:, W : 2 * W], atol=1e-5) and np.allclose(moved[0], moved[1], atol=1e-5)
    assert same == (active == "width_score")


def test_parameters_and_defaults_are_the_released_codes():
    scorer = MentionScorer()
    scorer.build((None, None, 2324))
    expected = (2324 * 3000 + 3000 + 3000 + 1) + 30 * 20 + (20 * 3000 + 3000 + 3000 + 1)
    assert scorer.count_params() == expected and scorer.dropout == 0.3


def test_symbolic_shapes_are_those_of_a_call(layers):
    found = layers[1](keras.KerasTensor((None, 6, 3 * D + F)), keras.KerasTensor((None, 6), dtype="int32"))
    assert (found.shape, found.dtype) == ((None, 6), "float32")


def test_it_is_made_again_from_its_configuration(rebuild):
    scorer = rebuild(MentionScorer(7, 6, 5, 0.25, name="mine"))
    assert (scorer.max_span_width, scorer.feature_dim, scorer.hidden_dim, scorer.name) == (7, 6, 5, "mine")
    assert scorer.span_score.hidden_dropout.rate == scorer.width_score.hidden_dropout.rate == 0.25
