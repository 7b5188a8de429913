"""Coreference resolution. Shape letters: B documents, N segments, L segment_length, P = N L pieces, S spans kept,
W span widths, A antecedents, D hidden_dim, G span_dim."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from spanbert_keras.arguments import real_number, whole_number
from spanbert_keras.errors import InputError, shown
from spanbert_keras.layers.coreference.coarse_antecedents import CoarseAntecedents
from spanbert_keras.layers.coreference.mention_scorer import MentionScorer
from spanbert_keras.layers.coreference.pair_scorer import PairScorer, gather_antecedents
from spanbert_keras.layers.coreference.span_pruning import prune_spans
from spanbert_keras.layers.coreference.span_refinement import SpanRefinement, with_dummy
from spanbert_keras.layers.coreference.span_vectors import SpanVectors, gather_spans
from spanbert_keras.layers.functional import MASKED, gather_positions
from spanbert_keras.losses.antecedent_loss import antecedent_losses
from spanbert_keras.models.coreference_settings import CoreferenceSettings
from spanbert_keras.models.resolve_documents import resolve_documents
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.models.tiled_resolver import TiledResolver
from spanbert_keras.preprocessing.document import GENRES, genre_place
from spanbert_keras.preprocessing.document_segments import DocumentSegments, SegmentedDocument
from spanbert_keras.preprocessing.examples.given_documents import given_documents
from spanbert_keras.preprocessing.preprocessors.coreference_preprocessor import SpanBertCoreferencePreprocessor
from spanbert_keras.preprocessing.preprocessors.document_rows import DocumentRows
from spanbert_keras.preprocessing.text_words import known_language


def _setting(name: str, check: Callable[[Any], Any] = lambda value: value) -> property:
    """Returns a property that reads a setting of a model; assigning to it checks and replaces the setting.

    Settings that belong together, `genres` and `default_genre`, are assigned at once:
    `model.settings = dataclasses.replace(model.settings, ...)`.
    """

    def replace(self, value):
        self.settings = dataclasses.replace(self.settings, **{name: check(value)})
        self._tiled_resolver = None  # its compiled stages have the settings of before

    return property(lambda self: getattr(self.settings, name), replace, doc=f"The constructor's `{name}`.")


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertCoreferenceResolver(TaskModel):
    """Finds the mentions of a text and which of them corefer: an encoder and the span-ranking model on top of it.

    Segments are encoded one by one (the *independent* variant). All spans inside a sentence are scored as mentions, and
    the best that do not cross are kept. Each is compared with earlier ones, first by a cheap score, then the best of
    them by a more precise one, and is linked to one of them or to none. The vectors of kept spans are refined once by
    those of their antecedents.

    Deliberate differences from the released code: [CLS], [SEP] and parts of words are not candidates
    (`candidates="pieces"` restores that), speakers never share a number, and if fewer spans can be kept than the limit
    allows, only those are. The number of kept spans is not limited to 3,900; antecedents are looked for among the 3,900
    before a span, which is the same up to documents of about 9,700 pieces. In training, spans are chosen without
    dropout.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        segment_length: int or `None`. L, word pieces per segment. `None`: the encoder's `max_sequence_length`.
        max_span_width: int. W, longest span in pieces. Defaults to `30`.
        top_span_ratio: float. Spans kept, as a share of the document's pieces. Defaults to `0.4`.
        max_antecedents: int. A, antecedents per span that are scored closely. Defaults to `50`.
        antecedent_window: int. Number of kept spans before a span that may be its antecedents. Defaults to `3900`.
        refinements: int. How often the vectors of kept spans are refined. Defaults to `1` (`coref_depth` 2 of the
            released code).
        feature_dim: int. Width of each feature's vector. Defaults to `20`.
        hidden_dim: int. Width of the scorers' hidden layers. Defaults to `3000`.
        dropout: float. Dropout rate of the task's layers; the encoder has its own. Defaults to `0.3`.
        genres: list of str. Known genres. Defaults to OntoNotes' seven.
        default_genre: str. Genre of a document without one. Defaults to `"nw"`.
        max_segment_distance: int. Number of distances in segments that are distinguished: the segments that a document
            is cut to in training. Defaults to `3`.
        candidates: `"words"` or `"pieces"`; see `DocumentSegments`.
        language: str. Language of raw text, one of spaCy's, e.g. `"de"`; see `resolve`. Defaults to `"en"`.
        **kwargs: `preprocessor`, `dtype`, `name`, `trainable`; `backbone` means `encoder`. See `TaskModel`.

    Call arguments:
        token_ids, padding_mask: int32 `(B, P)`. N segments of L pieces, each padded.
        piece_places: int32 `(B, P)`. Places of the document's pieces among these, without gaps; 0 at padding.
        start_groups, end_groups: int32 `(B, P)`. A span may begin at piece s and end at e if their groups are equal;
            -1 and -2 where no span may.
        speakers, segment_numbers: int32 `(B, P)`.
        genres: int32 `(B, 1)`. Place in `genres`.
        span_limits: int32 `(B, 1)`. Most spans to keep.

    Returns:
        antecedent_scores: float32 `(B, S, A + 1)`. The dummy's score, 0, comes first; about -1e9 at padding.
        antecedents: int32 `(B, S, A)`. Places among the S spans.
        starts, ends: int32 `(B, S)`. First and last piece (inclusive) of each span.
        mention_scores: float32 `(B, S)`.
        kept: int32 `(B, S)`. 1 for a span, 0 at padding.

    Raises:
        ValueError: a setting is out of range, or the encoder has no tokenizer.

    Example:

    ```python
    from spanbert_keras import Document, SpanBertCoreferenceResolver, SpanBertEncoder, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "met", "her", "mother", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    resolver = SpanBertCoreferenceResolver(encoder, max_span_width=3, hidden_dim=10, feature_dim=4)
    tokens = ("Ann", "met", "her", "mother", ".")
    resolver.fit([Document(tokens, clusters=(((0, 1), (2, 3)),))], epochs=2, verbose=0)
    document = resolver.resolve(tokens=tokens, sentences=[(0, 5)])
    document.tokens  # ("Ann", "met", "her", "mother", ".")
    [[mention.text for mention in chain] for chain in document.clusters]  # once trained: [["Ann", "her"]]
    ```

    Reference: Joshi et al., 2020, section 4.1; Joshi et al., 2019 (BERT for coreference); Lee et al., 2018. The numbers
    are the released code's.
    """

    input_keys = DocumentRows.input_keys
    target_keys = ("span_clusters",)
    static_shapes = True
    raw_batch_size = 1  # documents; as in the released code
    preprocessor_cls = SpanBertCoreferencePreprocessor
    max_span_width = _setting("max_span_width")
    top_span_ratio = _setting("top_span_ratio")
    antecedent_window = _setting("antecedent_window")
    refinements = _setting("refinements")
    genres = _setting("genres")
    default_genre = _setting("default_genre")
    language = _setting("language", known_language)

    def __init__(
        self,
        encoder=None,
        segment_length=None,
        max_span_width=30,
        top_span_ratio=0.4,
        max_antecedents=50,
        antecedent_window=3900,
        refinements=1,
        feature_dim=20,
        hidden_dim=3000,
        dropout=0.3,
        genres=GENRES,
        default_genre="nw",
        max_segment_distance=3,
        candidates="words",
        language="en",
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        super().__init__(encoder, **kwargs)
        segment_length = encoder.max_sequence_length if segment_length is None else segment_length
        segment_length = whole_number("segment_length", segment_length)
        if segment_length > encoder.max_sequence_length:
            raise ValueError(
                f"`segment_length` must be at most the encoder's {encoder.max_sequence_length} positions. "
                f"Received: segment_length={segment_length}."
            )
        # === Config ===
        self.settings = CoreferenceSettings(
            segment_length=segment_length,
            max_span_width=max_span_width,
            top_span_ratio=top_span_ratio,
            max_antecedents=max_antecedents,
            antecedent_window=antecedent_window,
            refinements=refinements,
            feature_dim=feature_dim,
            hidden_dim=hidden_dim,
            dropout=dropout,
            genres=genres,
            default_genre=default_genre,
            max_segment_distance=max_segment_distance,
            candidates=candidates,
            language=language,
        )
        self.segments = DocumentSegments(encoder.tokenizer, segment_length, candidates)
        self.counts = {"documents": 0, "words_cut": 0}
        self._tiled_resolver: TiledResolver | None = None

        # === Layers ===
        self._make_task_layers(self.settings, encoder.hidden_dim)
        self.built = True

    def _make_task_layers(self, settings: CoreferenceSettings, encoder_dim: int) -> None:
        features = {"feature_dim": settings.feature_dim, "dropout": settings.dropout}
        scorer = features | {"hidden_dim": settings.hidden_dim}
        self.span_vectors = SpanVectors(settings.max_span_width, **features, name="span_vectors")
        self.mention_scorer = MentionScorer(settings.max_span_width, **scorer, name="mention_scorer")
        self.coarse_antecedents = CoarseAntecedents(settings.max_antecedents, **features, name="coarse_antecedents")
        self.pair_scorer = PairScorer(len(settings.genres), settings.max_segment_distance, **scorer, name="pair_scorer")
        self.span_refinement = SpanRefinement(name="span_refinement")
        self.span_vectors.build((None, None, settings.max_span_width, encoder_dim))
        for layer in (self.mention_scorer, self.coarse_antecedents, self.pair_scorer, self.span_refinement):
            layer.build((None, None, settings.span_dim(encoder_dim)))

    @property
    def task_layers(self) -> list:
        """All layers but the encoder."""
        scorers = [self.mention_scorer, self.coarse_antecedents, self.pair_scorer]
        return [self.span_vectors, *scorers, self.span_refinement]

    # --- asking

    def resolve(
        self,
        texts=None,
        *,
        tokens=None,
        sentences=None,
        speakers=None,
        genre=None,
        mentions=None,
        batch_size=16,
        singletons=False,
        min_score=0.0,
        language=None,
    ):
        """Returns a document, or several, with the chains of mentions that corefer; threads may share a model.

        Give texts, or one document's words as `tokens`. A text is cut into words and sentences by its language's rules,
        see `split_text`. Memory is linear in the document's length. The model's `counts` are the number of documents
        read, and of words that were cut because they are longer than a segment.

        Args:
            texts: str, `Document`, or sequence of them.
            tokens: sequence of str. The words of one document.
            sentences: sequence of (start, end). Half-open ranges of `tokens`; `None` finds them by rules.
            speakers: sequence of str. Speaker of each token. `None`: a single speaker.
            genre: str. One of the model's `genres`. `None`: the document's, or else the model's `default_genre`.
            mentions: sequence of (start, end), or for a sequence of documents one of these for each. Half-open spans of
                the words given: only these may be mentions. Of two that cross the likelier is kept; one that is wider
                than the model's spans, or crosses a sentence boundary, is not found.
            batch_size: int. Segments of the longest length that are encoded at once.
            singletons: bool. Whether likely mentions (score above 0) without a link are chains of one. OntoNotes has
                no such chains, so models trained on it recognise them poorly.
            min_score: float, from 0 to 1. Mentions are linked if `Mention.link_probability` is at least this: fewer
                links, of which more are right. Defaults to `0.0`: the best antecedent, if it is likelier than none.
            language: str. Language of raw text, one for which spaCy has a blank pipeline. `None`: the model's.

        Returns:
            `ResolvedDocument`, or a list of them for a sequence of texts.

        Raises:
            InputError: a document without words, an unknown genre or language, or lists that do not fit.
            ImportError: raw text was given, or tokens without sentences, and spaCy (extra `linguistic`) is missing.
        """
        batch_size = whole_number("batch_size", batch_size)
        min_score = real_number("min_score", min_score, 0, 1)
        given = (texts, tokens, sentences, speakers, genre, mentions)
        language = self.language if language is None else language
        documents, single = given_documents(*given, self.tokenizer, language)
        found = resolve_documents(self, documents, batch_size, singletons, min_score)
        return found[0] if single else found

    def links(self, cuts: Sequence[SegmentedDocument], genres: Sequence[int], batch_size: int, mentions: Sequence):
        """Returns the `Links` of each segmented document; see `TiledResolver.links`. One thread at a time."""
        with self._one_call:
            links = self._tiled().links(cuts, genres, batch_size, mentions)
            self.counts["documents"] += len(cuts)
            self.counts["words_cut"] += sum(cut.words_cut for cut in cuts)
        return links

    def mention_scores(self, documents, batch_size=16, language=None):
        """Returns the mention score of every span of documents, float32 `(P, W)`: [first piece, width - 1].

        Args:
            documents, batch_size, language: see `resolve`.
        """
        language = self.language if language is None else language
        given, _ = given_documents(documents, None, None, None, None, None, self.tokenizer, language)
        cuts = [self.segments.cut(one.tokens, one.sentences, one.speakers) for one in given]
        with self._one_call:
            return self._tiled().mention_scores(cuts, batch_size)

    def compile(self, *args, **kwargs):
        """See `keras.Model.compile`. The next document traces the model again, as in Keras."""
        super().compile(*args, **kwargs)
        if self._tiled_resolver is not None:
            self._tiled_resolver.encode.forget_shapes()
            self._tiled_resolver = None

    def _tiled(self) -> TiledResolver:
        if self._tiled_resolver is None:  # made when first needed: it is not part of the saved model
            self._tiled_resolver = TiledResolver(self)
        return self._tiled_resolver

    def genre_row(self, genre: str | None) -> int:
        """Returns the row of a genre in the model's table; `None` and `""` mean the default one.

        Raises:
            InputError: the model does not know the genre.
        """
        return genre_place(genre, self.genres, self.default_genre)

    def export(self, filepath, format="tf_saved_model", *args, **kwargs):
        """Raises `InputError`: a document is resolved in steps whose sizes depend on it, outside of one graph."""
        raise InputError(
            "A coreference resolver cannot be exported, since it resolves a document in steps of different sizes. "
            "Expected: its parts, which `python -m spanbert_keras.convert --format=onnx_parts` writes, a .keras file, "
            "which `keras.saving.load_model` opens to serve `resolve`, or the encoder alone, "
            f"`resolver.encoder.export`. Received: format={shown(format)}."
        )

    def span_limit(self, pieces: int) -> int:
        """Returns how many spans are kept at most in a document of that many pieces."""
        return self.settings.span_limit(pieces)

    # --- computing

    def call(self, inputs, training=None):
        inputs = self._pick(inputs)
        sequence = self._encode(inputs, training)  # (B, P, D)
        starts, widths, kept = self._choose(sequence, inputs)  # (B, S)
        pieces = gather_spans(sequence, starts, self.max_span_width)
        vectors = self.span_vectors(pieces, widths, training=training)  # (B, S, G)
        mention_scores = self.mention_scorer(vectors, widths, training=training)  # (B, S)
        ranks = ops.arange(starts.shape[1], dtype="int32")
        distances = ops.expand_dims(ranks, 1) - ops.expand_dims(ranks, 0)  # (S, S)
        allowed = ops.logical_and(distances > 0, distances <= self.antecedent_window)
        allowed = ops.logical_and(allowed, ops.expand_dims(kept, 1))
        coarse, antecedents, real = self.coarse_antecedents(
            vectors, mention_scores, vectors, mention_scores, ops.maximum(distances, 0), allowed, training=training
        )
        features = self._features(inputs, starts, antecedents)
        for number in range(self.refinements + 1):
            scores = coarse + self.pair_scorer(vectors, vectors, antecedents, *features, training=training)
            scores = with_dummy(ops.where(real, scores, MASKED))
            if number < self.refinements:
                vectors = self.span_refinement(vectors, scores, gather_antecedents(vectors, antecedents))
        return {
            "antecedent_scores": scores,
            "antecedents": antecedents,
            "starts": starts,
            "ends": starts + widths,
            "mention_scores": mention_scores,
            "kept": ops.cast(kept, "int32"),
        }

    def _encode(self, inputs, training):
        """Returns the vectors of the document's pieces, float32 `(B, P, D)`."""
        length = self.segments.segment_length
        rows = {key: ops.reshape(inputs[key], (-1, length)) for key in ("token_ids", "padding_mask")}
        rows["segment_ids"] = ops.zeros_like(rows["token_ids"])
        encoded = self.encoder(rows, training=training)["sequence_output"]
        pieces = inputs["token_ids"].shape[1]
        encoded = ops.reshape(ops.cast(encoded, "float32"), (-1, pieces, encoded.shape[-1]))
        return gather_positions(encoded, inputs["piece_places"])

    def _choose(self, sequence, inputs):
        """Returns first piece, width and presence of the spans that are kept, `(B, S)`."""
        grid = ops.stop_gradient(self.mention_scorer.grid(ops.stop_gradient(sequence), self.span_vectors))
        starts, ends = inputs["start_groups"], inputs["end_groups"]
        padded = ops.pad(ends, ((0, 0), (0, self.max_span_width)), constant_values=-2)
        pieces = starts.shape[1]
        valid = [ops.equal(starts, padded[:, width : width + pieces]) for width in range(self.max_span_width)]
        limits = inputs["span_limits"][:, 0]
        return prune_spans(grid, ops.stack(valid, axis=-1), limits, self.span_limit(pieces))

    def _features(self, inputs, starts, antecedents):
        """Returns same speaker, genre, distance and segment distance of every pair."""
        ranks = ops.reshape(ops.arange(starts.shape[1], dtype="int32"), (1, -1, 1))
        of_spans = [ops.take_along_axis(inputs[key], starts, axis=1) for key in ("speakers", "segment_numbers")]
        speakers, segments = of_spans
        other_speakers, other_segments = (
            gather_antecedents(ops.expand_dims(values, -1), antecedents)[:, :, :, 0] for values in of_spans
        )
        return (
            ops.cast(ops.equal(ops.expand_dims(speakers, -1), other_speakers), "int32"),
            ops.broadcast_to(inputs["genres"], ops.shape(starts)),
            ops.maximum(ranks - antecedents, 0),
            ops.maximum(ops.expand_dims(segments, -1) - other_segments, 0),
        )

    # --- training

    def example_losses(self, outputs, batch):
        """Returns the loss of every document, float32 `(B,)`; `span_clusters`, int32 `(B, P, W)`, is the gold cluster
        of the span at [its first piece, its width - 1], 0 for none."""
        clusters = batch["span_clusters"]
        places = outputs["starts"] * self.max_span_width + (outputs["ends"] - outputs["starts"])
        flat = ops.reshape(clusters, (-1, clusters.shape[1] * clusters.shape[2]))
        of_spans = ops.take_along_axis(flat, places, axis=1)
        return antecedent_losses(outputs["antecedent_scores"], outputs["antecedents"], of_spans, outputs["kept"])

    def preprocessor_settings(self):
        names = ("segment_length", "candidates", "max_span_width", "top_span_ratio", "default_genre", "language")
        settings = {name: getattr(self.settings, name) for name in (*names, "max_segment_distance")}
        return settings | {"genres": list(self.genres)}

    # --- saving

    def __dir__(self):  # Keras saves by attributes in alphabetical order: files have the encoder's weights by this name
        return [name for name in super().__dir__() if name != "backbone"]

    def get_config(self):
        return TaskModel.get_config(self) | self.settings.config()
