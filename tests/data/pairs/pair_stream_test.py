"""Tests of the stream of pairs: each epoch has every pair of its copy once, in an order that is computed."""

import numpy as np
import pytest

from spanbert_keras.data.pairs.pair_copies import PairCopies
from spanbert_keras.data.pairs.pair_index import cached_pairs
from spanbert_keras.data.pairs.pair_stream import PairStream
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.row_planner import RowPlanner
from spanbert_keras.preprocessing.seeds import MASKS

ROW_LENGTH, RATE = 32, 0.4
SEED = (3, 4)

# Rows 40, 41 and 42 of `stream_of(copies=2)` when the order was first written: runs on disk depend on it.
GOLDEN = [
    (2645, 8368, 4, 12, 1, 2289637476, 3915909944),
    (579, 584, 5, 4, 0, 4029608836, 3796084981),
    (7671, 3530, 10, 6, 1, 1142365667, 3591801239),
    (8123, 258, 3, 7, 1, 3075712653, 2337499089),
    (1211, 3503, 7, 22, 1, 3234209773, 2442823095),
]


@pytest.fixture(scope="module")
def units(units_of, random_documents):
    return units_of(random_documents(60, seed=2, mean=4))


@pytest.fixture
def stream_of(units, tmp_path):
    """Function that makes a `PairStream`; its attribute `made` lists the copies that were built."""

    def make(copies=1, shuffle=True, mask_copies=0, packing=True, seed=SEED):
        made = []

        def index(copy):
            made.append(copy)
            return cached_pairs(tmp_path, f"{copy}", units, ROW_LENGTH, RATE, copy)

        planner = RowPlanner(ROW_LENGTH, MaskingSettings().budget, packing, 3)
        stream = PairStream(PairCopies(index, copies), planner, seed, shuffle, mask_copies)
        stream.made = made
        return stream

    return make


def rows_of(stream):
    """Returns the number of rows of every copy."""
    stream.rows(np.array([10**6]))
    return [packed.plan.rows for packed in stream._packed]


def pairs_of(placed):
    a_lengths = placed.lengths - placed.second.lengths
    columns = (placed.starts, placed.second.starts, a_lengths, placed.second.lengths, placed.second.labels)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def epoch(stream, number):
    """Returns the rows of an epoch."""
    sizes = rows_of(stream)
    before = sum(sizes[e % len(sizes)] for e in range(number))
    return stream.rows(np.arange(before, before + sizes[number % len(sizes)]))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("packing", [True, False])
def test_an_epoch_has_every_pair_of_its_copy_exactly_once(stream_of, units, slow_pairs, shuffle, packing):
    stream = stream_of(copies=3, shuffle=shuffle, packing=packing)
    assert len(set(rows_of(stream))) > 1  # copies differ in their rows
    for number in (0, 1, 2, 3, 7):
        assert sorted(pairs_of(epoch(stream, number))) == sorted(slow_pairs(units, ROW_LENGTH, RATE, number % 3))


def test_pairs_of_a_row_are_side_by_side_with_three_specials_each(stream_of):
    placed = epoch(stream_of(), 0)
    for row in range(placed.rows[-1] + 1):
        chosen = placed.rows == row
        ends = np.cumsum(placed.lengths[chosen] + 3)
        assert placed.offsets[chosen].tolist() == [0, *ends[:-1].tolist()]
        assert ends[-1] <= ROW_LENGTH
    assert (np.bincount(placed.rows) > 1).any()


def test_without_packing_every_pair_has_a_row_of_its_own(stream_of):
    stream = stream_of(packing=False, copies=2)
    assert stream.plan.max_blocks == 1
    assert stream.plan.max_predictions == int(MaskingSettings().budget(np.array(ROW_LENGTH - 3)))
    placed = epoch(stream, 1)
    assert placed.rows.tolist() == list(range(len(placed.rows)))
    assert not placed.offsets.any()


@pytest.mark.parametrize("copies", [1, 3])
def test_rows_of_all_copies_fit_the_first_plan(stream_of, copies):
    stream = stream_of(copies=copies)
    budget = MaskingSettings().budget
    for number in range(copies):
        placed = epoch(stream, number)
        assert np.bincount(placed.rows).max() <= stream.plan.max_blocks
        assert np.bincount(placed.rows, budget(placed.lengths)).max() <= stream.plan.max_predictions
    if copies == 1:
        assert np.bincount(placed.rows).max() == stream.plan.max_blocks
        assert np.bincount(placed.rows, budget(placed.lengths)).max() == stream.plan.max_predictions


def test_the_seed_of_the_masks_is_that_of_epoch_and_both_places(stream_of):
    for mask_copies, own in ((0, 4), (3, 1)):
        placed = epoch(stream_of(copies=2, mask_copies=mask_copies), 4)
        expected = fold(SEED, MASKS, own, placed.starts, placed.second.starts)
        assert placed.seeds.tolist() == expected.tolist()


def test_masks_repeat_after_mask_copies_epochs(stream_of):
    stream = stream_of(mask_copies=2)
    seeds = [
        dict(zip(pairs_of(p), map(tuple, p.seeds.tolist()), strict=True)) for p in map(epoch, [stream] * 4, range(4))
    ]
    assert seeds[0] == seeds[2] and seeds[1] == seeds[3]
    assert all(seeds[0][pair] != seeds[1][pair] for pair in seeds[0])


def test_without_shuffle_every_epoch_is_the_same(stream_of):
    stream = stream_of(shuffle=False)
    first, later = epoch(stream, 0), epoch(stream, 5)
    assert pairs_of(first) == pairs_of(later)
    assert first.seeds.tolist() == later.seeds.tolist()


def test_the_next_epoch_has_another_order(stream_of):
    stream = stream_of()
    assert pairs_of(epoch(stream, 0)) != pairs_of(epoch(stream, 1))
    assert pairs_of(epoch(stream, 0)) != pairs_of(epoch(stream_of(seed=(3, 5)), 0))


def test_any_row_alone_is_the_row_of_the_batch(stream_of):
    stream = stream_of(copies=3)
    last = sum(rows_of(stream)) - 1
    positions = np.array([5, 0, 10**6, last, last + 1, 5, 10**12])
    together = stream.rows(positions)
    for row, position in enumerate(positions.tolist()):
        alone = stream_of(copies=3).rows(np.array([position]))
        chosen = together.rows == row
        assert pairs_of(alone) == [pair for pair, mine in zip(pairs_of(together), chosen, strict=True) if mine]
        assert together.seeds[chosen].tolist() == alone.seeds.tolist()
        assert together.offsets[chosen].tolist() == alone.offsets.tolist()


def test_a_copy_is_waited_for_only_when_its_rows_are_asked_for(stream_of):
    stream = stream_of(copies=4)
    stream.rows(np.array([0, 1]))
    assert len(stream._packed) == 1 and set(stream.made) <= {0, 1}  # the next one in the background
    stream.rows(np.array([stream.plan.rows]))
    assert len(stream._packed) == 2 and set(stream.made) <= {0, 1, 2}


def test_rows_are_the_same_in_every_process_and_version(stream_of):
    placed = stream_of(copies=2).rows(np.arange(40, 43))
    assert [pair + tuple(seed) for pair, seed in zip(pairs_of(placed), placed.seeds.tolist(), strict=True)] == GOLDEN
