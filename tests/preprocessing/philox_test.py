"""Philox against Random123's vectors and a pure Python oracle; permutations against their definition."""

import numpy as np
import pytest
from scipy import stats

from spanbert_keras.preprocessing import philox

# Random123 1.14, tests/kat_vectors: counter, key, output of philox4x32 with 10 rounds.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 13, 31, 32, 33, 97, 127, 128, 129, 1000, 1023, 1025, 4099, 65537]


def oracle(counter, key):
    """Philox 4x32-10 of one counter in Python integers, from section 4 of Salmon et al."""
    c, k = list(counter), list(key)
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return tuple(c)


def random_words(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 2**32, shape, dtype=np.uint32)


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_known_answers_of_random123(counter, key, output):
    words = philox.philox4x32(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert words.dtype == np.uint32
    assert tuple(words.tolist()) == output
    assert oracle(counter, key) == output


def test_any_counter_and_key_equal_the_oracle():
    counters, keys = random_words((5, 3, 4)), random_words((3, 2), 1)
    words = philox.philox4x32(counters, keys)
    assert words.shape == (5, 3, 4)
    for i in range(5):
        for j in range(3):
            assert tuple(words[i, j].tolist()) == oracle(counters[i, j].tolist(), keys[j].tolist())


def test_words_broadcast_like_the_full_counter():
    keys, draws = random_words((3, 2)), np.arange(7)[:, np.newaxis]
    words = philox.philox_words(keys, (draws, 0, 5, 9))
    assert [word.shape for word in words] == [(7, 3)] * 4
    counters = np.zeros((7, 3, 4), np.uint32) + np.array([0, 0, 5, 9], np.uint32)
    counters[..., 0] = draws
    np.testing.assert_array_equal(np.stack(words, axis=-1), philox.philox4x32(counters, keys))


def test_an_empty_counter_gives_no_words():
    assert philox.philox4x32(np.zeros((0, 4), np.uint32), np.zeros((0, 2), np.uint32)).shape == (0, 4)


def test_inputs_are_left_as_they_were():
    counter, key = np.arange(4, dtype=np.uint64), np.arange(2, dtype=np.uint32)
    philox.philox_words(key, tuple(counter[i : i + 1] for i in range(4)))
    philox.philox4x32(counter, key)
    assert counter.tolist() == [0, 1, 2, 3]
    assert key.tolist() == [0, 1]


def test_fold_is_philox_of_the_datum_in_its_own_domain():
    folded = philox.fold((7, 8), 2**40 + 3)
    assert folded.dtype == np.uint32
    assert tuple(folded.tolist()) == oracle((3, 2**8, 0, 0x464F4C44), (7, 8))[:2]


def test_fold_of_two_data_is_two_folds_and_order_matters():
    np.testing.assert_array_equal(philox.fold((1, 2), 3, 4), philox.fold(philox.fold((1, 2), 3), 4))
    assert philox.fold((1, 2), 3, 4).tolist() != philox.fold((1, 2), 4, 3).tolist()


def test_fold_broadcasts_seeds_against_data():
    rows, steps = np.arange(3), np.arange(5)[:, np.newaxis]
    folded = philox.fold((1, 2), steps, rows)
    assert folded.shape == (5, 3, 2)
    np.testing.assert_array_equal(folded[4, 2], philox.fold((1, 2), 4, 2))
    np.testing.assert_array_equal(philox.fold(folded, rows)[4, 1], philox.fold((1, 2), 4, 1, 1))


def test_folds_of_200_000_data_are_all_different():
    folded = philox.fold((1, 2), np.arange(200_000)).astype(np.uint64)
    assert len(np.unique((folded[:, 0] << np.uint64(32)) | folded[:, 1])) == 200_000


def test_fold_takes_all_64_bits_of_a_datum():
    results = {tuple(philox.fold((1, 2), datum).tolist()) for datum in (0, 1, 2**32, 2**63, 2**64 - 1, 2**64 - 2**32)}
    assert len(results) == 6


@pytest.mark.parametrize("datum", [-1, np.array([3, -1]), 0.5, True])
def test_fold_rejects_data_other_than_natural_numbers(datum):
    with pytest.raises(ValueError, match="from 0 to 2"):
        philox.fold((1, 2), datum)


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64])
def test_a_seed_is_the_same_in_every_integer_type(dtype):
    np.testing.assert_array_equal(philox.as_seed(np.array([[5, 7]], dtype)), np.array([[5, 7]], np.uint32))


def test_negative_seeds_count_modulo_two_to_the_32():
    for dtype in (np.int32, np.int64):
        assert philox.as_seed(np.array([-1, -(2**31)], dtype)).tolist() == [2**32 - 1, 2**31]


def test_every_bit_of_a_wide_seed_counts():
    seeds = [(0, 0), (2**32, 0), (0, 2**32), (2**40, 0), (-(2**40), 0), (-(2**31) - 1, 0), (2**63 - 1, 2**63 - 1)]
    assert len({tuple(philox.as_seed(seed).tolist()) for seed in seeds}) == len(seeds)


def test_a_wide_seed_is_hashed_independently_of_its_neighbours():
    batch = philox.as_seed(np.array([[1, 2], [2**40 + 9, 3], [4, 5]]))
    assert batch[0].tolist() == [1, 2]
    assert tuple(batch[1].tolist()) == oracle((9, 2**8, 3, 0), (0x53454544, 0))[:2]
    np.testing.assert_array_equal(batch[1], philox.as_seed((2**40 + 9, 3)))


@pytest.mark.parametrize("seed", [3, (1, 2, 3), [[1], [2]], (1.0, 2.0)])
def test_a_seed_of_another_shape_or_type_is_rejected(seed):
    with pytest.raises(ValueError, match=r"shape \(..., 2\)"):
        philox.as_seed(seed)


def test_scale_is_multiply_and_shift():
    words = random_words(100).astype(np.uint64)
    expected = [int(word) * 37 >> 32 for word in words]
    assert philox.scale(words, 37).tolist() == expected
    assert philox.scale(np.array([0, 2**32 - 1], np.uint64), np.array([5, 2**31])).tolist() == [0, 2**31 - 1]


@pytest.mark.parametrize("size", SIZES)
def test_a_permutation_is_a_bijection(size):
    for key in range(5):
        permuted = philox.permute(np.arange(size), size, (key, 1))
        assert permuted.dtype == np.int64
        np.testing.assert_array_equal(np.sort(permuted), np.arange(size))


def test_every_small_size_permutes_bijectively():
    for size in range(1, 70):
        assert sorted(philox.permute(np.arange(size), size, (9, size)).tolist()) == list(range(size))


def test_a_permutation_is_computed_element_by_element():
    whole = philox.permute(np.arange(1000), 1000, (1, 2))
    assert philox.permute(17, 1000, (1, 2)) == whole[17]
    np.testing.assert_array_equal(philox.permute([[5, 999], [0, 5]], 1000, (1, 2)), whole[[[5, 999], [0, 5]]])


@pytest.mark.parametrize("size", [2, 3, 4])
def test_all_orders_of_few_elements_are_equally_likely(size):
    seeds = philox.fold((3, 3), np.arange(600))
    orders = [tuple(philox.permute(np.arange(size), size, seed).tolist()) for seed in seeds]
    counts = list({order: orders.count(order) for order in set(orders)}.values())
    assert len(counts) == {2: 2, 3: 6, 4: 24}[size]
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("size", [5, 17])
def test_every_element_goes_to_every_place_equally_often(size):
    table = np.zeros((size, size))
    for seed in philox.fold((4, 4), np.arange(600)):
        table[np.arange(size), philox.permute(np.arange(size), size, seed)] += 1
    statistic = ((table - 600 / size) ** 2 / (600 / size)).sum()
    assert stats.chi2.sf(statistic, (size - 1) ** 2) > 1e-3


def test_neighbours_are_separated():
    permuted = philox.permute(np.arange(10**5), 10**5, (5, 6))
    assert abs(np.corrcoef(np.arange(10**5), permuted)[0, 1]) < 0.01
    steps = np.abs(np.diff(permuted))
    assert abs(steps.mean() / (10**5 / 3) - 1) < 0.01  # The mean distance of two uniform points is a third.


def test_different_seeds_give_unrelated_orders():
    one, other = (philox.permute(np.arange(10**5), 10**5, (5, key)) for key in (6, 7))
    assert np.count_nonzero(one == other) < 10  # One element in common is expected.


def test_the_largest_size_permutes_in_constant_memory():
    size = 2**48 - 59
    permuted = philox.permute(np.array([0, 1, size - 1]), size, (1, 2))
    assert len(set(permuted.tolist())) == 3
    assert permuted.min() >= 0
    assert permuted.max() < size


@pytest.mark.parametrize(("index", "size"), [(0, 0), (0, 2**48 + 1), (5, 5), (-1, 5)])
def test_an_index_or_size_out_of_range_is_rejected(index, size):
    with pytest.raises(ValueError, match="must be from"):
        philox.permute(index, size, (1, 2))


def test_golden_values_stay():
    assert philox.fold((1, 2), 3).tolist() == [3817757534, 3359486034]
    assert philox.permute(np.arange(10), 10, (1, 2)).tolist() == [8, 4, 7, 5, 1, 6, 9, 3, 2, 0]
    places = philox.permute(np.arange(0, 1000, 100), 1000, (1, 2))
    assert places.tolist() == [23, 386, 40, 972, 639, 948, 751, 717, 36, 775]
