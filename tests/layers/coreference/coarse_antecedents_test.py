"""The cheap choice of antecedents against NumPy, pair by pair. B 2, Q 5, K 7, G 6, A 3, F 4."""

import keras
import numpy as np
import pytest

from spanbert_keras.layers.coreference.coarse_antecedents import CoarseAntecedents, distance_buckets

B, Q, K, G, A, F = 2, 5, 7, 6, 3, 4
DROPOUTS = ("query_dropout", "span_dropout", "distance_dropout")


@pytest.fixture
def layer(randomize):
    layer = CoarseAntecedents(A, F, 0.5)
    layer.build((None, None, G))
    return layer, randomize(layer, scale=0.6)


@pytest.fixture
def pairs(rng):
    """Queries 2 to 6 of seven spans, of which only earlier ones are allowed, and one query that has none."""
    distances = np.maximum(np.arange(2, 7)[:, None] - np.arange(K), 0) * np.array([1, 9])[:, None, None]
    allowed = distances > 0
    allowed[1, 2] = False
    return {
        "queries": rng.normal(size=(B, Q, G)),
        "query_scores": rng.normal(size=(B, Q)),
        "spans": rng.normal(size=(B, K, G)),
        "span_scores": rng.normal(size=(B, K)),
        "distances": distances.astype("int32"),
        "allowed": allowed,
    }


def bucket(distance):
    """0, 1, 2, 3, 4, 5-7, 8-15, 16-31, 32-63, 64 and more."""
    ranges = [*((n, n + 1) for n in range(5)), (5, 8), (8, 16), (16, 32), (32, 64), (64, 10**9)]
    return next(number for number, (low, high) in enumerate(ranges) if low <= distance < high)


def slow(pairs, weights):
    """m_i + m_j + (W g_i + b) . g_j + prior of the distance; -inf where j may not be, (B, Q, K)."""
    prior = weights["distance_embeddings"] @ weights["distance_score/kernel"] + weights["distance_score/bias"]
    scores = np.full((B, Q, K), -np.inf)
    for b, i, j in zip(*np.nonzero(pairs["allowed"]), strict=True):
        source = pairs["queries"][b, i] @ weights["projection/kernel"] + weights["projection/bias"]
        scores[b, i, j] = source @ pairs["spans"][b, j] + prior[bucket(pairs["distances"][b, i, j]), 0]
        scores[b, i, j] += pairs["query_scores"][b, i] + pairs["span_scores"][b, j]
    return scores


def call(layer, pairs, **kwargs):
    single = {k: v.astype("float32") if v.dtype == "float64" else v for k, v in pairs.items()}
    return [keras.ops.convert_to_numpy(x) for x in layer(**single, **kwargs)]


def check(found, scores, count):
    """Asserts that the best `count` of `scores` were found, best first."""
    values, antecedents, real = found
    assert values.shape == antecedents.shape == real.shape == (B, Q, count)
    assert (values.dtype, antecedents.dtype, real.dtype) == ("float32", "int32", "bool")
    assert antecedents.min() >= 0 and antecedents.max() < scores.shape[2]
    for b, i in np.ndindex(B, Q):
        best = [j for j in np.argsort(-scores[b, i]) if np.isfinite(scores[b, i, j])][:count]
        assert real[b, i].tolist() == [n < len(best) for n in range(count)]
        assert antecedents[b, i, : len(best)].tolist() == best
        np.testing.assert_allclose(values[b, i, : len(best)], scores[b, i, best], atol=5e-6)
        assert (values[b, i, len(best) :] < -9e8).all()


def test_every_distance_has_its_bucket(to_numpy):
    distances = np.array([*range(200), 511, 512, 3899, 3900, 10**6])
    for dtype in ("int32", "int64"):
        found = distance_buckets(keras.ops.convert_to_tensor(distances.astype(dtype)))
        assert keras.backend.standardize_dtype(found.dtype) == "int32"
        assert to_numpy(found).tolist() == [bucket(d) for d in distances]
    edges = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 63, 64, 65]
    buckets = [0, 1, 2, 3, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9]
    assert to_numpy(distance_buckets(np.array(edges))).tolist() == buckets


def test_the_best_allowed_ones_are_found_with_their_scores(layer, pairs):
    layer, weights = layer
    found = call(layer, pairs)
    check(found, slow(pairs, weights), A)
    assert not found[2][1, 2].any() and found[2][0, 0].sum() == 2 and found[2][0, 4].all()


def test_fewer_spans_than_antecedents_asked_for_are_all(randomize, pairs):
    layer = CoarseAntecedents(50, F)
    layer.build((None, None, G))
    weights = randomize(layer, scale=0.6)
    check(call(layer, pairs), slow(pairs, weights), K)


def test_the_projection_is_of_the_query_and_each_part_counts(layer, pairs):
    layer, weights = layer
    before = slow(pairs, weights)
    for name in weights:
        layer_weight = next(w for w in layer.weights if w.path.endswith(name))
        values = keras.ops.convert_to_numpy(layer_weight)
        layer_weight.assign(0 * values)
        changed = slow(pairs, weights | {name: 0 * weights[name]})
        finite = np.isfinite(before)
        assert np.abs(changed[finite] - before[finite]).max() > 0.05
        check(call(layer, pairs), changed, A)
        layer_weight.assign(values)


def test_large_scores_are_not_taken_for_padding(layer, pairs):
    pairs["query_scores"] = pairs["query_scores"] * 1e6
    found = call(layer[0], pairs)
    assert (found[2].sum(-1) == np.minimum(pairs["allowed"].sum(-1), A)).all()


@pytest.mark.parametrize("active", DROPOUTS)
def test_three_dropouts_are_active_in_training_only(layer, pairs, active):
    layer, weights = layer
    for name in set(DROPOUTS) - {active}:
        getattr(layer, name).rate = 0.0
    exact = slow(pairs, weights)
    for training in (None, False):
        check(call(layer, pairs, training=training), exact, A)
    values, antecedents, real = call(layer, pairs, training=True)
    moved = np.where(real, values - np.take_along_axis(exact, antecedents, -1), 0.0)
    assert np.isfinite(moved).all() and np.abs(moved).max() > 0.01


def test_the_distances_dropout_is_drawn_once_for_each_bucket(layer, pairs):
    """Of the table, not of the pairs: pairs of one bucket move together."""
    layer, weights = layer
    layer.query_dropout.rate = layer.span_dropout.rate = 0.0
    values, antecedents, real = call(layer, pairs, training=True)
    moved = values - np.take_along_axis(slow(pairs, weights), antecedents, -1)
    buckets = np.vectorize(bucket)(np.take_along_axis(pairs["distances"], antecedents, -1))
    assert len(set(buckets[real])) > 4
    for number in set(buckets[real]):
        assert np.ptp(moved[real & (buckets == number)]) < 2e-5


def test_parameters_and_defaults_are_the_released_codes():
    layer = CoarseAntecedents()
    layer.build((None, None, 2324))
    assert (layer.max_antecedents, layer.dropout, tuple(layer.distance_embeddings.shape)) == (50, 0.3, (10, 20))
    assert layer.count_params() == 2324 * 2324 + 2324 + 10 * 20 + 20 + 1


def test_it_builds_itself_when_called(pairs):
    layer = CoarseAntecedents(A, F)
    assert [x.shape for x in call(layer, pairs)] == [(B, Q, A)] * 3
    assert tuple(layer.projection.kernel.shape) == (G, G)


def test_symbolic_shapes_are_those_of_a_call(layer):
    shapes = [((None, Q, G), "float32"), ((None, Q), "float32"), ((None, K, G), "float32"), ((None, K), "float32")]
    shapes += [((None, Q, K), "int32"), ((None, Q, K), "bool")]
    found = layer[0](*(keras.KerasTensor(shape, dtype=dtype) for shape, dtype in shapes))
    assert [(x.shape, x.dtype) for x in found] == [((None, Q, A), dtype) for dtype in ("float32", "int32", "bool")]


def test_it_is_made_again_from_its_configuration(rebuild):
    layer = rebuild(CoarseAntecedents(7, 5, 0.25, name="mine"))
    assert (layer.max_antecedents, layer.feature_dim, layer.name) == (7, 5, "mine")
    assert {getattr(layer, name).rate for name in DROPOUTS} == {0.25}
