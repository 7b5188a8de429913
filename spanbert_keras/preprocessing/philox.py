"""Counter-based random numbers: Philox 4x32-10, seeds folded with data, and keyed permutations.

A number is a pure function of (key, counter), so nothing is ever advanced, stored or replayed: any element of any
stream can be computed alone, in any order, on any machine. Integer arithmetic only.

Reference: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011 (Random123).
"""

from typing import Any

import numpy as np

# Salmon et al., table 2 and section 4.2: the multipliers, and the golden ratio and sqrt(3) - 1 as Weyl constants.
MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
ROUNDS = 10
WORD = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)

# The fourth word of a counter names its purpose, so that streams under one key never overlap.
FOLD_DOMAIN = 0x464F4C44
PERMUTE_DOMAIN = 0x5045524D
SEED_DOMAIN = 0x53454544

MAX_PERMUTATION_SIZE = 2**48
FEISTEL_ROUNDS = 8
# Below 8 bits a round mixes little: with eight rounds some places of five elements are 10 % too frequent, with 24 none.
SMALL_FEISTEL_BITS, SMALL_FEISTEL_ROUNDS = 8, 24


def philox_words(key: np.ndarray, counter: tuple[Any, Any, Any, Any]) -> list[np.ndarray]:
    """Returns the four output words of Philox 4x32-10 as separate arrays.

    The fast form of `philox4x32`: a word of the counter that is the same everywhere is passed as one int.

    Args:
        key: uint32 `(..., 2)`.
        counter: four ints or integer arrays below 2**32, each broadcast against `key`'s leading axes.

    Returns:
        list of four uint64 arrays of the broadcast shape, each below 2**32.
    """
    key = np.asarray(key)
    shape = np.broadcast_shapes(key.shape[:-1], *(np.shape(word) for word in counter))
    # 64-bit lanes hold the 32 x 32 -> 64 bit products; one axis at least, since NumPy's scalars don't work in place.
    c0, c1, c2, c3 = (np.array(np.broadcast_to(word, shape or (1,)), np.uint64) for word in counter)
    k0, k1 = (np.atleast_1d(key[..., i]).astype(np.uint64) for i in range(2))
    left, right = np.empty_like(c0), np.empty_like(c0)
    for _ in range(ROUNDS):
        np.multiply(c0, MULTIPLIERS[0], out=left)
        np.multiply(c2, MULTIPLIERS[1], out=right)
        # (c0, c1, c2, c3) = (high(right) ^ c1 ^ k0, low(right), high(left) ^ c3 ^ k1, low(left)), in place for speed.
        np.right_shift(right, HALF, out=c0)
        c0 ^= c1
        c0 ^= k0
        np.bitwise_and(right, WORD, out=c1)
        np.right_shift(left, HALF, out=c2)
        c2 ^= c3
        c2 ^= k1
        np.bitwise_and(left, WORD, out=c3)
        k0, k1 = (k0 + WEYL[0]) & WORD, (k1 + WEYL[1]) & WORD
    return [word.reshape(shape) for word in (c0, c1, c2, c3)]


def philox4x32(counter: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Returns the Philox 4x32-10 random bits of each (counter, key).

    Args:
        counter: uint32 `(..., 4)`, least significant word first as in Random123.
        key: uint32 `(..., 2)`; its leading axes broadcast against those of `counter`.

    Returns:
        uint32 `(..., 4)`, uniform and independent for different (counter, key).
    """
    counter = np.asarray(counter)
    words = philox_words(key, (counter[..., 0], counter[..., 1], counter[..., 2], counter[..., 3]))
    return np.stack(words, axis=-1).astype(np.uint32)


def as_seed(seed: Any) -> np.ndarray:
    """Returns seeds as Philox keys.

    Args:
        seed: integers `(..., 2)`. A seed whose two values fit 32 bits (-2**31 to 2**32 - 1, negative ones counting
            modulo 2**32) is the key itself; a wider one is hashed to a key, so that none of its 128 bits is ignored.

    Returns:
        uint32 `(..., 2)`.

    Raises:
        ValueError: `seed` isn't integer or its last axis isn't 2.
    """
    seed = np.asarray(seed)
    if seed.dtype.kind not in "iu" or seed.ndim == 0 or seed.shape[-1] != 2:
        raise ValueError(
            f"`seed` must be integers of shape (..., 2). Received: dtype={seed.dtype}, shape={seed.shape}."
        )
    keys = seed.astype(np.uint32)
    if seed.dtype.itemsize > 4:
        wide = ((seed >= 2**32) | (seed < -(2**31))).any(axis=-1)  # (...)
        if wide.any():
            number = seed[wide].astype(np.uint64)  # (wide seeds, 2)
            low, high = number & WORD, number >> HALF
            words = philox_words(np.array([SEED_DOMAIN, 0]), (low[:, 0], high[:, 0], low[:, 1], high[:, 1]))
            keys[wide] = np.stack(words[:2], axis=-1)
    return keys


def fold(seed: Any, *data: Any) -> np.ndarray:
    """Returns a new seed, independent of the old one and different for different data.

    `fold(seed, a, b)` equals `fold(fold(seed, a), b)`. Fold a seed before using it for two purposes.

    Args:
        seed: integers `(..., 2)`.
        *data: ints or integer arrays, from 0 to 2**64 - 1, broadcast against the seed's leading axes.

    Returns:
        uint32 `(..., 2)` of the broadcast shape.

    Raises:
        ValueError: a seed or datum isn't an integer of that range.

    Example: `fold((7, 0), np.arange(256))` has shape (256, 2): a seed for each row of a batch.
    """
    folded = as_seed(seed)
    for datum in data:
        number = np.asarray(datum)
        if number.dtype.kind not in "iu" or (number.size and int(number.min()) < 0):
            raise ValueError(f"`data` of `fold` must be integers from 0 to 2**64 - 1. Received: {datum}.")
        number = number.astype(np.uint64)
        words = philox_words(folded, (number & WORD, number >> HALF, 0, FOLD_DOMAIN))
        folded = np.stack(words[:2], axis=-1).astype(np.uint32)
    return folded


def scale(words: np.ndarray, size: Any) -> np.ndarray:
    """Maps random 32-bit words to 0..size - 1 by multiply and shift (bias below size / 2**32).

    Args:
        words: uint64 array of values below 2**32.
        size: int or int array of 1..2**31, broadcast against `words`.

    Returns:
        int64 array of the broadcast shape.
    """
    return ((words * np.asarray(size).astype(np.uint64)) >> HALF).astype(np.int64)


def _mix(value: np.ndarray) -> np.ndarray:
    """Returns the SplitMix64 finalizer of each uint64 (Steele et al., 2014, figure 17): every bit depends on all."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def _feistel(value: np.ndarray, bits: np.ndarray, round_keys: np.ndarray) -> np.ndarray:
    """Returns a keyed bijection of 0..2**bits - 1, applied to each uint64 of `value`; `bits` uint64, broadcast."""
    one = np.uint64(1)
    low_bits = bits >> one
    high_bits = bits - low_bits
    low_mask, high_mask = (one << low_bits) - one, (one << high_bits) - one
    low, high = value & low_mask, value >> low_bits
    for i in range(0, len(round_keys), 2):
        high = high ^ (_mix(low + round_keys[i]) & high_mask)
        low = low ^ (_mix(high + round_keys[i + 1]) & low_mask)
    return (high << low_bits) | low


def permute(index: Any, size: Any, seed: Any) -> np.ndarray:
    """Returns where a seeded shuffle of `range(size)` puts each index, without storing the shuffle.

    A Feistel network (8 rounds; 24 for small sizes) over the next power of two; a value outside the range walks along
    its cycle until it is inside (Black and Rogaway, 2002), fewer than two steps on average.

    Args:
        index: int or int array of 0..size - 1.
        size: int, 1..2**48, the number of elements that are shuffled; or an array of `index`'s shape, to look up
            elements of different shuffles at once.
        seed: integers `(2,)` of 32 bits each; or `(*index.shape, 2)`, one for each element.

    Returns:
        int64 array of `index`'s shape; a bijection of `range(size)` for every seed.

    Raises:
        ValueError: `size` or an index is out of range.

    Example: `permute(np.arange(5), 5, (1, 2))` is the numbers 0..4 in some order.
    """
    index = np.asarray(index)
    sizes = np.broadcast_to(np.asarray(size, np.int64), index.shape).reshape(-1)
    if np.size(size) and not (np.min(size) >= 1 and np.max(size) <= MAX_PERMUTATION_SIZE):
        raise ValueError(f"`size` must be from 1 to 2**48. Received: size={size}.")
    value = index.reshape(-1).astype(np.int64)
    if value.size and (value.min() < 0 or (value >= sizes).any()):
        raise ValueError(f"`index` must be from 0 to size - 1. Received: {value.min()}..{value.max()}, size={size}.")
    bits = np.frexp((sizes - 1).astype(np.float64))[1].astype(np.uint64)  # bit length, exact below 2**53
    keys = np.expand_dims(as_seed(seed).reshape(-1, 2), 0)  # (1, 1 or N, 2)
    result = np.empty(value.size, np.int64)
    small = bits <= SMALL_FEISTEL_BITS
    for chosen, rounds in ((small, SMALL_FEISTEL_ROUNDS), (~small, FEISTEL_ROUNDS)):
        if chosen.any():
            own_keys = keys if keys.shape[1] == 1 else keys[:, chosen]
            words = philox_words(own_keys, (np.arange(rounds)[:, None], 0, 0, PERMUTE_DOMAIN))
            round_keys = np.broadcast_to((words[0] << HALF) | words[1], (rounds, int(chosen.sum())))
            result[chosen] = _walk(value[chosen], sizes[chosen], bits[chosen], round_keys)
    return result.reshape(index.shape)


def _walk(value: np.ndarray, sizes: np.ndarray, bits: np.ndarray, round_keys: np.ndarray) -> np.ndarray:
    """Returns each value's image under its Feistel network, walked on until it is below its size."""
    sizes = sizes.astype(np.uint64)
    value = _feistel(value.astype(np.uint64), bits, round_keys)
    outside = np.flatnonzero(value >= sizes)
    while outside.size:
        value[outside] = _feistel(value[outside], bits[outside], round_keys[:, outside])
        outside = outside[value[outside] >= sizes[outside]]
    return value.astype(np.int64)
