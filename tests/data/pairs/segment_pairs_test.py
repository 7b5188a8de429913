"""Tests of the walk that cuts documents into pairs, against a slow walk, exact values and the laws of chance."""

import numpy as np
import pytest
from scipy import stats

from spanbert_keras.data.pairs.segment_pairs import pair_documents, truncated_lengths

THREE = [[4, 6, 3, 9, 5, 2, 7, 31, 12], [120, 3, 14], [1, 1, 30, 8, 8, 8, 40, 11, 5, 60]]

# The pairs of `THREE` when the walk was first written, as (start of A, start of B, |A|, |B|, label): saved indices and
# the order of running trainings depend on them.
GOLDEN = {
    16: [
        (0, 4, 4, 9, 0),
        (14, 290, 7, 6, 1),
        (22, 30, 7, 6, 0),
        (46, 230, 7, 6, 1),
        (69, 146, 7, 6, 1),
        (137, 249, 7, 6, 1),
        (199, 203, 3, 10, 0),
        (216, 230, 1, 12, 0),
        (248, 258, 7, 6, 0),
        (265, 205, 7, 6, 1),
        (292, 145, 7, 6, 1),
        (312, 323, 8, 5, 0),
        (356, 30, 7, 6, 1),
    ],
    128: [
        (0, 10, 10, 69, 0),
        (79, 248, 117, 8, 1),
        (199, 202, 3, 14, 0),
        (216, 291, 48, 77, 0),
    ],
}


def listed(pairs):
    return list(zip(*(column.tolist() for column in pairs.columns), strict=True))


def all_pairs(units, row_length, rate=0.0, copy=0):
    return pair_documents(units, 0, units.num_documents, row_length, rate, copy)


def by_place(pairs):
    return sorted(listed(pairs))


@pytest.mark.parametrize(
    "lengths, room, expected",
    [
        ((300, 400), 509, (255, 254)),
        ((600, 10), 509, (499, 10)),
        ((10, 600), 509, (10, 499)),
        ((255, 255), 509, (255, 254)),
        ((254, 255), 509, (254, 255)),
        ((509, 509), 509, (255, 254)),
        ((3, 125), 125, (3, 122)),
        ((125, 3), 125, (122, 3)),
        ((64, 64), 125, (63, 62)),
        ((1, 1), 2, (1, 1)),
        ((9, 9), 2, (1, 1)),
    ],
)
def test_the_longer_segment_is_truncated_and_the_second_where_both_are_equal(lengths, room, expected):
    a, b = truncated_lengths(np.array([lengths[0]]), np.array([lengths[1]]), room)
    assert (a[0], b[0]) == expected


def test_truncation_is_the_removal_of_one_piece_after_the_other():
    a, b = (grid.reshape(-1) for grid in np.mgrid[1:30, 1:30])
    for room in (2, 3, 13, 20):
        found = truncated_lengths(a, b, room)
        for i, pair in enumerate(zip(a.tolist(), b.tolist(), strict=True)):
            left = list(pair)
            while sum(left) > room:
                left[0 if left[0] > left[1] else 1] -= 1
            assert [int(found[0][i]), int(found[1][i])] == left


@pytest.mark.parametrize(
    "row_length, rate, copy", [(5, 0.0, 0), (16, 0.0, 0), (16, 0.1, 3), (128, 0.0, 0), (128, 0.5, 7)]
)
def test_pairs_are_those_of_a_plain_walk(units_of, random_documents, slow_pairs, row_length, rate, copy):
    units = units_of(random_documents(200, seed=row_length))
    assert by_place(all_pairs(units, row_length, rate, copy)) == sorted(slow_pairs(units, row_length, rate, copy))


def test_a_part_of_the_documents_has_the_pairs_that_it_has_among_all(units_of, random_documents):
    units = units_of(random_documents(60))
    parts = [pair_documents(units, first, last, 32, 0.1, 3) for first, last in ((0, 1), (1, 40), (40, 60))]
    assert sorted(pair for part in parts for pair in listed(part)) == by_place(all_pairs(units, 32, 0.1, 3))


@pytest.mark.parametrize("row_length", [16, 128])
def test_pairs_are_the_same_in_every_process_and_version(units_of, row_length):
    assert by_place(all_pairs(units_of(THREE), row_length)) == GOLDEN[row_length]


def test_another_copy_has_other_pairs(units_of, random_documents):
    units = units_of(random_documents(30))
    assert by_place(all_pairs(units, 64, copy=0)) != by_place(all_pairs(units, 64, copy=1))


@pytest.fixture(scope="module")
def sentences(units_of):
    """`Units` of 20,000 documents of 30 sentences of one piece."""
    return units_of([[1] * 30] * 20_000)


def test_half_of_the_pairs_are_random(sentences):
    pairs = all_pairs(sentences, 13)
    many = pairs.a_starts % 30 < 29  # The last unit of a document has no other choice.
    assert abs(pairs.labels[many].mean() - 0.5) < 0.01


def test_the_length_of_the_first_segment_is_uniform(sentences):
    pairs = all_pairs(sentences, 13)  # chunks of ten units
    first = pairs.a_lengths[pairs.a_starts % 30 == 0]
    assert len(first) == 20_000
    counts = np.bincount(first, minlength=10)[1:]
    assert len(counts) == 9 and counts.min() > 0
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_share_of_short_documents_and_their_lengths_are_as_asked(sentences):
    lengths = {}
    for rate in (0.0, 0.1):
        pairs = all_pairs(sentences, 13, rate)
        first = (pairs.a_starts % 30 == 0) & (pairs.labels == 0)
        lengths[rate] = (pairs.a_lengths + pairs.b_lengths)[first]
    assert set(lengths[0.0].tolist()) == {10}
    short = np.bincount(lengths[0.1], minlength=11)
    expected = 0.1 / 9  # uniform from 2 to 10: of these, only 2 to 9 are seen to be short
    assert abs((short[:10].sum() / short.sum()) - 8 * expected) < 0.01
    assert stats.chisquare(short[2:10]).pvalue > 1e-3
    assert not short[:2].any()


def test_other_documents_and_their_first_units_are_uniform(units_of):
    units = units_of([[1] * 30] * 40)
    found = [all_pairs(units, 13, copy=copy) for copy in range(60)]
    starts = np.concatenate([p.b_starts[(p.labels == 1) & (p.a_starts // 30 == 7)] for p in found])
    others = np.bincount(starts // 30, minlength=40)
    assert others[7] == 0
    assert stats.chisquare(np.delete(others, 7)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(starts % 30, minlength=30)).pvalue > 1e-3


def test_b_follows_a_where_it_is_next_and_is_of_another_document_where_it_is_random(units_of, random_documents):
    units = units_of(random_documents(300))
    document_starts = units.starts[units.documents]
    for row_length in (16, 128):
        pairs = all_pairs(units, row_length)
        room = row_length - 3
        documents = [
            np.searchsorted(document_starts, places, side="right") - 1
            for places in (
                pairs.a_starts,
                pairs.a_starts + pairs.a_lengths - 1,
                pairs.b_starts,
                pairs.b_starts + pairs.b_lengths - 1,
            )
        ]
        assert (documents[0] == documents[1]).all() and (documents[2] == documents[3]).all()
        is_next = pairs.labels == 0
        assert (documents[0] == documents[2])[is_next].all()
        assert (documents[0] != documents[2])[~is_next].all()
        gap = pairs.b_starts - (pairs.a_starts + pairs.a_lengths)
        assert (gap[is_next] >= 0).all()
        whole = is_next & (pairs.a_lengths + pairs.b_lengths < room)
        assert whole.any() and not gap[whole].any()
        assert min(pairs.a_lengths.min(), pairs.b_lengths.min()) >= 1
        assert (pairs.a_lengths + pairs.b_lengths).max() == room


def test_what_a_random_segment_displaced_begins_the_next_pair(units_of):
    units = units_of([[1] * 30] * 20)
    pairs = all_pairs(units, 13)
    order = np.argsort(pairs.a_starts)
    begin, end = pairs.a_starts[order], (pairs.a_starts + pairs.a_lengths)[order]
    end = np.where(pairs.labels[order] == 1, end, end + pairs.b_lengths[order])
    assert end[:-1].tolist() == begin[1:].tolist()


def test_pieces_are_removed_from_both_ends(units_of):
    units = units_of([[50]] * 4000)
    pairs = all_pairs(units, 23)  # 40 of 50 pieces are removed from each segment
    fronts = np.concatenate([pairs.a_starts % 50, pairs.b_starts % 50])
    assert set((pairs.a_lengths + pairs.b_lengths).tolist()) == {20}
    assert abs(fronts.mean() - 20) < 0.15 and abs(fronts.var() - 10) < 0.6
    assert abs(np.corrcoef(pairs.a_starts % 50, pairs.b_starts % 50)[0, 1]) < 0.05
