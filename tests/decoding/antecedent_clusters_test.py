"""Clusters against the connected parts of a graph."""

import numpy as np
import pytest

from spanbert_keras.decoding.antecedent_clusters import antecedent_clusters


def parts(antecedents):
    """Connected parts of at least two, by flooding: every member takes the lowest label of its neighbours."""
    labels = list(range(len(antecedents)))
    for _ in antecedents:
        for i, j in enumerate(antecedents):
            if j >= 0:
                labels[i] = labels[j] = min(labels[i], labels[j])
    found = [[i for i, label in enumerate(labels) if label == wanted] for wanted in sorted(set(labels))]
    return [part for part in found if len(part) > 1]


@pytest.mark.parametrize(
    "antecedents, clusters",
    [
        ([], []),
        ([-1], []),
        ([-1, -1, -1], []),
        ([-1, 0], [[0, 1]]),
        ([-1, -1, 0, 1, 2], [[0, 2, 4], [1, 3]]),
        ([-1, 0, 0, 0], [[0, 1, 2, 3]]),
        ([-1, -1, -1, 2, 0], [[0, 4], [2, 3]]),
    ],
)
def test_clusters_of_a_few_links(antecedents, clusters):
    assert antecedent_clusters(antecedents) == clusters
    assert antecedent_clusters(tuple(antecedents)) == clusters
    assert antecedent_clusters(np.array(antecedents, "int64")) == clusters


def test_clusters_are_the_connected_parts_in_order():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 25))
        antecedents = [int(rng.integers(-1, i)) if rng.random() < 0.6 else -1 for i in range(count)]
        found = antecedent_clusters(antecedents)
        assert found == parts(antecedents)
        assert found == sorted(found) and all(cluster == sorted(cluster) for cluster in found)


def test_a_long_chain_does_not_recurse():
    count = 100_000
    assert antecedent_clusters(range(-1, count - 1)) == [list(range(count))]
