"""Resolves documents of any length in bounded memory. Shape letters: R rows, T pieces of a tile, W span widths,
P pieces, S spans kept, Q spans of a tile, K spans compared with, A antecedents, D hidden_dim, G span_dim."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from spanbert_keras.decoding.greedy_spans import greedy_spans
from spanbert_keras.layers.coreference.pair_scorer import gather_antecedents
from spanbert_keras.layers.coreference.span_refinement import with_dummy
from spanbert_keras.layers.functional import MASKED
from spanbert_keras.models.bucketed_prediction import quiet_tracing
from spanbert_keras.models.compiled_call import CompiledCall
from spanbert_keras.preprocessing.document_segments import SegmentedDocument

PIECES_PER_TILE = 1024  # pieces whose spans are scored as mentions together
SPANS_PER_TILE = 256  # spans that are compared with earlier ones together
COMPARED_SIZES = (256, 512, 1024, 2048)  # K is padded to one of these, or to the largest that the window allows


@dataclasses.dataclass(frozen=True)
class Links:
    """The links from which a document's clusters are built.

    Attributes:
        starts, ends: int64 `(S,)`. First and last piece (inclusive) of each kept span.
        mention_scores: float32 `(S,)`.
        antecedents: int64 `(S, A)`. Places among the S spans; -1 at padding.
        scores: float32 `(S, A)`. Scores of the antecedents, the dummy's being 0; -inf at padding.
    """

    starts: np.ndarray
    ends: np.ndarray
    mention_scores: np.ndarray
    antecedents: np.ndarray
    scores: np.ndarray

    def best(self) -> np.ndarray:
        """Returns the best antecedent of each span, int64 `(S,)`; -1 if the dummy is better than all."""
        if not self.scores.size:
            return np.full(len(self.starts), -1)
        place = self.scores.argmax(1)[:, np.newaxis]
        best = np.take_along_axis(self.antecedents, place, 1)[:, 0]
        return np.where(np.take_along_axis(self.scores, place, 1)[:, 0] > 0, best, -1)


@dataclasses.dataclass(frozen=True)
class Tile:
    """Up to `SPANS_PER_TILE` spans (queries) and the spans that each of them may be linked to.

    All places count the kept spans of all documents, one document after the other.

    Attributes:
        first, end: int. Half-open range of the queries.
        compared_first: int. The queries are compared with the spans from here to `end`.
        compared_size: int. K, the size that these spans are padded to.
        antecedents: int64 `(Q, A)`. Place of each antecedent that the coarse score chose; -1 at padding.
        pair_inputs: dict of arrays `(1, ...)`. Inputs of the fine stage that stay the same while spans are refined.
    """

    first: int
    end: int
    compared_first: int
    compared_size: int
    antecedents: np.ndarray
    pair_inputs: dict[str, np.ndarray]


class _Stage(keras.Model):
    """A part of the computation, compiled separately on every backend."""

    def __init__(self, function: Callable, layers: Sequence):
        super().__init__(dtype="float32", name="stage")
        self.function = function
        self.used_layers = list(layers)  # whose weights are arguments of the compiled function
        self.built = True
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA would take longer to compile than most documents to resolve

    def call(self, inputs):
        return self.function(inputs)

    def predict_on_batch(self, x):
        with quiet_tracing():
            return super().predict_on_batch(x)


class TiledResolver:
    """Computes what a `SpanBertCoreferenceResolver` computes, in tiles of few static shapes:

        encode -> score -> prune -> coarse -> fine

    `encode` turns segments into vectors of pieces; `score` gives every span a mention score; `prune` keeps the best
    spans that do not cross, and computes their vectors; `coarse` chooses A antecedents of each by a cheap score; `fine`
    scores these closely, and refines the spans as often as the model does. Documents follow one another, and a tile may
    hold the ends and beginnings of several.

    No stage makes an array of size pieces x pieces or spans x spans: the spans of a text are scored in tiles of
    `PIECES_PER_TILE`, and the kept ones are compared in tiles of `SPANS_PER_TILE` with those of the antecedent window.

    Args:
        resolver: `SpanBertCoreferenceResolver`.
    """

    def __init__(self, resolver):
        self.resolver = resolver
        self.encode = CompiledCall(resolver.encoder)
        self.grid = _Stage(self._score_grid, [resolver.span_vectors, resolver.mention_scorer])
        self.vectors = _Stage(self._represent, [resolver.span_vectors, resolver.mention_scorer])
        self.coarse = _Stage(self._choose_antecedents, [resolver.coarse_antecedents])
        self.fine = _Stage(self._score_pairs, [resolver.pair_scorer, resolver.span_refinement])

    def links(
        self,
        documents: Sequence[SegmentedDocument],
        genres: Sequence[int],
        batch_size: int,
        mentions: Sequence | None = None,
    ) -> list[Links]:
        """Returns the links of each document.

        Args:
            documents: sequence of `SegmentedDocument`.
            genres: sequence of int. The row of each document's genre.
            batch_size: int. Segments encoded at once.
            mentions: sequence of lists of (start, end), or of `None`. Half-open spans of words; only these may be
                mentions of that document.
        """
        sequences = self._encode(documents, batch_size)
        chosen = self._prune(documents, self._score(sequences), mentions or [None] * len(documents))
        spans = self._spans(documents, sequences, chosen, genres)
        del sequences  # of a long text as large as the spans' vectors
        if not len(spans["vectors"]):
            empty = np.zeros((0, 0))
            return [Links(starts, ends, np.zeros(0, np.float32), empty, empty) for starts, ends in chosen]
        tiles = [self._coarse(spans, first) for first in range(0, len(spans["vectors"]), SPANS_PER_TILE)]
        return _links(chosen, spans["scores"], tiles, self._fine(spans, tiles))

    def mention_scores(self, documents: Sequence[SegmentedDocument], batch_size: int) -> np.ndarray:
        """Returns the mention score of every span of all documents, float32 `(P, W)`: [first piece, width - 1]."""
        return self._score(self._encode(documents, batch_size))

    # --- what the stages compute: functions of tensors, compiled

    def _score_grid(self, x):
        return self.resolver.mention_scorer.grid(x["sequence"], self.resolver.span_vectors)  # (1, T, W)

    def _represent(self, x):
        vectors = self.resolver.span_vectors(x["pieces"], x["widths"], training=False)  # (1, Q, G)
        scores = self.resolver.mention_scorer(vectors, x["widths"], training=False)  # (1, Q)
        return {"vectors": vectors, "scores": scores}

    def _choose_antecedents(self, x):
        distances = ops.expand_dims(x["query_ranks"], 2) - ops.expand_dims(x["ranks"], 1)  # (1, Q, K)
        allowed = ops.logical_and(distances > 0, distances <= self.resolver.antecedent_window)
        # Spans of several documents may share a tile: they are not each other's antecedents.
        same = ops.equal(ops.expand_dims(x["query_documents"], 2), ops.expand_dims(x["documents"], 1))
        queries = (x["queries"], x["query_scores"])
        spans = (x["spans"], x["scores"])
        distances = ops.maximum(distances, 0)
        scores, antecedents, real = self.resolver.coarse_antecedents(
            *queries, *spans, distances, ops.logical_and(allowed, same), training=False
        )  # (1, Q, A)
        return {"scores": scores, "antecedents": antecedents, "real": real}

    def _score_pairs(self, x):
        features = (x["same_speaker"], x["genres"], x["distances"], x["segment_distances"])
        fine = self.resolver.pair_scorer(x["queries"], x["spans"], x["antecedents"], *features, training=False)
        scores = ops.where(x["real"], x["coarse"] + fine, MASKED)  # (1, Q, A)
        antecedents = gather_antecedents(x["spans"], x["antecedents"])  # (1, Q, A, G)
        refined = self.resolver.span_refinement(x["queries"], with_dummy(scores), antecedents)  # (1, Q, G)
        return {"scores": scores, "refined": refined}

    # --- the pipeline: arrays of any length, cut into tiles

    def _encode(self, documents, batch_size: int) -> list[np.ndarray]:
        """Returns the vectors of each document's pieces, float32 `(P, D)`."""
        rows = [(len(s), number, place) for number, d in enumerate(documents) for place, s in enumerate(d.segments)]
        encoded: dict[tuple[int, int], np.ndarray] = {}
        longest = self.resolver.segments.segment_length
        for places, count, length in self.encode.batches_of([size for size, _, _ in rows], longest, batch_size):
            part = [rows[place] for place in places.tolist()]
            ids = np.zeros((count, length), np.int32)
            mask = np.zeros((count, length), np.int32)
            for i, (size, number, place) in enumerate(part):
                ids[i, :size], mask[i, :size] = documents[number].segments[place], 1
            mask[len(part) :, 0] = 1  # a row without any piece has no softmax
            batch = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask}
            output = np.asarray(self.encode(batch)["sequence_output"], np.float32)
            encoded |= {(number, place): output[i, :size] for i, (size, number, place) in enumerate(part)}
        return [
            np.concatenate([encoded[number, place] for place in range(len(d.segments))])
            for number, d in enumerate(documents)
        ]

    def _score(self, sequences) -> np.ndarray:
        """Returns the mention score of every span of all documents, float32 `(P, W)`: [first piece, width - 1]."""
        width = self.resolver.max_span_width
        sequence = np.concatenate(sequences)
        pieces, size = sequence.shape
        grid = np.zeros((pieces, width), np.float32)
        for first in range(0, pieces, PIECES_PER_TILE):
            # The last spans of a tile reach up to W pieces into the next one.
            tile = np.zeros((1, PIECES_PER_TILE + width, size), np.float32)
            part = sequence[first : first + PIECES_PER_TILE + width]
            tile[0, : len(part)] = part
            scores = self.grid.predict_on_batch({"sequence": tile})[0, :PIECES_PER_TILE]
            grid[first : first + PIECES_PER_TILE] = scores[: pieces - first]
        return grid

    def _prune(self, documents, grid: np.ndarray, mentions) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns the first and last pieces of each document's kept spans."""
        width = self.resolver.max_span_width
        chosen, first = [], 0
        for document, given in zip(documents, mentions, strict=True):
            count = len(document)
            # Spans that cross a sentence or document were scored too; groups that match none rule them out.
            ends = np.concatenate([document.end_groups, np.full(width, -2, np.int32)])
            valid = np.stack([document.start_groups == ends[w : w + count] for w in range(width)], 1)
            limit = self.resolver.span_limit(count)
            if given is not None:
                valid &= _grid_of(document, given, width)
                limit = max(1, len(given))
            chosen.append(greedy_spans(grid[first : first + count], valid, limit))
            first += count
        return chosen

    def _spans(self, documents, sequences, chosen, genres) -> dict[str, np.ndarray]:
        """Returns vectors and features of the kept spans of all documents, one after the other."""
        columns: dict[str, list] = {
            name: [] for name in ("scores", "ranks", "documents", "speakers", "segments", "genres")
        }
        total = sum(len(starts) for starts, _ in chosen)
        size = 3 * self.resolver.encoder.hidden_dim + self.resolver.span_vectors.feature_dim
        kept = np.zeros((total, size), np.float32)  # filled tile by tile: a list of parts would take as much again
        rank = 0
        for number, (document, sequence, (starts, ends)) in enumerate(zip(documents, sequences, chosen, strict=True)):
            for first in range(0, len(starts), SPANS_PER_TILE):
                part = slice(first, first + SPANS_PER_TILE)
                vectors, scores = self._vectors(sequence, starts[part], ends[part])
                kept[rank + first : rank + first + len(vectors)] = vectors
                columns["scores"].append(scores)
            columns["speakers"].append(document.speakers[starts])
            columns["segments"].append(document.segment_numbers[starts])
            columns["genres"].append(np.full(len(starts), genres[number], np.int32))
            columns["documents"].append(np.full(len(starts), number, np.int32))
            columns["ranks"].append(np.arange(rank, rank + len(starts), dtype=np.int32))
            rank += len(starts)
        return {"vectors": kept} | {name: np.concatenate(parts) for name, parts in columns.items() if parts}

    def _vectors(self, sequence, starts, ends):
        """Returns vectors and mention scores of at most `SPANS_PER_TILE` spans."""
        places = np.minimum(starts[:, np.newaxis] + np.arange(self.resolver.max_span_width), len(sequence) - 1)
        pieces = _padded(sequence[places], SPANS_PER_TILE)[np.newaxis]
        widths = _padded((ends - starts).astype(np.int32), SPANS_PER_TILE)[np.newaxis]
        found = self.vectors.predict_on_batch({"pieces": pieces, "widths": widths})
        return found["vectors"][0, : len(starts)], found["scores"][0, : len(starts)]

    def _coarse(self, spans, first: int) -> Tile:
        """Returns the tile of the spans from `first` on, with the antecedents that the coarse score chooses."""
        end = min(first + SPANS_PER_TILE, len(spans["vectors"]))
        compared_first, size = self._compared(spans, first, end)
        queries, compared = slice(first, end), slice(compared_first, end)
        found = self.coarse.predict_on_batch(
            _pair_vectors(spans["vectors"], first, end, compared_first, size)
            | {
                "query_scores": _padded(spans["scores"][queries], SPANS_PER_TILE)[np.newaxis],
                "scores": _padded(spans["scores"][compared], size)[np.newaxis],
                "query_ranks": _padded(spans["ranks"][queries], SPANS_PER_TILE)[np.newaxis],
                "ranks": _padded(spans["ranks"][compared], size, 2**30)[np.newaxis],  # after every query: not allowed
                "query_documents": _padded(spans["documents"][queries], SPANS_PER_TILE)[np.newaxis],
                "documents": _padded(spans["documents"][compared], size, -1)[np.newaxis],
            }
        )
        places, real = found["antecedents"][0].astype(np.int64), found["real"][0].astype(bool)
        antecedents = places + compared_first  # (Q, A), among the spans of all documents
        pair_inputs = _pair_features(spans, first, antecedents) | {
            "antecedents": places.astype(np.int32)[np.newaxis],
            "coarse": found["scores"],
            "real": real[np.newaxis],
        }
        kept = np.where(real, antecedents, -1)[: end - first]
        return Tile(first, end, compared_first, size, kept, pair_inputs)

    def _compared(self, spans, first: int, end: int) -> tuple[int, int]:
        """Returns the first span that the tile of spans `first` to `end` is compared with, and K."""
        window = self.resolver.antecedent_window
        most = self.resolver.coarse_antecedents.max_antecedents
        document_first = np.searchsorted(spans["documents"], spans["documents"][first])
        compared_first = max(int(document_first), first - window)
        least = max(end - compared_first, most)  # with fewer, A would be another shape to compile
        largest = max(window, most) + SPANS_PER_TILE
        return compared_first, next((size for size in COMPARED_SIZES if size >= least), largest)

    def _fine(self, spans, tiles: Sequence[Tile]) -> list[np.ndarray]:
        """Returns the scores of each tile's antecedents, float32 `(Q, A)`, after refining the spans."""
        vectors, refinements = spans["vectors"], self.resolver.refinements
        for _ in range(refinements):
            # In a new array: all tiles of a round compare the vectors that the round before left.
            refined = np.zeros_like(vectors)
            for tile in tiles:
                refined[tile.first : tile.end] = self._fine_tile(tile, vectors)["refined"][0, : tile.end - tile.first]
            vectors = refined
        return [self._fine_tile(tile, vectors)["scores"][0, : tile.end - tile.first] for tile in tiles]

    def _fine_tile(self, tile: Tile, vectors: np.ndarray) -> dict[str, np.ndarray]:
        pairs = _pair_vectors(vectors, tile.first, tile.end, tile.compared_first, tile.compared_size)
        return self.fine.predict_on_batch(tile.pair_inputs | pairs)


def _pair_vectors(vectors: np.ndarray, first: int, end: int, compared_first: int, size: int) -> dict[str, np.ndarray]:
    """Returns the vectors of a tile's queries, and of the spans that they are compared with."""
    queries = _padded(vectors[first:end], SPANS_PER_TILE)
    compared = _padded(vectors[compared_first:end], size)
    return {"queries": queries[np.newaxis], "spans": compared[np.newaxis]}


def _pair_features(spans, first: int, antecedents: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the features of the pairs of a tile's queries and their antecedents, int32 `(1, Q, A)` or `(1, Q)`."""
    last = len(spans["vectors"]) - 1
    # Padding points past the last span; its features are computed from that one and never read.
    queries = np.minimum(np.arange(first, first + SPANS_PER_TILE), last)[:, np.newaxis]
    antecedents = np.minimum(antecedents, last)
    features = {
        "same_speaker": spans["speakers"][queries] == spans["speakers"][antecedents],
        "distances": np.maximum(queries - antecedents, 0),
        "segment_distances": np.maximum(spans["segments"][queries] - spans["segments"][antecedents], 0),
        "genres": spans["genres"][queries[:, 0]],
    }
    return {name: values.astype(np.int32)[np.newaxis] for name, values in features.items()}


def _links(chosen, mention_scores: np.ndarray, tiles: Sequence[Tile], tile_scores) -> list[Links]:
    """Returns each document's links, whose places count the spans of that document alone."""
    width = max(tile.antecedents.shape[1] for tile in tiles)
    antecedents = np.concatenate([_widened(tile.antecedents, width, -1) for tile in tiles])
    scores = np.concatenate([_widened(scores, width, -np.inf) for scores in tile_scores])
    scores = np.where(antecedents < 0, -np.inf, scores)
    links, first = [], 0
    for starts, ends in chosen:
        part = slice(first, first + len(starts))
        of_document = np.where(antecedents[part] < 0, -1, antecedents[part] - first)
        links.append(Links(starts, ends, mention_scores[part], of_document, scores[part]))
        first += len(starts)
    return links


def _grid_of(document: SegmentedDocument, mentions: Sequence[tuple[int, int]], width: int) -> np.ndarray:
    """Returns where [first piece, width - 1] is one of these spans of words, bool `(P, W)`."""
    grid = np.zeros((len(document), width), bool)
    for pieces in (document.pieces_of(start, end) for start, end in mentions):
        if pieces is not None and pieces[1] - pieces[0] < width:
            grid[pieces[0], pieces[1] - pieces[0]] = True
    return grid


def _padded(values: np.ndarray, size: int, fill=0) -> np.ndarray:
    """Returns `values` padded with `fill` to `size` entries."""
    missing = size - len(values)
    return np.pad(values, ((0, missing), *[(0, 0)] * (values.ndim - 1)), constant_values=fill) if missing else values


def _widened(values: np.ndarray, width: int, fill) -> np.ndarray:
    """Returns `values` `(Q, A)` padded with `fill` to `(Q, width)`."""
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=fill)
