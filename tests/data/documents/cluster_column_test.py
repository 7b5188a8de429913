"""Tests of the cluster column of CoNLL-2012: by hand, at random, and what it cannot hold."""

import random

import pytest

from spanbert_keras.data.documents.cluster_column import read_cluster_column, write_cluster_column
from spanbert_keras.data.documents.collector import BadDocumentError
from spanbert_keras.errors import InputError


def read(*columns):
    return read_cluster_column(enumerate(columns, start=10))


@pytest.mark.parametrize(
    "columns, expected",
    [
        (["-", "_"], {}),
        (["(12|(3)|12)"], {3: [(0, 1)], 12: [(0, 1)]}),
        (["(12", "-", "12)"], {12: [(0, 3)]}),
        (["(1|(2|(3)", "2)", "1)|(5)"], {3: [(0, 1)], 1: [(0, 3)], 2: [(0, 2)], 5: [(2, 3)]}),
        (["(1", "(2", "1)", "2)"], {1: [(0, 3)], 2: [(1, 4)]}),  # two clusters cross
        (["(1|(1", "1)", "1)"], {1: [(0, 2), (0, 3)]}),  # one cluster nests
        (["(1|(1)", "(1)|1)"], {1: [(0, 1), (1, 2), (0, 2)]}),
        (["(1(3(3", "3)3)1)"], {1: [(0, 2)], 3: [(0, 2), (0, 2)]}),  # no bars, a mention twice
        (["(4)|(4)"], {4: [(0, 1), (0, 1)]}),
        (["(007", "7)"], {7: [(0, 2)]}),
        (["1)|(1"], {1: [(0, 1)]}),  # begins are read first, as the official scorer does
    ],
)
def test_a_column_is_read_as_the_official_scorer_reads_it(columns, expected):
    found = read(*columns)
    assert found == expected and list(found) == list(expected)


@pytest.mark.parametrize(
    "column", ["(x)", "12", "(1|", "|(1)", "(1)|-", "(-1)", "(1)||(2)", "((1))", "(1.5)", "(1 )", "*"]
)
def test_a_column_of_another_form_is_rejected(column):
    with pytest.raises(BadDocumentError, match=r"cannot be read\. Expected: '-', or numbers in brackets") as caught:
        read("-", column)
    assert caught.value.line == 11 and repr(column) in str(caught.value)


def test_a_bracket_needs_its_partner():
    with pytest.raises(
        BadDocumentError, match=r"bracket of cluster 7 closes that never opened.*Received: '7\)'"
    ) as caught:
        read("(1)", "-", "7)")
    assert caught.value.line == 12
    with pytest.raises(BadDocumentError, match=r"bracket of cluster 1 opens and never closes") as caught:
        read("(1", "(1", "1)")
    assert caught.value.line == 10


def test_a_column_has_the_long_first_then_one_token_then_what_ends():
    clusters = [[(0, 3), (2, 3)], [(0, 1), (0, 2)], [(0, 4), (1, 3)]]
    assert write_cluster_column(clusters, 5) == ["(2|(0|(1|(1)", "(2|1)", "(0)|2)|0)", "2)", "-"]
    assert write_cluster_column(clusters, 5, [30, 4, 11]) == ["(11|(30|(4|(4)", "(11|4)", "(30)|11)|30)", "11)", "-"]


@pytest.mark.parametrize("other", [(2, 5), (1, 6), (3, 5)])
def test_crossing_mentions_of_one_cluster_are_rejected(other):
    with pytest.raises(InputError, match=rf"mentions of cluster 8 cross.*\[0, 4\) and \[{other[0]}, {other[1]}\)"):
        write_cluster_column([[(0, 1)], [other, (0, 4)]], 7, [3, 8])


def random_clusters(source, length):
    """Clusters of nested or distinct mentions, which cross and share mentions with others freely."""
    clusters = []
    for _ in range(source.randint(0, 6)):
        cluster = set()
        for _ in range(source.randint(1, 8)):
            start = source.randrange(length)
            end = min(length, start + source.choice((1, 1, 2, 3, 9)))
            if not any(a < start < b < end or start < a < end < b for a, b in cluster):
                cluster.add((start, end))
        clusters.append(sorted(cluster))
    return clusters


def test_random_nested_and_crossing_clusters_make_a_round_trip():
    source = random.Random(0)
    crossing = nested = 0
    for _ in range(500):
        length = source.randint(1, 30)
        clusters = random_clusters(source, length)
        numbers = source.sample(range(200), len(clusters))
        columns = write_cluster_column(clusters, length, numbers)
        assert len(columns) == length
        found = read(*columns)
        assert {number: sorted(mentions) for number, mentions in found.items()} == dict(
            zip(numbers, clusters, strict=True)
        )
        every = [(*span, i) for i, cluster in enumerate(clusters) for span in cluster]
        crossing += sum(a < c < b < d for a, b, _ in every for c, d, _ in every)
        nested += sum(i == j and a <= c and d <= b and (a, b) != (c, d) for a, b, i in every for c, d, j in every)
    assert crossing > 500 and nested > 500
