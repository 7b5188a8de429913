"""Rows of documents with clusters. Shape letters: N rows, B rows of a batch, L segment_length, P pieces of a row (a
multiple of L), W span widths, M mentions."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.preprocessing.document import Clusters, merge_clusters
from spanbert_keras.preprocessing.document_segments import SegmentedDocument, span_limit
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows

FILL = {"start_groups": -1, "end_groups": -2}  # at padding; 0 in other inputs
COUNTS = (
    "documents",
    "mentions",
    "clusters",
    "mentions_too_long",
    "mentions_across",
    "documents_cut",
    "words_cut",
)


class DocumentRows(ExampleRows):
    """One row for each document, and the clusters of its mentions.

    If a document has more segments than a row holds, a random window of them is read, a different one in each epoch.
    Clusters that share a mention are joined.

    Args:
        documents: sequence of N `SegmentedDocument`.
        genres: sequence of int. The place of each document's genre among the model's.
        clusters: sequence of N clusters of half-open spans of words, or `None`: the rows have no targets.
        segment_length: int. L.
        max_segments: int. Largest number of segments in a row.
        max_span_width: int. W.
        top_span_ratio: float. Spans kept per piece.
        seed: int. Seed of the windows.
        sample_weight: float `(N,)` or `None`.

    Attributes:
        lengths: int64 `(N,)`, multiples of L.
        counts: dict of int. `documents`, `mentions` and `clusters`; `mentions_too_long`, wider than the model's spans,
            and `mentions_across`, across the end of a sentence or a segment, which can never be found;
            `documents_cut`, with more segments than a row holds; `words_cut`, longer than a segment, which lost their
            last pieces.
    """

    input_keys = (
        "token_ids",
        "padding_mask",
        "piece_places",
        "start_groups",
        "end_groups",
        "speakers",
        "segment_numbers",
        "genres",
        "span_limits",
    )

    def __init__(
        self,
        documents: Sequence[SegmentedDocument],
        genres: Sequence[int],
        clusters: Sequence[Clusters] | None,
        *,
        segment_length: int,
        max_segments: int,
        max_span_width: int,
        top_span_ratio: float,
        seed: int = 0,
        sample_weight=None,
    ):
        lengths = [min(len(document.segments), max_segments) * segment_length for document in documents]
        super().__init__(lengths, sample_weight=sample_weight)
        self.target_keys = () if clusters is None else ("span_clusters",)
        self.documents = list(documents)
        self.genres = list(genres)
        self.segment_length = segment_length
        self.max_span_width = max_span_width
        self.top_span_ratio = top_span_ratio
        self.seed = seed
        self.counts = dict.fromkeys(COUNTS, 0)
        for document in self.documents:
            self.counts["documents"] += 1
            self.counts["documents_cut"] += len(document.segments) > max_segments
            self.counts["words_cut"] += document.words_cut
        every = [()] * len(self.documents) if clusters is None else clusters
        self.mentions = [self._mentions(*pair) for pair in zip(self.documents, every, strict=True)]

    def _mentions(self, document: SegmentedDocument, clusters: Clusters) -> np.ndarray:
        """Returns first piece, last piece, and cluster from 1 of the mentions that can be found, int64 `(M, 3)`."""
        merged = merge_clusters(clusters)
        mentions, counts = [], self.counts
        for number, cluster in enumerate(merged, 1):
            for start, end in cluster:
                pieces = document.pieces_of(start, end)
                if pieces is None or document.start_groups[pieces[0]] != document.end_groups[pieces[1]]:
                    counts["mentions_across"] += 1
                elif pieces[1] - pieces[0] >= self.max_span_width:
                    counts["mentions_too_long"] += 1
                else:
                    mentions.append((*pieces, number))
                counts["mentions"] += 1
        counts["clusters"] += len(merged)
        return np.array(mentions, np.int64).reshape(-1, 3)

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns the model's inputs, int32 `(B, P)` and `(B, 1)`, and `span_clusters`, int32 `(B, P, W)`.

        Args:
            rows: int `(B,)`.
            length: int. P is the largest multiple of L within it.
            epoch: int. Together with the seed, selects the window of documents that do not fit.
        """
        size = self.segment_length
        count = length // size
        per_row = ("genres", "span_limits")
        shapes: dict[str, tuple[int, ...]] = {key: (1 if key in per_row else count * size,) for key in self.input_keys}
        shapes |= {key: (count * size, self.max_span_width) for key in self.target_keys}
        batch = {key: np.full((len(rows), *shape), FILL.get(key, 0), np.int32) for key, shape in shapes.items()}
        for place, number in enumerate(rows.tolist()):
            self._fill({key: values[place] for key, values in batch.items()}, number, count, epoch)
        return batch

    def _fill(self, row: dict[str, np.ndarray], number: int, count: int, epoch: int) -> None:
        """Writes one document, cut to `count` segments, into the arrays of its row."""
        document, mentions = self._window(number, count, epoch)
        total, size = len(document), self.segment_length
        row["padding_mask"][::size] = 1  # an empty segment would have no softmax
        first = 0
        for i, segment in enumerate(document.segments):
            places = i * size + np.arange(len(segment))
            row["token_ids"][places] = segment
            row["padding_mask"][places] = 1
            row["piece_places"][first : first + len(segment)] = places
            first += len(segment)
        for key in ("start_groups", "end_groups", "speakers", "segment_numbers"):
            row[key][:total] = getattr(document, key)
        row["genres"][:] = self.genres[number]
        row["span_limits"][:] = span_limit(self.top_span_ratio, total)
        if self.target_keys:
            row["span_clusters"][mentions[:, 0], mentions[:, 1] - mentions[:, 0]] = mentions[:, 2]

    def _window(self, number: int, count: int, epoch: int) -> tuple[SegmentedDocument, np.ndarray]:
        """Returns at most `count` segments of a document, drawn for this epoch, and the mentions in them."""
        document, mentions = self.documents[number], self.mentions[number]
        surplus = len(document.segments) - count
        if surplus <= 0:
            return document, mentions
        first = int(np.random.default_rng([self.seed, epoch, number]).integers(surplus + 1))
        offset = int(np.searchsorted(document.segment_numbers, first))
        document = document.part(first, count)
        here = (mentions[:, 0] >= offset) & (mentions[:, 1] < offset + len(document))
        return document, mentions[here] - [offset, offset, 0]
