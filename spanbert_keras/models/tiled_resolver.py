"""Resolves documents of any length in bounded memory. Shape letters: R rows, T pieces of a tile, W span widths,
P pieces, S spans kept, Q spans of a tile, K spans before and in it, A antecedents, D hidden_dim, G span_dim."""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from spanbert_keras.decoding.greedy_spans import greedy_spans
from spanbert_keras.layers.coreference.pair_scorer import gather_antecedents
from spanbert_keras.layers.coreference.span_refinement import with_dummy
from spanbert_keras.layers.functional import MASKED
from spanbert_keras.models.bucketed_prediction import quiet_tracing, row_lengths
from spanbert_keras.preprocessing.document_segments import SegmentedDocument

PIECES = 1024  # of a tile in which spans are scored as mentions
SPANS = 256  # of a tile in which spans are compared with earlier ones
EARLIER = (256, 512, 1024, 2048)  # sizes that the spans before and in a tile are padded to, besides the largest


@dataclasses.dataclass(frozen=True)
class Links:
    """What a document's clusters are decided from.

    Attributes:
        starts, ends: int64 `(S,)`. First and last piece (inclusive) of each kept span.
        mention_scores: float32 `(S,)`.
        antecedents: int64 `(S, A)`. Places among the S; -1 for none.
        scores: float32 `(S, A)`. Of the antecedents, the dummy's being 0; -inf for none.
    """

    starts: np.ndarray
    ends: np.ndarray
    mention_scores: np.ndarray
    antecedents: np.ndarray
    scores: np.ndarray

    def best(self) -> np.ndarray:
        """Returns the best antecedent of each span, int64 `(S,)`, -1 for none."""
        if not self.scores.size:
            return np.full(len(self.starts), -1)
        place = self.scores.argmax(1)[:, np.newaxis]
        best = np.take_along_axis(self.antecedents, place, 1)[:, 0]
        return np.where(np.take_along_axis(self.scores, place, 1)[:, 0] > 0, best, -1)


class _Stage(keras.Model):
    """A part of the computation, compiled by itself on any backend."""

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
    """The stages of a `SpanBertCoreferenceResolver`, each with few static shapes; documents come one after the other.

    No stage makes anything of the size pieces x pieces or spans x spans: the spans of a text are scored in tiles of
    `PIECES`, the kept ones are compared in tiles of `SPANS` with those of the antecedent window.

    Args:
        resolver: `SpanBertCoreferenceResolver`.
    """

    def __init__(self, resolver):
        self.resolver = resolver
        layers = resolver.task_layers
        span_vectors, mention_scorer, coarse_antecedents, pair_scorer, span_refinement = layers
        self.encode = _Stage(lambda x: resolver.encoder(x, training=False)["sequence_output"], [resolver.encoder])
        self.grid = _Stage(lambda x: mention_scorer.grid(x["sequence"], span_vectors), layers[:2])

        def vectors(x):
            found = span_vectors(x["pieces"], x["widths"], training=False)
            return {"vectors": found, "scores": mention_scorer(found, x["widths"], training=False)}

        def coarse(x):
            ranks = (ops.expand_dims(x["query_ranks"], 2), ops.expand_dims(x["ranks"], 1))
            distances = ranks[0] - ranks[1]
            allowed = ops.logical_and(distances > 0, distances <= resolver.antecedent_window)
            same = ops.equal(ops.expand_dims(x["query_documents"], 2), ops.expand_dims(x["documents"], 1))
            scores, antecedents, real = coarse_antecedents(
                x["queries"], x["query_scores"], x["spans"], x["scores"], ops.maximum(distances, 0),
                ops.logical_and(allowed, same), training=False,
            )  # fmt: skip
            return {"scores": scores, "antecedents": antecedents, "real": real}

        def fine(x):
            features = (x["same_speaker"], x["genres"], x["distances"], x["segment_distances"])
            found = pair_scorer(x["queries"], x["spans"], x["antecedents"], *features, training=False)
            scores = ops.where(x["real"], x["coarse"] + found, MASKED)
            refined = span_refinement(
                x["queries"], with_dummy(scores), gather_antecedents(x["spans"], x["antecedents"])
            )
            return {"scores": scores, "refined": refined}

        self.vectors = _Stage(vectors, layers[:2])
        self.coarse = _Stage(coarse, [coarse_antecedents])
        self.fine = _Stage(fine, [pair_scorer, span_refinement])

    def links(
        self, documents: Sequence[SegmentedDocument], genres: Sequence[int], batch_size: int,
        mentions: Sequence | None = None,
    ) -> list[Links]:  # fmt: skip
        """Returns the links of each document.

        Args:
            documents: sequence of `SegmentedDocument`.
            genres: sequence of int, the row of each document's genre.
            batch_size: int. Segments encoded at once.
            mentions: sequence of lists of (start, end), or of `None`. Half-open spans of words: nothing else of that
                document may be a mention.
        """
        sequences = self._sequences(documents, batch_size)
        chosen = self._choose(documents, sequences, mentions or [None] * len(documents))
        spans = self._spans(documents, sequences, chosen, genres)
        del sequences  # of a long text as large as the spans' vectors
        return self._linked(chosen, spans)

    def _sequences(self, documents, batch_size: int) -> list[np.ndarray]:
        """Returns the vectors of each document's pieces, float32 `(P, D)`."""
        lengths = row_lengths(self.resolver.segments.segment_length)
        rows = [(len(s), number, place) for number, d in enumerate(documents) for place, s in enumerate(d.segments)]
        encoded: dict[tuple[int, int], np.ndarray] = {}
        rows.sort(reverse=True)
        for first in range(0, len(rows), batch_size):
            part = rows[first : first + batch_size]
            length = next(n for n in lengths if n >= part[0][0])
            ids = np.zeros((batch_size, length), np.int32)
            mask = np.zeros((batch_size, length), np.int32)
            for i, (size, number, place) in enumerate(part):
                ids[i, :size], mask[i, :size] = documents[number].segments[place], 1
            mask[len(part) :, 0] = 1  # a row of nothing has no softmax
            batch = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask}
            output = np.asarray(self.encode.predict_on_batch(batch), np.float32)
            encoded |= {(number, place): output[i, :size] for i, (size, number, place) in enumerate(part)}
        return [
            np.concatenate([encoded[number, place] for place in range(len(d.segments))])
            for number, d in enumerate(documents)
        ]

    def _choose(self, documents, sequences, mentions) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns the first and last pieces of each document's kept spans."""
        width = self.resolver.max_span_width
        sequence = np.concatenate(sequences)
        pieces, size = sequence.shape
        grid = np.zeros((pieces, width), np.float32)
        for first in range(0, pieces, PIECES):
            tile = np.zeros((1, PIECES + width, size), np.float32)
            part = sequence[first : first + PIECES + width]
            tile[0, : len(part)] = part
            scores = self.grid.predict_on_batch({"sequence": tile})[0, :PIECES]
            grid[first : first + PIECES] = scores[: pieces - first]
        chosen, first = [], 0
        for document, given in zip(documents, mentions, strict=True):
            count = len(document)
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
        """Returns everything about the kept spans of all documents, one after the other."""
        columns: dict[str, list] = {
            name: [] for name in ("scores", "ranks", "documents", "speakers", "segments", "genres")
        }
        total = sum(len(starts) for starts, _ in chosen)
        size = 3 * self.resolver.encoder.hidden_dim + self.resolver.span_vectors.feature_dim
        kept = np.zeros((total, size), np.float32)  # filled tile by tile: parts to put together would be as much again
        rank = 0
        for number, (document, sequence, (starts, ends)) in enumerate(zip(documents, sequences, chosen, strict=True)):
            for first in range(0, len(starts), SPANS):
                part = slice(first, first + SPANS)
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
        """Returns vectors and mention scores of at most `SPANS` spans."""
        places = np.minimum(starts[:, np.newaxis] + np.arange(self.resolver.max_span_width), len(sequence) - 1)
        pieces = _padded(sequence[places], SPANS)[np.newaxis]
        widths = _padded((ends - starts).astype(np.int32), SPANS)[np.newaxis]
        found = self.vectors.predict_on_batch({"pieces": pieces, "widths": widths})
        return found["vectors"][0, : len(starts)], found["scores"][0, : len(starts)]

    def _linked(self, chosen, spans) -> list[Links]:
        """Compares the spans tile by tile, as often as they are refined, and returns each document's links."""
        total = sum(len(starts) for starts, _ in chosen)
        if not total:
            empty = np.zeros((0, 0))
            return [Links(starts, ends, np.zeros(0, np.float32), empty, empty) for starts, ends in chosen]
        tiles = [self._coarse_tile(spans, first, total) for first in range(0, total, SPANS)]
        for number in range(self.resolver.refinements + 1):
            last = number == self.resolver.refinements
            refined = spans["vectors"] if last else np.zeros_like(spans["vectors"])
            for tile in tiles:
                batch = tile["batch"] | self._vectors_of(spans, tile)
                found = self.fine.predict_on_batch(batch)
                count = tile["behind"] - tile["first"]
                tile["scores"] = found["scores"][0, :count]
                if not last:
                    refined[tile["first"] : tile["behind"]] = found["refined"][0, :count]
            spans = spans | {"vectors": refined}
        antecedents = np.concatenate([_fit(tile["antecedents"], self._width(tiles), -1) for tile in tiles])
        scores = np.concatenate([_fit(tile["scores"], self._width(tiles), -np.inf) for tile in tiles])
        scores = np.where(antecedents < 0, -np.inf, scores)
        links, first = [], 0
        for starts, ends in chosen:
            part = slice(first, first + len(starts))
            own = np.where(antecedents[part] < 0, -1, antecedents[part] - first)
            links.append(Links(starts, ends, spans["scores"][part], own, scores[part]))
            first += len(starts)
        return links

    @staticmethod
    def _width(tiles) -> int:
        return max(tile["antecedents"].shape[1] for tile in tiles)

    def _vectors_of(self, spans, tile) -> dict[str, np.ndarray]:
        """Returns the vectors that a tile compares."""
        queries = _padded(spans["vectors"][tile["first"] : tile["behind"]], SPANS)
        earlier = _padded(spans["vectors"][tile["begin"] : tile["behind"]], tile["size"])
        return {"queries": queries[np.newaxis], "spans": earlier[np.newaxis]}

    def _coarse_tile(self, spans, first: int, total: int) -> dict:
        """Returns the antecedents of `SPANS` spans, and what the close comparison needs of them."""
        behind = min(first + SPANS, total)
        document = np.searchsorted(spans["documents"], spans["documents"][first])  # where its spans begin
        begin = max(int(document), first - self.resolver.antecedent_window)
        largest = max(self.resolver.antecedent_window, self.resolver.coarse_antecedents.max_antecedents) + SPANS
        least = max(behind - begin, self.resolver.coarse_antecedents.max_antecedents)
        size = next((n for n in EARLIER if n >= least), largest)
        tile: dict = {"first": first, "behind": behind, "begin": begin, "size": size}
        queries, earlier = slice(first, behind), slice(begin, behind)
        found = self.coarse.predict_on_batch(
            self._vectors_of(spans, tile)
            | {
                "query_scores": _padded(spans["scores"][queries], SPANS)[np.newaxis],
                "scores": _padded(spans["scores"][earlier], size)[np.newaxis],
                "query_ranks": _padded(spans["ranks"][queries], SPANS)[np.newaxis],
                "ranks": _padded(spans["ranks"][earlier], size, 2**30)[np.newaxis],
                "query_documents": _padded(spans["documents"][queries], SPANS)[np.newaxis],
                "documents": _padded(spans["documents"][earlier], size, -1)[np.newaxis],
            }
        )
        count = behind - first
        places, real = found["antecedents"][0].astype(np.int64), found["real"][0].astype(bool)
        there = np.minimum(places + begin, total - 1)
        own = np.minimum(np.arange(first, first + SPANS), total - 1)[:, np.newaxis]
        pairs = {
            "same_speaker": spans["speakers"][own] == spans["speakers"][there],
            "distances": np.maximum(own - there, 0),
            "segment_distances": np.maximum(spans["segments"][own] - spans["segments"][there], 0),
            "antecedents": places,
        }
        tile["batch"] = {name: values.astype(np.int32)[np.newaxis] for name, values in pairs.items()}
        tile["batch"] |= {
            "genres": spans["genres"][own[:, 0]].astype(np.int32)[np.newaxis],
            "coarse": found["scores"],
            "real": real[np.newaxis],
        }
        tile["antecedents"] = np.where(real, there, -1)[:count]
        return tile


def _grid_of(document: SegmentedDocument, mentions: Sequence[tuple[int, int]], width: int) -> np.ndarray:
    """Returns where [first piece, width - 1] is one of these spans of words, bool `(P, W)`."""
    grid = np.zeros((len(document), width), bool)
    for pieces in (document.pieces_of(start, end) for start, end in mentions):
        if pieces is not None and pieces[1] - pieces[0] < width:
            grid[pieces[0], pieces[1] - pieces[0]] = True
    return grid


def _padded(values: np.ndarray, size: int, fill=0) -> np.ndarray:
    """Returns `values` with as many more entries as there must be."""
    missing = size - len(values)
    return np.pad(values, ((0, missing), *[(0, 0)] * (values.ndim - 1)), constant_values=fill) if missing else values


def _fit(values: np.ndarray, width: int, fill) -> np.ndarray:
    """Returns `(S, width)`."""
    return np.pad(values, ((0, 0), (0, width - values.shape[1])), constant_values=fill)
