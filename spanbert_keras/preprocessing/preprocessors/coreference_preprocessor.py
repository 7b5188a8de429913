"""Documents for the coreference resolver. Shape letters: E documents, N segments, L segment_length, P = N L pieces, W
span widths."""

from typing import ClassVar

import keras

from spanbert_keras.arguments import real_number, whole_number
from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.document import GENRES, Document, genre_place
from spanbert_keras.preprocessing.document_segments import DocumentSegments
from spanbert_keras.preprocessing.examples.given_documents import GivenDocument, given_documents
from spanbert_keras.preprocessing.examples.given_texts import given_list
from spanbert_keras.preprocessing.preprocessors.document_rows import DocumentRows
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor
from spanbert_keras.preprocessing.text_words import language_code


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertCoreferencePreprocessor(TaskPreprocessor):
    """Turns documents and their clusters into what `SpanBertCoreferenceResolver` computes with.

    A document is cut into segments, at the ends of sentences if possible. A row has room for `max_segments` of them; of
    a longer document it holds a random window, in `fit` another one in each epoch. `resolve` reads whole documents.

    All rows are equally long, with which TensorFlow compiles the resolver once.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        segment_length: int. L, word pieces per segment. Defaults to `512`.
        candidates: `"words"` or `"pieces"`. Which spans may be mentions; see `SpanBertCoreferenceResolver`. Defaults to
            `"words"`.
        genres: sequence of str. Known genres. Defaults to OntoNotes' seven.
        default_genre: str. Genre of a document without one. Defaults to `"nw"`.
        max_span_width: int. W, longest span in pieces. Defaults to `30`.
        top_span_ratio: float. Spans kept, as a share of the pieces. Defaults to `0.4`.
        max_segments: int. N, segments per row. Defaults to the model's `max_segment_distance`, or `3`.
        seed: int. Seed of the windows. Defaults to `0`.
        language: str. Language of raw text; see `SpanBertCoreferenceResolver`. Defaults to `"en"`.

    Settings that are not given are those of the model, if the preprocessor belongs to one.

    Call arguments:
        x: `Document`, str, or list of E of either. Texts are cut into words and sentences by the
            language's rules.
        y: for each document its clusters, a list of lists of half-open spans (start, end) of its words, which replace
            those of a `Document`; or `None`.
        sample_weight: float `(E,)` or `None`.

    Returns:
        x, (x, y) or (x, y, sample_weight): x the dict of the resolver's inputs, int32 `(E, P)` or `(E, 1)`; y a dict of
        `span_clusters`, int32 `(E, P, W)`, the cluster of the span at [its first piece, its width - 1], from 1, or 0.
        Without clusters y is left out.

    Raises:
        InputError: something is not a document, has no words or an unknown genre, or clusters do not fit.
        ImportError: a text was given, and spaCy (extra `linguistic`) is missing.

    Example:

    ```python
    from spanbert_keras import Document, SpanBertCoreferencePreprocessor, SpanBertTokenizer

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "lost", "her", "hat"])
    preprocessor = SpanBertCoreferencePreprocessor(tokenizer, segment_length=8, max_span_width=2, max_segments=1)
    document = Document(("Ann", "lost", "her", "hat"), clusters=(((0, 1), (2, 3)),))
    x, y = preprocessor([document])
    x["token_ids"]  # [[2, 5, 6, 7, 8, 3, 0, 0]]
    y["span_clusters"][0, :, 0]  # [0, 1, 0, 1, 0, 0, 0, 0]
    ```

    Reference: Joshi et al., 2020, section 4.1; Joshi et al., 2019 (BERT for coreference), the independent variant.
    """

    single_length = True  # TensorFlow must know the length of a resolver's rows
    defaults: ClassVar = {
        "segment_length": 512,
        "candidates": "words",
        "genres": GENRES,
        "default_genre": "nw",
        "max_span_width": 30,
        "top_span_ratio": 0.4,
        "max_segments": None,
        "max_segment_distance": 3,  # the model's: the segments that it distinguishes
        "seed": 0,
        "language": "en",
    }

    def __init__(
        self,
        tokenizer=None,
        segment_length=None,
        candidates=None,
        genres=None,
        default_genre=None,
        max_span_width=None,
        top_span_ratio=None,
        max_segments=None,
        seed=None,
        language=None,
        **kwargs,
    ):
        settings = {
            "segment_length": segment_length,
            "candidates": candidates,
            "genres": None if genres is None else list(genres),
            "default_genre": default_genre,
            "max_span_width": max_span_width,
            "top_span_ratio": top_span_ratio,
            "max_segments": max_segments,
            "seed": seed,
            "language": None if language is None else language_code(language),
        }
        super().__init__(tokenizer, settings, **kwargs)
        if top_span_ratio is not None:
            real_number("top_span_ratio", top_span_ratio, minimum=0, maximum=1)
        if seed is not None:
            whole_number("seed", seed, minimum=0)

    @property
    def max_segments(self) -> int:
        """Segments per row, N."""
        settings = self.settings
        return settings["max_segment_distance"] if settings["max_segments"] is None else settings["max_segments"]

    def rows(self, x, y=None, sample_weight=None) -> DocumentRows:
        """Returns a row for each document, with its clusters; see the call arguments."""
        settings = self.settings
        given, single = given_list(x, "x", "a `Document`, a text, or a list of either", (str, Document))
        others = {"tokenizer": self.tokenizer, "language": settings["language"]}
        documents, _ = given_documents(given, None, None, None, None, **others)
        segments = DocumentSegments(self.tokenizer, settings["segment_length"], settings["candidates"])
        return DocumentRows(
            [segments.cut(document.tokens, document.sentences, document.speakers) for document in documents],
            [self._genre(*pair, number) for number, pair in enumerate(zip(given, documents, strict=True))],
            _clusters(given, documents, [y] if single and y is not None else y),
            segment_length=settings["segment_length"],
            max_segments=self.max_segments,
            max_span_width=settings["max_span_width"],
            top_span_ratio=settings["top_span_ratio"],
            seed=settings["seed"],
            sample_weight=sample_weight,
        )

    def row_length_for(self, rows: ExampleRows) -> int:
        """Returns the length that all rows are padded to, always the same: P."""
        return self.max_segments * self.settings["segment_length"]

    def target_spec(self, x, y):
        raise InputError(
            "Documents are not tensors, of which a `tf.data.Dataset` is made. Expected: a list of `Document`, as in "
            "`fit(documents)`. Received: a pipeline of tensors."
        )

    def _genre(self, given: Document | str, document: GivenDocument, number: int) -> int:
        """Returns the place of a document's genre among the model's."""
        settings = self.settings
        try:
            return genre_place(document.genre, settings["genres"], settings["default_genre"])
        except InputError as error:
            raise InputError(f"{_name(given, number)}: {error}") from error


def _clusters(given: list, documents: list[GivenDocument], y) -> list | None:
    """Returns the clusters of each document, those of `y` if there are any; `None` if no document has clusters."""
    if y is None:
        found = [getattr(document, "clusters", ()) for document in given]
        return found if any(found) else None
    every, _ = given_list(y, "y", "a list with the clusters of each document", ())
    if len(every) != len(given):
        raise InputError(
            f"`y` must have a list of clusters for each document. Expected: {len(given)}. Received: {len(every)}."
        )
    found = []
    for number, (document, clusters) in enumerate(zip(documents, every, strict=True)):
        try:
            found.append(Document(tuple(document.tokens), clusters=clusters).clusters)
        except InputError as error:
            raise InputError(f"{_name(given[number], number)}: clusters do not fit: {error}") from error
    return found


def _name(document: Document | str, number: int) -> str:
    """Returns how messages name a document."""
    if isinstance(document, Document) and document.name:
        return f"Document {number} ({shown(document.name)}, part {document.part})"
    return f"Document {number}"
