"""Characters to bytes of pieces, against a plain loop."""

import numpy as np
import pytest

from spanbert_keras.data.annotations.annotator import Mention
from spanbert_keras.data.annotations.mention_bytes import mention_bytes

NUMBERS = {"A": 1, "B": 63}
# "an " "ox" "en" " " "eat" "s" at characters 0-2, 3-5, 5-7, 8-11, 11-12: three words.
OFFSETS = np.array([[0, 2], [3, 5], [5, 7], [8, 11], [11, 12]])
STARTS = np.array([True, True, False, True, False])


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([], [0, 0, 0, 0, 0]),
        ([Mention(0, 7)], [3, 1, 1, 0, 0]),
        ([Mention(3, 7, "A")], [0, 7, 5, 0, 0]),
        ([Mention(6, 7, "B")], [0, 255, 253, 0, 0]),  # extended to the whole word
        ([Mention(4, 9, "other")], [0, 3, 1, 1, 1]),
        ([Mention(2, 3), Mention(7, 8), Mention(12, 99)], [0, 0, 0, 0, 0]),  # blanks
        ([Mention(3, 7), Mention(8, 12), Mention(0, 2)], [3, 3, 1, 3, 1]),
        ([Mention(0, 2, "A"), Mention(0, 7, "B")], [255, 253, 253, 0, 0]),  # the longer of two
        ([Mention(0, 5, "A"), Mention(5, 12, "B")], [7, 5, 5, 0, 0]),  # the earlier of two
        ([Mention(-5, 99)], [3, 1, 1, 1, 1]),
    ],
)
def test_mentions_hold_whole_words_and_do_not_overlap(mentions, expected):
    values = mention_bytes(mentions, OFFSETS, STARTS, NUMBERS)
    assert values.dtype == np.uint8 and values.tolist() == expected


def by_loop(mentions, offsets, starts, numbers):
    """The annotation by looking at every piece of every mention."""
    words = []
    for i, begins in enumerate(starts):
        words += [[i]] if begins else []
        words[-1] += [] if begins else [i]
    ranges = []
    for mention in mentions:
        inside = [
            w
            for w, pieces in enumerate(words)
            if any(mention.start < offsets[i][1] and offsets[i][0] < mention.end for i in pieces)
        ]
        if inside:
            ranges.append((inside[0], -inside[-1], numbers.get(mention.label, 0)))
    values, taken = [0] * len(offsets), set()
    for first, last, number in sorted(ranges, key=lambda one: one[:2]):
        if not taken & set(range(first, -last + 1)):
            taken |= set(range(first, -last + 1))
            for i in [i for w in range(first, -last + 1) for i in words[w]]:
                values[i] = 1 + 2 * (i == words[first][0]) + 4 * number
    return values


def test_random_documents_equal_the_loop():
    random = np.random.default_rng(0)
    for _ in range(300):
        count = int(random.integers(1, 30))
        widths, gaps = random.integers(1, 4, count), random.integers(0, 2, count)
        ends = np.cumsum(widths + gaps)
        offsets = np.stack([ends - widths, ends], axis=1)
        starts = (gaps > 0) | (random.random(count) < 0.3)
        starts[0] = True
        begins = random.integers(0, ends[-1], random.integers(0, 8))
        mentions = [Mention(int(b), int(b + random.integers(1, 12)), str(random.choice(["A", "B"]))) for b in begins]
        expected = by_loop(mentions, offsets.tolist(), starts.tolist(), NUMBERS)
        assert mention_bytes(mentions, offsets, starts, NUMBERS).tolist() == expected


def test_a_document_without_pieces_has_no_bytes():
    assert mention_bytes([Mention(0, 3)], np.zeros((0, 2), np.int64), np.zeros(0, bool), NUMBERS).shape == (0,)
