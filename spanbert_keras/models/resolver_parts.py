"""The steps of a coreference resolver as functions of one whole document. Shape letters: P pieces of a document,
W span widths, S spans kept, A antecedents, D hidden_dim, G span_dim."""

from collections.abc import Callable, Mapping

import keras
from keras import ops

from spanbert_keras.layers.coreference.pair_scorer import gather_antecedents
from spanbert_keras.layers.coreference.span_refinement import with_dummy
from spanbert_keras.layers.coreference.span_vectors import gather_spans
from spanbert_keras.layers.functional import MASKED


class ResolverPart(keras.Model):
    """A function of a dict of tensors that uses some layers of a model.

    Args:
        function: function of a dict of tensors that returns one.
        layers: list of built layers, whose weights it uses.
        specs: dict from each input's name to its dtype and shape, in which a free axis is its name: `"pieces"` or
            `"spans"`.
        first_axis: str. Name of the first axis of all outputs, which is free.
    """

    def __init__(self, function: Callable, layers: list, specs: Mapping[str, tuple[str, tuple]], first_axis: str):
        super().__init__(dtype="float32", name="part")
        self.function = function
        self.used_layers = layers
        self.specs = dict(specs)
        self.first_axis = first_axis
        self.built = True

    def output_axes(self, name: str) -> tuple[str]:
        """Returns the names of the free axes of an output."""
        return (self.first_axis,)

    def call(self, inputs, training=None):
        return self.function(inputs)


def resolver_parts(resolver) -> dict[str, ResolverPart]:
    """Returns the steps after the encoder: `mentions`, `spans` and `pairs`.

    Together with a program that prunes spans they compute what `TiledResolver` does, for a document at a time and
    without tiles. `spanbert_keras.conversion.exports.resolver_export` documents their inputs and outputs.

    Args:
        resolver: `SpanBertCoreferenceResolver`.
    """
    vectors, mentions = resolver.span_vectors, resolver.mention_scorer
    pairs = [resolver.coarse_antecedents, resolver.pair_scorer, resolver.span_refinement]
    width = resolver.encoder.hidden_dim
    sequence = {"sequence": ("float32", ("pieces", width))}
    places = dict.fromkeys(("starts", "ends"), ("int32", ("spans",)))
    spans: dict[str, tuple[str, tuple]] = {
        "vectors": ("float32", ("spans", 3 * width + vectors.feature_dim)),
        "mention_scores": ("float32", ("spans",)),
    }
    features = dict.fromkeys(("speakers", "segments"), ("int32", ("spans",))) | {"genre": ("int32", (1,))}

    def score_mentions(x):
        return {"scores": mentions.grid(ops.expand_dims(x["sequence"], 0), vectors)[0]}  # (P, W)

    def represent(x):
        pieces = gather_spans(*(ops.expand_dims(x[key], 0) for key in ("sequence", "starts")), resolver.max_span_width)
        widths = ops.expand_dims(x["ends"] - x["starts"], 0)
        found = vectors(pieces, widths, training=False)  # (1, S, G)
        return {"vectors": found[0], "mention_scores": mentions(found, widths, training=False)[0]}

    return {
        "mentions": ResolverPart(score_mentions, [vectors, mentions], sequence, "pieces"),
        "spans": ResolverPart(represent, [vectors, mentions], sequence | places, "spans"),
        "pairs": ResolverPart(lambda x: _link(resolver, x), pairs, spans | features, "spans"),
    }


def _link(resolver, x):
    """Returns the antecedents of the spans of one document and their scores, as `SpanBertCoreferenceResolver.call`."""
    most = resolver.coarse_antecedents.max_antecedents
    count = ops.shape(x["vectors"])[0]
    # With `most` spans more, none of which may be linked, each span has that many to choose from.
    vectors = ops.expand_dims(ops.pad(x["vectors"], ((0, most), (0, 0))), 0)  # (1, S + A, G)
    mention_scores, speakers, segments = (
        ops.expand_dims(ops.pad(x[key], ((0, most),)), 0) for key in ("mention_scores", "speakers", "segments")
    )
    ranks = ops.arange(count + most, dtype="int32")
    distances = ops.expand_dims(ops.expand_dims(ranks, 1) - ops.expand_dims(ranks, 0), 0)
    allowed = ops.logical_and(distances > 0, distances <= resolver.antecedent_window)
    allowed = ops.logical_and(allowed, ops.expand_dims(ops.expand_dims(ranks < count, 1), 0))
    spans = (vectors, mention_scores)
    distances = ops.maximum(distances, 0)
    coarse, antecedents, real = resolver.coarse_antecedents(*spans, *spans, distances, allowed, training=False)
    of_antecedents = [
        ops.squeeze(gather_antecedents(ops.expand_dims(values, 2), antecedents), 3) for values in (speakers, segments)
    ]
    features = (
        ops.cast(ops.equal(ops.expand_dims(speakers, 2), of_antecedents[0]), "int32"),
        ops.zeros_like(speakers) + x["genre"],
        ops.maximum(ops.expand_dims(ops.expand_dims(ranks, 1), 0) - antecedents, 0),
        ops.maximum(ops.expand_dims(segments, 2) - of_antecedents[1], 0),
    )
    for number in range(resolver.refinements + 1):
        close = resolver.pair_scorer(vectors, vectors, antecedents, *features, training=False)
        scores = ops.where(real, coarse + close, MASKED)
        if number < resolver.refinements:
            gathered = gather_antecedents(vectors, antecedents)
            vectors = resolver.span_refinement(vectors, with_dummy(scores), gathered)
    return {"antecedents": ops.where(real, antecedents, -1)[0, :count], "scores": scores[0, :count]}
