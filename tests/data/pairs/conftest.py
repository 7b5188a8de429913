"""Units of random documents, and the walk over them once more: slowly, one document and one piece after the other."""

import functools

import numpy as np
import pytest

from spanbert_keras.data.pairs.unit_index import Units
from spanbert_keras.preprocessing.philox import fold, philox4x32


@pytest.fixture(scope="session")
def units_of():
    """Function of (lengths of the units of each document): `Units`."""

    def make(documents):
        lengths = [length for document in documents for length in document]
        counts = [len(document) for document in documents]
        return Units(np.cumsum([0, *lengths]), np.cumsum([0, *counts]))

    return make


@pytest.fixture(scope="session")
def random_documents():
    """Function of (number of documents, seed, mean length of a unit): lengths of units, a few of them very long."""

    def make(count, seed=0, mean=9):
        random = np.random.default_rng(seed)
        documents = []
        for _ in range(count):
            lengths = 1 + random.poisson(mean - 1, 1 + random.geometric(0.08))
            lengths[random.random(len(lengths)) < 0.02] = 400
            documents.append(lengths.tolist())
        return documents

    return make


@functools.cache
def key_of(copy, document):
    return fold(fold((11, 11), copy), document)


def words(copy, document, counter):
    return [int(word) for word in philox4x32(np.array(counter, np.uint32), key_of(copy, document))]


def coins(copy, document, chunk, lengths, room):
    """Removes piece after piece of (|A|, |B|); returns the pieces removed from front and back of each."""
    left, removed = list(lengths), [0, 0]
    while sum(left) > room:
        longer = 0 if left[0] > left[1] else 1
        left[longer] -= 1
        removed[longer] += 1
    stream = (word for j in range(10**6) for word in words(copy, document, (chunk, 1 + j, 5, 0)))
    result = []
    for count in removed:
        bits = []
        while len(bits) < count:
            word = next(stream)
            bits += [word >> place & 1 for place in range(32)]
        front = sum(bits[:count])
        result.append((front, count - front))
    return result


def walk(starts, bounds, document, row_length, rate, copy):
    """Yields the pairs of one document: (start of A, start of B, |A|, |B|, label)."""
    room, documents = row_length - 3, len(bounds) - 1
    begin_words = words(copy, document, (0, 0, 5, 1))
    target = 2 + (begin_words[1] * (room - 1) >> 32) if begin_words[0] < int(rate * 2**32) else room
    unit, chunk = bounds[document], 0
    while unit < bounds[document + 1]:
        w = words(copy, document, (chunk, 0, 5, 0))
        end = unit + 1
        while end < bounds[document + 1] and starts[end] - starts[unit] < target:
            end += 1
        a_end = unit + 1 if end - unit == 1 else unit + 1 + (w[0] * (end - unit - 1) >> 32)
        a, label = (starts[unit], starts[a_end]), int(end - unit == 1 or w[1] < 2**31)
        if label:
            other = w[2] * (documents - 1) >> 32
            other += other >= document
            first = bounds[other] + (w[3] * (bounds[other + 1] - bounds[other]) >> 32)
            stop = first + 1
            while stop < bounds[other + 1] and starts[stop] - starts[first] < target - (a[1] - a[0]):
                stop += 1
            b = (starts[first], starts[stop])
        else:
            b = (starts[a_end], starts[end])
        cut_a, cut_b = coins(copy, document, chunk, (a[1] - a[0], b[1] - b[0]), room)
        a, b = (a[0] + cut_a[0], a[1] - cut_a[1]), (b[0] + cut_b[0], b[1] - cut_b[1])
        yield a[0], b[0], a[1] - a[0], b[1] - b[0], label
        unit, chunk = (a_end if label else end), chunk + 1


@pytest.fixture(scope="session")
def slow_pairs():
    """Function of (units, T, share of short documents, copy): list of (start of A, start of B, |A|, |B|, label)."""

    def make(units, row_length, rate=0.0, copy=0):
        starts, bounds = units.starts.tolist(), units.documents.tolist()
        return [pair for d in range(units.num_documents) for pair in walk(starts, bounds, d, row_length, rate, copy)]

    return make
