"""What an annotation of a corpus contains, in numbers."""

import collections
import dataclasses

import numpy as np

from spanbert_keras.data.annotations.kept_mentions import kept_table
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.preprocessing.masking.row_units import FIRST, INSIDE

READ_AT_ONCE = 1 << 22  # pieces
COUNTED_PIECES = 5_000_000  # pieces of the training split in which the most frequent mentions are counted


@dataclasses.dataclass(frozen=True)
class AnnotationReport:
    """Facts about one annotation.

    Attributes:
        name: str.
        mentions: int. Number of mentions.
        piece_share: float. Share of all pieces that are in mentions.
        per_100_words: float. Mentions per 100 words.
        labels: dict from label to its number of mentions, most frequent first.
        frequent: list of (text, count). The most frequent mentions in the first pieces of the training split, of those
            that are masked by default (`kept_table`).
        masked: int. Number of mentions that are masked by default.
        missing: int. Documents that the annotator's input lacked.
    """

    name: str
    mentions: int
    piece_share: float
    per_100_words: float
    labels: dict[str, int]
    frequent: list[tuple[str, int]]
    masked: int = 0
    missing: int = 0


def report_annotation(shards: TokenShards, name: str, frequent: int = 10) -> AnnotationReport:
    """Reads an annotation of both splits, and returns what it contains.

    Args:
        shards: `TokenShards`.
        name: str. `"entities"` or `"noun_phrases"`.
        frequent: int. Number of mentions to list.

    Raises:
        InputError: as `TokenShards.annotations`.
    """
    annotation, tokenizer = shards.annotations(name), shards.tokenizer()
    word_starts = tokenizer.word_starts()
    kept = kept_table(annotation.labels)
    pieces = words = inside = 0
    labels = np.zeros(64, np.int64)
    counter: collections.Counter[bytes] = collections.Counter()
    left = COUNTED_PIECES
    for split in ("train", "heldout"):
        part = shards.split(split)
        opened = annotation.open(part.paths, [len(array) for array in part.pieces])
        for ids, values in zip(part.pieces, opened, strict=True):
            for begin in range(0, len(ids), READ_AT_ONCE):
                some_ids = np.asarray(ids[begin : begin + READ_AT_ONCE])
                some = np.asarray(values[begin : begin + READ_AT_ONCE])
                pieces += len(some_ids)
                words += int(word_starts[some_ids].sum())
                inside += int(np.count_nonzero(some & INSIDE))
                labels += np.bincount(some[(some & FIRST) > 0] >> 2, minlength=64)
                if split == "train" and left > 0:
                    counter.update(_mentions(some_ids[:left], kept[some[:left]]))
                    left -= len(some_ids)
    texts = [(np.frombuffer(key, part.pieces[0].dtype), count) for key, count in counter.most_common(frequent)]
    named = {label: int(labels[i]) for i, label in enumerate(annotation.labels, start=1) if labels[i]}
    unlabelled = {"(no label)": int(labels[0])} if labels[0] else {}
    mentions = int(labels.sum())
    masked = int(labels[kept[(np.arange(64) << 2) | FIRST | INSIDE] > 0].sum())
    return AnnotationReport(
        name=name,
        mentions=mentions,
        piece_share=inside / max(1, pieces),
        per_100_words=100 * mentions / max(1, words),
        labels=dict(sorted((named | unlabelled).items(), key=lambda item: -item[1])),
        frequent=[(tokenizer.detokenize(ids.tolist()), count) for ids, count in texts],
        masked=masked,
        missing=annotation.missing,
    )


def _mentions(pieces: np.ndarray, values: np.ndarray) -> list[bytes]:
    """Returns the pieces of each mention as bytes."""
    starts = np.flatnonzero(values & FIRST)
    outside = np.append(np.flatnonzero((values & INSIDE) == 0), len(values))
    ends = outside[np.searchsorted(outside, starts)]
    ends = np.minimum(ends, np.append(starts[1:], len(values)))
    return [pieces[a:b].tobytes() for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
