"""Tests of batches of examples of similar length: padding, order, and the place of every example."""

import itertools

import numpy as np
import pytest

from spanbert_keras.preprocessing.length_buckets import (
    BATCH_COST,
    LengthBuckets,
    choose_lengths,
    fixed_batches,
    token_batches,
)

SEED = (3, 4)


def places_of(lengths, rows):
    """Returns the places of examples padded to the next of `rows`."""
    return sum(min(row for row in rows if row >= length) for length in lengths)


def make(lengths, rows=4, seed=SEED, **settings):
    """Returns buckets whose batches are the examples' numbers and the length that they were made with."""

    def make_batch(examples, length, epoch):
        return {"examples": examples, "length": np.full(len(examples), length), "epoch": np.full(len(examples), epoch)}

    return LengthBuckets(lengths, make_batch, rows, seed, **settings)


def numbers(batch):
    """Returns the examples of a batch without rows that fill it up."""
    return batch["examples"][batch["example_weights"] > 0].tolist()


def epoch_of(buckets, epoch):
    steps = buckets.steps_per_epoch
    return [buckets.batch(number) for number in range(epoch * steps, (epoch + 1) * steps)]


@pytest.fixture
def lengths():
    """Lengths of 103 examples, many of them short."""
    return np.random.default_rng(0).geometric(0.02, 103).clip(3, 384)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_no_other_lengths_pad_less(count):
    for seed in range(20):
        random = np.random.default_rng(seed)
        lengths = random.integers(1, 60, random.integers(1, 30)).tolist()
        found = choose_lengths(lengths, count)
        candidates = range(8, 65, 8)
        best = min(
            places_of(lengths, rows)
            for size in range(1, count + 1)
            for rows in itertools.combinations(candidates, size)
            if rows[-1] >= max(lengths)
        )
        assert places_of(lengths, found) == best
        assert found == sorted(set(found)) and len(found) <= count
        assert all(row % 8 == 0 for row in found) and 0 <= found[-1] - max(lengths) < 8


def test_lengths_are_rounded_up_to_a_multiple_of_eight():
    assert choose_lengths([8]) == [8]
    assert choose_lengths([9, 1]) == [8, 16]
    assert choose_lengths([64, 3, 17], 1) == [64]


def test_there_are_at_most_eight_shapes(lengths):
    assert len({len(range(-(-length // 8))) for length in lengths}) > 8
    buckets = make(lengths)
    assert len(buckets.row_lengths) == 8
    assert {int(batch["length"][0]) for batch in epoch_of(buckets, 0)} <= set(buckets.row_lengths)
    assert make(lengths, max_shapes=2).row_lengths == choose_lengths(lengths, 2)


@pytest.mark.parametrize("count", [1, 4, 7, 103])
def test_every_example_is_in_every_epoch_once(lengths, count):
    buckets = make(lengths[:count])
    for epoch in range(3):
        batches = epoch_of(buckets, epoch)
        assert sorted(itertools.chain(*map(numbers, batches))) == list(range(count))
        assert all(len(batch["examples"]) == 4 for batch in batches)


def test_every_epoch_has_its_own_order(lengths):
    buckets = make(lengths)
    orders = [[numbers(batch) for batch in epoch_of(buckets, epoch)] for epoch in range(3)]
    orders.append([numbers(batch) for batch in epoch_of(make(lengths, seed=(3, 5)), 0)])
    for one, two in itertools.combinations(orders, 2):
        assert one != two
        assert len({tuple(sorted(x)) for x in one} & {tuple(sorted(x)) for x in two}) < len(one) / 2
    rows = [[batch["length"][0] for batch in epoch_of(buckets, epoch)] for epoch in range(3)]
    assert rows[0] != rows[1] != rows[2] and rows[0] != sorted(rows[0])  # lengths are mixed


def test_a_batch_is_a_function_of_the_seed_and_its_number(lengths):
    one = make(lengths)
    expected = [one.batch(number) for number in range(3 * one.steps_per_epoch)]
    another = make(lengths)
    for number in np.random.default_rng(1).permutation(len(expected)):
        fresh = make(lengths) if number % 10 == 0 else another
        for key, value in fresh.batch(int(number)).items():
            np.testing.assert_array_equal(value, expected[number][key])


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_parts_of_workers_join_to_the_batch(lengths, workers):
    buckets = make(lengths)
    for number in range(buckets.steps_per_epoch):
        whole = buckets.batch(number)
        parts = [buckets.part(number, worker, workers) for worker in range(workers)]
        for key, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([part[key] for part in parts]), value)
        assert all(len(part["examples"]) == 4 // workers for part in parts)


def test_only_one_batch_of_an_epoch_is_filled_up_with_rows_of_weight_0(lengths):
    for count in (100, 101, 103):  # 25 batches, or 26 with 1 or 3 examples in the last made
        buckets = make(lengths[:count])
        assert buckets.steps_per_epoch == -(-count // 4)
        for epoch in range(2):
            weights = [batch["example_weights"] for batch in epoch_of(buckets, epoch)]
            assert all(x.dtype == np.float32 and set(x) <= {0.0, 1.0} for x in weights)
            filled = [batch for batch in epoch_of(buckets, epoch) if batch["example_weights"].sum() < 4]
            assert [x["example_weights"].sum() for x in filled] == ([count % 4] if count % 4 else [])
            for batch in filled:
                assert batch["length"][0] == buckets.row_lengths[-1]
                assert (batch["examples"][batch["example_weights"] == 0] >= 0).all()  # any example will do


def test_what_is_left_over_goes_to_longer_rows_only(lengths):
    buckets = make(lengths)
    own = [min(row for row in buckets.row_lengths if row >= length) for length in lengths]
    moved = 0
    for batch in epoch_of(buckets, 0):
        for example in numbers(batch):
            assert batch["length"][0] >= own[example]
            moved += batch["length"][0] > own[example]
    assert 0 < moved <= 3 * 8  # fewer than a batch of each length is left over


def test_the_share_of_padding_is_that_of_an_epoch(lengths):
    for count in (100, 103):
        buckets = make(lengths[:count])
        for epoch in range(2):
            places = sum(batch["length"].sum() for batch in epoch_of(buckets, epoch))
            assert buckets.padding_share == pytest.approx(1 - lengths[:count].sum() / places)
    assert make([8] * 8).padding_share == 0.0
    assert make(lengths).padding_share < make(lengths, max_shapes=1).padding_share - 0.3


def test_make_batch_receives_the_epoch(lengths):
    buckets = make(lengths)
    for epoch in (0, 2):
        assert all((batch["epoch"] == epoch).all() for batch in epoch_of(buckets, epoch))


def test_entries_that_are_to_be_zeroed_are_0_in_empty_rows_alone():
    made = {"weights": np.ones((4, 2), np.float32), "ids": np.ones((4, 3), np.int32)}
    buckets = LengthBuckets([5, 5, 5, 5, 5], lambda *which: made, 4, (1, 2), zeroed=("weights", "example_weights"))
    seen = [buckets.batch(number) for number in range(2)]
    for batch in seen:
        filled = batch["example_weights"]
        np.testing.assert_array_equal(batch["weights"], np.repeat(filled[:, None], 2, 1))
        assert batch["weights"].dtype == np.float32 and (batch["ids"] == 1).all()
    assert sorted(batch["example_weights"].sum() for batch in seen) == [1, 4]
    assert (made["weights"] == 1).all()  # what the rows gave is theirs


def cost_of(batches):
    return sum(len(rows) * length + BATCH_COST for rows, length in batches)


def least_cost(sizes, max_tokens):
    """Of all ways to cut descending sizes into batches of neighbours."""
    if not sizes:
        return 0
    fitting = [n for n in range(1, len(sizes) + 1) if n == 1 or n * sizes[0] <= max_tokens]
    return min(n * sizes[0] + BATCH_COST + least_cost(sizes[n:], max_tokens) for n in fitting)


@pytest.mark.parametrize("max_tokens", [1, 64, 120, 10_000])
def test_prediction_batches_have_the_least_padding_and_keep_the_budget(max_tokens):
    rng = np.random.default_rng(3)
    for count in (0, 1, 2, 9):
        lengths = rng.integers(1, 62, count)
        found = token_batches(lengths, max_tokens, 61)
        assert sorted(itertools.chain(*(rows.tolist() for rows, _ in found))) == list(range(count))
        sizes = sorted((min(61, -(-int(n) // 8) * 8) for n in lengths), reverse=True)
        assert [length for _, length in found] == sorted((length for _, length in found), reverse=True)
        for rows, length in found:
            assert length in (*range(8, 61, 8), 61) and length - 8 < max(lengths[rows]) <= length
            assert len(rows) == 1 or len(rows) * length <= max_tokens
        # Rows of one length stay together unless they exceed the budget, so a budget can cost a few more batches.
        assert least_cost(sizes, max_tokens) <= cost_of(found) <= 1.2 * least_cost(sizes, max_tokens)
        assert max_tokens < 10_000 or cost_of(found) == least_cost(sizes, max_tokens)


def test_prediction_batches_of_one_length_are_split_evenly():
    assert [len(rows) for rows, _ in token_batches([16] * 10, 4 * 16, 16)] == [4, 3, 3]
    assert [(len(rows), length) for rows, length in token_batches([384] * 3 + [8] * 90, 384, 384)] == [
        *[(1, 384)] * 3,
        *[(45, 8)] * 2,
    ]


def test_batches_of_few_shapes_have_one_number_of_rows_or_single_rows():
    lengths = [3, 40, 5, 33, 17, 8, 9]
    shapes = [(rows.tolist(), size, length) for rows, size, length in fixed_batches(lengths, 4, 40, True)]
    assert shapes == [([1, 3, 4, 6], 4, 40), ([5, 2, 0], 4, 16)]
    shapes = [(rows.tolist(), size, length) for rows, size, length in fixed_batches(lengths[:5], 4, 40, True)]
    assert shapes == [([1, 3, 4, 2], 4, 40), ([0], 1, 16)]
    assert [size for _, size, _ in fixed_batches(lengths[:5], 4, 40, False)] == [4, 4]
    assert fixed_batches([], 4, 40, True) == []
