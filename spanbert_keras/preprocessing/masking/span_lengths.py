"""Lengths of masked spans: the paper's geometric law over words, truncated and renormalised."""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from spanbert_keras.arguments import real_number, whole_number
from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.random_streams import RandomStream

# A rate given as a float means the short decimal that was typed: 0.2 is 1/5, not the nearest double.
RATE_DENOMINATOR = 10**6
MAX_SPAN_LENGTH = 1000  # words; the time for exact probabilities grows with the square


def as_fraction(rate: float) -> Fraction:
    """Returns a rate as the simple fraction that was meant, so that all later arithmetic is exact."""
    return Fraction(rate).limit_denominator(RATE_DENOMINATOR)


def _weights(p: float, max_span_length: int) -> list[int]:
    """Returns numbers in the exact proportions of the probabilities of the lengths 1..max_span_length."""
    max_span_length = whole_number("max_span_length", max_span_length, maximum=MAX_SPAN_LENGTH)
    stop = as_fraction(real_number("p", p))
    if not 0 < stop <= 1:
        raise ValueError(f"`p` must be above 0 and at most 1. Received: p={p}.")
    ends, of = stop.numerator, stop.denominator
    return [(of - ends) ** (length - 1) * of ** (max_span_length - length) for length in range(1, max_span_length + 1)]


def span_length_probabilities(p: float = 0.2, max_span_length: int = 10) -> np.ndarray:
    """Returns the probability of each span length, in words.

    P(l) = p (1 - p)^(l - 1) / sum over 1..max_span_length, the law of section 3.1. The paper calls it clipped at 10 and
    gives a mean of 3.8: that is the renormalised law (3.797). Putting the tail's mass on 10 would give 4.46.

    Args:
        p: float, above 0 and at most 1: the chance that a span ends after each word. Defaults to 0.2 (section 3.1).
        max_span_length: int, words. Defaults to 10 (section 3.1).

    Returns:
        float64 `(max_span_length,)`; entry i is the probability of i + 1 words.

    Raises:
        ValueError: an argument is out of range.

    Example:

    ```python
    import numpy as np

    from spanbert_keras import span_length_probabilities

    probabilities = span_length_probabilities()  # (10,), 0.224 for one word
    mean = np.arange(1, 11) @ probabilities  # 3.797
    ```
    """
    weights = _weights(p, max_span_length)
    total = sum(weights)
    return np.array([weight / total for weight in weights])


def length_thresholds(p: float, max_span_length: int) -> np.ndarray:
    """Returns uint64 `(max_span_length - 1,)`: a 32-bit word below entry i (and not below i - 1) means i + 1 words."""
    cumulative = list(itertools.accumulate(_weights(p, max_span_length)))
    return np.array([(weight << 32) // cumulative[-1] for weight in cumulative[:-1]], np.uint64)


def lengths_of_words(words: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Maps random 32-bit words (uint64) to span lengths (int64, words) by `length_thresholds`."""
    return np.searchsorted(thresholds, words, side="right").astype(np.int64) + 1


def span_words(seeds: np.ndarray, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the random words of the draws begin..end - 1 of each row.

    A Philox counter serves two draws: words 0 and 1 are an even draw's length and start, 2 and 3 the next one's.

    Args:
        seeds: uint32 `(R, 2)`.
        begin: int. The first draw.
        end: int. One past the last draw.

    Returns:
        Words for the lengths and words for the starts: uint64 `(end - begin, R)` both, each below 2**32.
    """
    counters = np.arange(begin // 2, -(-end // 2))[:, np.newaxis]  # (C, 1)
    words = np.stack(philox.philox_words(seeds, (counters, 0, RandomStream.SPANS, 0)), axis=1)  # (C, 4, R)
    draws = words.reshape(-1, 2, len(seeds))[begin % 2 :][: end - begin]
    return draws[:, 0], draws[:, 1]


def draw_span_lengths(seed: Any, count: int, p: float = 0.2, max_span_length: int = 10) -> np.ndarray:
    """Returns the first lengths that `SpanMasker` draws for a row with this seed.

    Args:
        seed: integers `(2,)`, or `(B, 2)` for many rows.
        count: int. Number of draws per row.
        p: float, as in `span_length_probabilities`. Defaults to 0.2.
        max_span_length: int, words. Defaults to 10.

    Returns:
        int64 `(count,)`, or `(B, count)`: words, 1..max_span_length, independent.

    Raises:
        ValueError: an argument is out of range.

    Example:

    ```python
    from spanbert_keras import draw_span_lengths

    lengths = draw_span_lengths(seed=(1, 2), count=100_000)  # (100000,)
    lengths.mean()  # about 3.797
    ```
    """
    count = whole_number("count", count, minimum=0)
    keys = philox.as_seed(seed)
    words, _ = span_words(keys.reshape(-1, 2), 0, count)  # (count, B)
    return lengths_of_words(words.T, length_thresholds(p, max_span_length)).reshape(*keys.shape[:-1], count)
