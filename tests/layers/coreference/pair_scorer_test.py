"""Scores of pairs against the naive vector of each pair. B 2, Q 5, K 7, A 3, G 6, F 4, H 9."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.coreference.pair_scorer import PairScorer, gather_antecedents

B, Q, K, A, G, F, H = 2, 5, 7, 3, 6, 4, 9
GENRES, SEGMENTS = 5, 4
# First distance of each bucket of the released code; the last one is open.
BUCKETS = (0, 1, 2, 3, 4, 5, 8, 16, 32, 64)


@pytest.fixture
def layer(randomize):
    layer = PairScorer(GENRES, SEGMENTS, F, H, 0.5)
    layer.build((None, None, G))
    return layer, randomize(layer, scale=0.5)


@pytest.fixture
def pairs(rng):
    return {
        "queries": rng.normal(size=(B, Q, G)),
        "spans": rng.normal(size=(B, K, G)),
        "antecedents": rng.integers(0, K, (B, Q, A)).astype("int32"),
        "same_speaker": rng.integers(0, 2, (B, Q, A)).astype("int32"),
        "genres": rng.integers(0, GENRES, (B, Q)).astype("int32"),
        "distances": rng.choice([0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64, 500], (B, Q, A)).astype("int32"),
        "segment_distances": rng.integers(0, SEGMENTS + 3, (B, Q, A)).astype("int32"),
    }


def slow(pairs, weights):
    """FFNN([i; j; i * j; same speaker; genre; distance; segment distance]), one pair after the other."""
    found = np.zeros((B, Q, A))
    for b, i, a in np.ndindex(B, Q, A):
        mine, other = pairs["queries"][b, i], pairs["spans"][b, pairs["antecedents"][b, i, a]]
        features = [
            weights["speaker_embeddings"][pairs["same_speaker"][b, i, a]],
            weights["genre_embeddings"][pairs["genres"][b, i]],
            weights["distance_embeddings"][sum(pairs["distances"][b, i, a] >= first for first in BUCKETS) - 1],
            weights["segment_embeddings"][min(pairs["segment_distances"][b, i, a], SEGMENTS - 1)],
        ]
        x = np.concatenate([mine, other, mine * other, *features])
        hidden = np.maximum(x @ weights["score/hidden/kernel"] + weights["score/hidden/bias"], 0.0)
        found[b, i, a] = (hidden @ weights["score/out/kernel"] + weights["score/out/bias"])[0]
    return found


def call(layer, pairs, **kwargs):
    single = {k: v.astype("float32") if v.dtype == "float64" else v for k, v in pairs.items()}
    return layer(**single, **kwargs)


def test_it_is_the_naive_score_of_the_concatenation(layer, pairs, to_numpy):
    layer, weights = layer
    found = call(layer, pairs)
    assert tuple(found.shape) == (B, Q, A) and keras.backend.standardize_dtype(found.dtype) == "float32"
    np.testing.assert_allclose(to_numpy(found), slow(pairs, weights), atol=1e-5)


def test_every_weight_counts(layer, pairs, to_numpy):
    layer, weights = layer
    before = to_numpy(call(layer, pairs))
    for weight in layer.weights:
        name = weight.path.removeprefix(f"{layer.path}/")
        weight.assign(0 * weights[name].astype("float32"))
        found = to_numpy(call(layer, pairs))
        np.testing.assert_allclose(found, slow(pairs, weights | {name: 0 * weights[name]}), atol=1e-5)
        assert np.abs(found - before).max() > 0.05
        weight.assign(weights[name].astype("float32"))


@pytest.mark.parametrize("distance", [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64, 3900])
def test_every_distance_uses_the_row_of_its_bucket(layer, pairs, to_numpy, distance):
    layer, weights = layer
    pairs["distances"] = np.full((B, Q, A), distance, "int32")
    np.testing.assert_allclose(to_numpy(call(layer, pairs)), slow(pairs, weights), atol=1e-5)


def test_segments_further_apart_than_the_table_use_its_last_row(layer, pairs, to_numpy):
    found = [
        to_numpy(call(layer[0], pairs | {"segment_distances": np.full((B, Q, A), distance, "int32")}))
        for distance in range(SEGMENTS + 3)
    ]
    for distance in range(SEGMENTS, SEGMENTS + 3):
        np.testing.assert_array_equal(found[distance], found[SEGMENTS - 1])
    assert all(np.abs(found[d] - found[d - 1]).max() > 0.01 for d in range(1, SEGMENTS))


@pytest.mark.parametrize("active", ["features", "hidden"])
def test_dropout_is_of_the_features_and_of_the_hidden_layer_in_training_only(layer, pairs, to_numpy, active):
    layer, weights = layer
    (layer.score.hidden_dropout if active == "features" else layer.feature_dropout).rate = 0.0
    exact = slow(pairs, weights)
    for training in (None, False):
        np.testing.assert_allclose(to_numpy(call(layer, pairs, training=training)), exact, atol=1e-5)
    moved = np.abs(to_numpy(call(layer, pairs, training=True)) - exact)
    assert (moved > 0.01).mean() > 0.5
    without = weights | {name: 0 * value for name, value in weights.items() if name.endswith("_embeddings")}
    for weight in layer.weights:
        if weight.path.endswith("_embeddings"):
            weight.assign(0 * weights[weight.path.removeprefix(f"{layer.path}/")].astype("float32"))
    moved = np.abs(to_numpy(call(layer, pairs, training=True)) - slow(pairs, without))
    assert (moved.max() < 1e-5) == (active == "features")  # only the features were touched


def test_gathered_are_the_spans_of_the_antecedents(pairs, to_numpy):
    spans = pairs["spans"].astype("float32")
    expected = [[[spans[b, j] for j in row] for row in rows] for b, rows in enumerate(pairs["antecedents"])]
    for dtype in ("int32", "int64"):
        found = gather_antecedents(spans, pairs["antecedents"].astype(dtype))
        np.testing.assert_array_equal(to_numpy(found), expected)


def test_parameters_and_defaults_are_the_released_codes():
    layer = PairScorer()
    layer.build((None, None, 2324))
    tables = [tuple(getattr(layer, f"{name}_embeddings").shape) for name in ("speaker", "genre", "distance", "segment")]
    assert tables == [(2, 20), (7, 20), (10, 20), (3, 20)] and layer.dropout == 0.3
    assert tuple(layer.score.hidden.kernel.shape) == (7052, 3000)
    assert layer.count_params() == 22 * 20 + 7052 * 3000 + 3000 + 3000 + 1


def test_it_builds_itself_when_called(pairs):
    layer = PairScorer(GENRES, SEGMENTS, F, H)
    assert tuple(call(layer, pairs).shape) == (B, Q, A)
    assert tuple(layer.score.hidden.kernel.shape) == (3 * G + 4 * F, H)


def test_symbolic_shapes_are_those_of_a_call(layer, pairs):
    symbolic = {
        k: keras.KerasTensor((None, *v.shape[1:]), dtype="float32" if v.dtype == "float64" else "int32")
        for k, v in pairs.items()
    }
    found = layer[0](**symbolic)
    assert (found.shape, found.dtype) == ((None, Q, A), "float32")


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(PairScorer(8, 2, 5, 6, 0.25, name="mine"))
    assert (layer.num_genres, layer.max_segment_distance, layer.feature_dim, layer.hidden_dim) == (8, 2, 5, 6)
    assert (layer.feature_dropout.rate, layer.score.hidden_dropout.rate, layer.name) == (0.25, 0.25, "mine")
