"""Mentions as characters of a text turned into mentions as bytes of its pieces.

Shape letters: P pieces of a document, S mentions.
"""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.data.annotations.annotator import Mention
from spanbert_keras.data.shards.annotation_format import LABEL_SHIFT
from spanbert_keras.preprocessing.masking.row_units import FIRST, INSIDE, consecutive


def mention_bytes(
    mentions: Sequence[Mention], offsets: np.ndarray, word_starts: np.ndarray, numbers: dict[str, int]
) -> np.ndarray:
    """Returns the annotation of a document.

    A mention holds every piece that it overlaps, and is extended to whole words. Mentions that then overlap an earlier
    one are left out; of two that begin with one word, the longer one is kept.

    Args:
        mentions: sequence of `Mention`, in characters of the document.
        offsets: int64 `(P, 2)`. Half-open range of each piece in the document; both columns ascend.
        word_starts: bool `(P,)`. Whether each piece begins a word; the first one does.
        numbers: dict from label to its number; other labels have number 0.

    Returns:
        uint8 `(P,)`; see `annotation_format`.
    """
    values = np.zeros(len(offsets), np.uint8)
    if not len(mentions) or not len(offsets):
        return values
    ranges = np.array([mention[:2] for mention in mentions], np.int64)  # (S, 2)
    label = np.array([numbers.get(mention.label, 0) for mention in mentions], np.int64)
    first = np.searchsorted(offsets[:, 1], ranges[:, 0], side="right")
    last = np.searchsorted(offsets[:, 0], ranges[:, 1], side="left") - 1
    found = first <= last  # not for one between pieces, such as a blank
    first, last, label = first[found], last[found], label[found]
    begins = np.append(np.flatnonzero(word_starts), len(offsets))  # first piece of each word, and P
    first = np.searchsorted(begins, first, side="right") - 1  # now words
    last = np.searchsorted(begins, last, side="right") - 1
    order = np.lexsort((-last, first))
    first, last, label = first[order], last[order], label[order]
    if (first[1:] <= last[:-1]).any():
        apart = _without_overlaps(first.tolist(), last.tolist())
        first, last, label = first[apart], last[apart], label[apart]
    start, length = begins[first], begins[last + 1] - begins[first]
    values[consecutive(start, length)] = np.repeat(INSIDE | label << LABEL_SHIFT, length)
    values[start] |= FIRST
    return values


def _without_overlaps(first: list[int], last: list[int]) -> list[int]:
    """Returns the indices of the ranges, in ascending order, that overlap none of the kept ones before."""
    kept, end = [], -1
    for index, (begin, stop) in enumerate(zip(first, last, strict=True)):
        if begin > end:
            kept.append(index)
            end = stop
    return kept
