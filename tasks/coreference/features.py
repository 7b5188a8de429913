"""Makes training rows from documents.

Shape letters: B rows, N segments, L segment_length, P = N L word pieces, W span widths.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spanbert_keras.program import InputError


@dataclasses.dataclass
class Counts:
    """Counts over the training documents.

    Attributes:
        documents, mentions, clusters: int.
        mentions_too_long: int. Mentions wider than the model's spans, which can never be found.
        mentions_across: int. Mentions across the end of a sentence or a segment, which can never be found.
        documents_cut: int. Documents with more segments than a row holds; each epoch reads a random window of them.
        words_cut: int. Words longer than a segment, which lost their last word pieces.
    """

    documents: int = 0
    mentions: int = 0
    clusters: int = 0
    mentions_too_long: int = 0
    mentions_across: int = 0
    documents_cut: int = 0
    words_cut: int = 0


@dataclasses.dataclass(frozen=True)
class _Row:
    """A document in word pieces, its genre's row, and (first piece, last piece, cluster from 1) of its mentions."""

    document: object
    genre: int
    mentions: np.ndarray


class Rows:
    """Training rows, one per document; see `TrainingRows`.

    If a document has more segments than a row holds, a random window of them is read, a different one in each epoch.

    Args:
        documents: list of `spanbert_keras.Document`.
        model: `SpanBertCoreferenceResolver`.
        max_segments: int. Largest number of segments in a row.
        seed: int. Seed of the random windows.
        where: str. Name of the documents' file in messages.

    Attributes:
        lengths: list of int, multiples of L.
        counts: `Counts`.

    Raises:
        InputError: a document without words, or with a genre that the model does not know.
    """

    def __init__(self, documents: Sequence, model, max_segments: int, seed: int, where: str = "training"):
        self.model = model
        self.max_segments = max_segments
        self.seed = seed
        self.counts = Counts()
        self._rows = [self._row(document.merged(), where) for document in documents]
        length = model.segments.segment_length
        self.lengths = [min(len(row.document.segments), max_segments) * length for row in self._rows]

    def _row(self, document, where: str) -> _Row:
        if not document.tokens:
            raise InputError(f"{where}: the document {document.name!r}, part {document.part}, has no words.")
        try:
            genre = self.model.genre_row(document.genre)
        except InputError as error:
            raise InputError(f"{where}: the document {document.name!r}: {error} Give all with --genres.") from error
        cut = self.model.segments.cut(document.tokens, document.sentences, document.speakers)
        mentions, counts = [], self.counts
        for number, cluster in enumerate(document.clusters, 1):
            for start, end in cluster:
                pieces = cut.pieces_of(start, end)
                if pieces is None or cut.start_groups[pieces[0]] != cut.end_groups[pieces[1]]:
                    counts.mentions_across += 1
                elif pieces[1] - pieces[0] >= self.model.max_span_width:
                    counts.mentions_too_long += 1
                else:
                    mentions.append((*pieces, number))
                counts.mentions += 1
        counts.documents += 1
        counts.clusters += len(document.clusters)
        counts.documents_cut += len(cut.segments) > self.max_segments
        counts.words_cut += cut.words_cut
        return _Row(cut, genre, np.array(mentions, np.int64).reshape(-1, 3))

    def batch(self, rows: np.ndarray, length: int, epoch: int) -> dict[str, np.ndarray]:
        """Returns the model's inputs, int32 `(B, P)`, `(B, 1)`, and `span_clusters`, int32 `(B, P, W)`.

        Args:
            rows: int `(B,)`.
            length: int. P; N is what fits.
            epoch: int. Together with `seed`, selects the window of documents that do not fit.
        """
        size = self.model.segments.segment_length
        count = length // size
        made = [self._inputs(int(row), count, epoch) for row in rows]
        return {key: np.stack([one[key] for one in made]).astype(np.int32) for key in made[0]}

    def _inputs(self, number: int, count: int, epoch: int) -> dict[str, np.ndarray]:
        """Returns one document's inputs, cut to `count` segments."""
        row, model = self._rows[number], self.model
        document, mentions = row.document, row.mentions
        surplus = len(document.segments) - count
        if surplus > 0:
            first = int(np.random.default_rng([self.seed, epoch, number]).integers(surplus + 1))
            offset = int(np.searchsorted(document.segment_numbers, first))
            document = document.part(first, count)
            here = (mentions[:, 0] >= offset) & (mentions[:, 1] < offset + len(document))
            mentions = mentions[here] - [offset, offset, 0]
        size = model.segments.segment_length
        inputs = {key: np.zeros((count, size), np.int32) for key in ("token_ids", "padding_mask")}
        inputs["padding_mask"][:, 0] = 1  # an empty row would have no softmax
        for i, segment in enumerate(document.segments):
            inputs["token_ids"][i, : len(segment)] = segment
            inputs["padding_mask"][i, : len(segment)] = 1
        lengths = [len(segment) for segment in document.segments]
        places = np.concatenate([i * size + np.arange(n) for i, n in enumerate(lengths)])
        pieces, total = count * size, len(document)
        filled = lambda values, fill: np.concatenate([values, np.full(pieces - total, fill)])  # noqa: E731
        clusters = np.zeros((pieces, model.max_span_width), np.int32)
        clusters[mentions[:, 0], mentions[:, 1] - mentions[:, 0]] = mentions[:, 2]
        return {
            "token_ids": inputs["token_ids"].reshape(-1),
            "padding_mask": inputs["padding_mask"].reshape(-1),
            "piece_places": filled(places, 0),
            "start_groups": filled(document.start_groups, -1),
            "end_groups": filled(document.end_groups, -2),
            "speakers": filled(document.speakers, 0),
            "segment_numbers": filled(document.segment_numbers, 0),
            "genres": np.array([row.genre]),
            "span_limits": np.array([model.span_limit(total)]),
            "span_clusters": clusters,
        }
