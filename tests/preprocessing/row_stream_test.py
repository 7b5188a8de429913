"""Tests of the row stream: each epoch has every block once, in an order that is computed."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.packing import plan_packing
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK, Blocks
from spanbert_keras.preprocessing.row_stream import PlacedBlocks, RowStream

ROW_LENGTH = 24

# Rows 40, 41 and 42 of `stream_of()` when the order was first written: runs on disk depend on it.
GOLDEN_STARTS = [25600, 11900, 12800, 29200, 23200, 21100]
GOLDEN_SEEDS = [
    [1044328751, 462198268],
    [1908478486, 1294417257],
    [1147595528, 361377198],
    [3688184104, 3609917891],
    [1500863968, 2149938204],
    [871161529, 934728603],
]


def stream_of(seed=(3, 4), shuffle=True, count=300, mask_copies=0):
    """A stream over `count` blocks of 1 to 22 pieces that begin at 0, 100, 200, ..."""
    lengths = np.sort(np.random.default_rng(5).integers(1, ROW_LENGTH - 1, count))
    starts = np.random.default_rng(6).permutation(count) * 100
    order = np.lexsort((starts, lengths))
    blocks = Blocks(starts[order].astype(np.int64), np.bincount(lengths, minlength=ROW_LENGTH - 1), 0)
    plan = plan_packing(blocks.histogram, ROW_LENGTH, MaskingSettings().budget)
    return RowStream(blocks, plan, seed, shuffle, mask_copies)


def length_of(stream):
    """Returns the length of the block at each start, from the index itself."""
    lengths = np.repeat(np.arange(len(stream.blocks.histogram)), stream.blocks.histogram)
    return dict(zip(stream.blocks.starts.tolist(), lengths.tolist(), strict=True))


def epoch(stream, number):
    rows = stream.plan.rows
    return stream.rows(np.arange(number * rows, (number + 1) * rows))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("number", [0, 1, 7])
def test_an_epoch_has_every_block_exactly_once(shuffle, number):
    stream = stream_of(shuffle=shuffle)
    placed = epoch(stream, number)
    assert sorted(placed.starts.tolist()) == sorted(stream.blocks.starts.tolist())
    lengths = length_of(stream)
    assert [lengths[start] for start in placed.starts.tolist()] == placed.lengths.tolist()


def test_blocks_of_a_row_are_side_by_side():
    stream = stream_of()
    placed = epoch(stream, 2)
    for row in range(stream.plan.rows):
        chosen = placed.rows == row
        ends = np.cumsum(placed.lengths[chosen] + SPECIALS_PER_BLOCK)
        assert placed.offsets[chosen].tolist() == [0, *ends[:-1].tolist()]
        assert ends[-1] <= ROW_LENGTH
    assert (np.diff(placed.rows) >= 0).all()


def test_the_next_epoch_has_another_order_other_neighbours_and_other_masks():
    stream = stream_of()
    first, second = epoch(stream, 0), epoch(stream, 1)
    assert first.starts.tolist() != second.starts.tolist()
    seeds = [dict(zip(p.starts.tolist(), map(tuple, p.seeds.tolist()), strict=True)) for p in (first, second)]
    assert all(seeds[0][start] != seeds[1][start] for start in seeds[0])

    def neighbours(placed):
        rows = [frozenset(placed.starts[placed.rows == r].tolist()) for r in range(stream.plan.rows)]
        return {row for row in rows if len(row) > 1}

    assert len(neighbours(first) & neighbours(second)) < 0.2 * len(neighbours(first))


def test_rows_are_shuffled_across_the_whole_epoch():
    stream = stream_of(count=2000)
    placed = epoch(stream, 0)
    sorted_rows = stream_of(count=2000, shuffle=False)
    plain = epoch(sorted_rows, 0)
    longest = np.maximum.reduceat(placed.lengths, np.flatnonzero(np.diff(placed.rows, prepend=-1)))
    assert abs(np.corrcoef(np.arange(len(longest)), longest)[0, 1]) < 0.1
    assert placed.starts.tolist() != plain.starts.tolist()


def test_without_shuffle_every_epoch_is_the_same():
    stream = stream_of(shuffle=False)
    first, later = epoch(stream, 0), epoch(stream, 5)
    for name in ("rows", "offsets", "starts", "lengths", "seeds"):
        assert (getattr(first, name) == getattr(later, name)).all()


def test_any_row_alone_is_the_row_of_the_batch():
    stream = stream_of()
    positions = np.array([5, 0, 10**6, 5, stream.plan.rows - 1, 10**12])
    together = stream.rows(positions)
    for row, position in enumerate(positions.tolist()):
        alone = stream_of().rows(np.array([position]))
        chosen = together.rows == row
        for name in ("offsets", "starts", "lengths", "seeds"):
            assert (getattr(together, name)[chosen] == getattr(alone, name)).all()


def test_another_seed_gives_another_order():
    assert epoch(stream_of((3, 4)), 0).starts.tolist() != epoch(stream_of((3, 5)), 0).starts.tolist()


def test_masks_depend_on_seed_epoch_and_block_alone():
    stream = stream_of(count=300)
    fewer = stream_of(count=200)  # other rows, other neighbours
    seeds = dict(zip(epoch(stream, 1).starts.tolist(), map(tuple, epoch(stream, 1).seeds.tolist()), strict=True))
    others = epoch(fewer, 1)
    for start, seed in zip(others.starts.tolist(), map(tuple, others.seeds.tolist()), strict=True):
        assert seeds[start] == seed
    assert len(set(seeds.values())) == len(seeds)


def test_masks_repeat_after_mask_copies_epochs_in_another_order():
    stream = stream_of(mask_copies=2)
    epochs = [epoch(stream, number) for number in range(4)]
    seeds = [dict(zip(p.starts.tolist(), map(tuple, p.seeds.tolist()), strict=True)) for p in epochs]
    assert seeds[0] == seeds[2] and seeds[1] == seeds[3]
    assert all(seeds[0][start] != seeds[1][start] for start in seeds[0])
    assert epochs[0].starts.tolist() != epochs[2].starts.tolist()
    first = epoch(stream_of(), 0)
    assert seeds[0] == dict(zip(first.starts.tolist(), map(tuple, first.seeds.tolist()), strict=True))


def test_parts_are_joined_by_row_and_place():
    placed = stream_of().rows(np.arange(6))
    names = ("rows", "offsets", "starts", "lengths", "seeds")

    def part(chosen):
        return PlacedBlocks(*(getattr(placed, name)[chosen] for name in names))

    odd = placed.rows % 2 == 1
    joined, order = PlacedBlocks.joined([part(odd), part(~odd)])
    for name in names:
        assert getattr(joined, name).tolist() == getattr(placed, name).tolist()
    assert joined.second is None
    both = np.concatenate([placed.starts[odd], placed.starts[~odd]])
    assert both[order].tolist() == placed.starts.tolist()


def test_rows_are_the_same_in_every_process_and_version():
    placed = stream_of().rows(np.arange(40, 43))
    assert placed.starts.tolist() == GOLDEN_STARTS
    assert placed.seeds.tolist() == GOLDEN_SEEDS
