"""Extractive question answering in a Haystack pipeline, with the sockets of Haystack's own reader."""

import threading
from pathlib import Path
from typing import Any

from spanbert_keras import DocumentIndex
from spanbert_keras.arguments import real_number, whole_number
from spanbert_keras.errors import InputError, shown
from spanbert_keras.integrations.component_model import load_component_model
from spanbert_keras.models.document_reader import DocumentReading, Ranking, read_documents

try:
    from haystack import Document, ExtractedAnswer, component, default_from_dict, default_to_dict, logging
except ImportError as error:
    raise ImportError(
        "This component belongs to a Haystack pipeline, and Haystack cannot be imported. Install it with "
        '`pip install "spanbert-keras[haystack]"`.'
    ) from error

BATCH_SIZE = 32  # of `SpanBertQuestionAnswerer.read`
logger = logging.getLogger(__name__)


@component
class SpanBertExtractiveReader:
    """Finds the answers to a query in documents: a component with the sockets of Haystack's `ExtractiveReader`.

    Answers are those of `SpanBertQuestionAnswerer.read`: ranked by the reader's calibrated probabilities, from
    documents in which the reader finds an answer. Documents without text are left out.

    Args:
        model: str or path. What `load_pretrained` reads: a `.keras` file, the folder of a fine-tuning run, or
            `"hf://..."`. It is loaded by `warm_up`, or when the component first runs.
        top_k: int. Most answers; "no answer" is one more. Defaults to `20`.
        score_threshold: float or `None`. Lowest score of an answer, also of "no answer".
        max_seq_length: int or `None`. Longest row of question and text, in word pieces. `None`: the model's.
        stride: int or `None`. Pieces that neighbouring windows of a document share (the model's own `stride` counts
            from one window's start to the next's). `None`: the model's windows.
        max_batch_size: int or `None`. Windows of the longest length computed at once. `None`: 32.
        answers_per_seq: int or `None`. Best spans of a window that are candidates and take part in a score.
            `None`: 20, as in `answer`.
        no_answer: bool. Whether "no answer" is added, an answer whose `data` is `None`. Its score is the probability
            of "no answer" in the document where it is lowest. Defaults to `True`.
        overlap_threshold: float or `None`. Largest part of an answer's characters that a better one in its document may
            share, of the shorter of the two. The same text is one answer in a document. `None`: every span is an
            answer.

    Raises:
        InputError: a number is out of range.

    Example:

    ```python
    import os

    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # Haystack's usage statistics
    from haystack import Document
    from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, SpanBertTokenizer
    from spanbert_keras.integrations.haystack_reader import SpanBertExtractiveReader

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "wrote", "it", "?", "Ann", "did", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    SpanBertQuestionAnswerer(encoder).save("reader.keras")
    reader = SpanBertExtractiveReader("reader.keras", top_k=2, no_answer=False)
    answers = reader.run(query="who wrote it ?", documents=[Document(content="Ann did .")])["answers"]
    len(answers)  # 2
    ```
    """

    def __init__(
        self,
        model: str | Path,
        top_k: int = 20,
        score_threshold: float | None = None,
        max_seq_length: int | None = None,
        stride: int | None = None,
        max_batch_size: int | None = None,
        answers_per_seq: int | None = None,
        no_answer: bool = True,
        overlap_threshold: float | None = 0.01,
    ):
        if not isinstance(model, str | Path) or not str(model):
            raise InputError(
                "`model` must be the path of a SpanBertQuestionAnswerer, or another source of `load_pretrained`. "
                f"Received: model={shown(model, 60)}."
            )
        self.settings: dict[str, Any] = {
            "top_k": top_k,
            "score_threshold": score_threshold,
            "max_seq_length": max_seq_length,
            "stride": stride,
            "max_batch_size": max_batch_size,
            "answers_per_seq": answers_per_seq,
            "no_answer": no_answer,
            "overlap_threshold": overlap_threshold,
        }
        _ranking(self.settings)
        self._source = str(model)
        self._model: Any = None
        self._loading = threading.Lock()

    def to_dict(self) -> dict[str, Any]:
        """Returns the component as Haystack saves it: its class and its arguments."""
        return default_to_dict(self, model=self._source, **self.settings)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "SpanBertExtractiveReader":
        """Returns the component that `to_dict` described."""
        return default_from_dict(cls, data)

    def warm_up(self) -> None:
        """Loads the model.

        Raises:
            InputError: it cannot be read, or is not a `SpanBertQuestionAnswerer`.
        """
        with self._loading:
            if self._model is None:
                self._model = load_component_model(
                    "The component SpanBertExtractiveReader", self._source, "SpanBertQuestionAnswerer"
                )

    @component.output_types(answers=list[ExtractedAnswer])
    def run(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        score_threshold: float | None = None,
        max_seq_length: int | None = None,
        stride: int | None = None,
        max_batch_size: int | None = None,
        answers_per_seq: int | None = None,
        no_answer: bool | None = None,
        overlap_threshold: float | None = None,
    ) -> dict[str, Any]:
        """Returns `{"answers": [...]}`, a list of `ExtractedAnswer`, best first.

        Args:
            query: str.
            documents: list of Haystack's `Document`. Without any, there are no answers.
            top_k, score_threshold, max_seq_length, stride, max_batch_size, answers_per_seq, no_answer,
                overlap_threshold: `None`, which means the component's setting, or another value for this call.

        Raises:
            InputError: the query has no words, `documents` has something else than documents, or a number is out of
                range.
        """
        given = {
            "top_k": top_k,
            "score_threshold": score_threshold,
            "max_seq_length": max_seq_length,
            "stride": stride,
            "max_batch_size": max_batch_size,
            "answers_per_seq": answers_per_seq,
            "no_answer": no_answer,
            "overlap_threshold": overlap_threshold,
        }
        settings = self.settings | {name: value for name, value in given.items() if value is not None}
        ranking = _ranking(settings)
        self.warm_up()
        limits = _limits(self._model, query, settings)
        kept = []
        for number, document in enumerate(documents):
            if not isinstance(document, Document):
                raise InputError(
                    f"`documents[{number}]` must be a Haystack `Document`. Received: {shown(document, 60)}."
                )
            if document.content is None:
                logger.warning("Document {doc_id} has no text and is not read.", doc_id=document.id)
            else:
                kept.append(document)
        if not kept:
            return {"answers": []}
        index = DocumentIndex([document.content for document in kept])
        [found] = read_documents(self._model, [query], index, ranking, **limits)
        return {"answers": _extracted(query, kept, found, settings)}


def _ranking(settings: dict[str, Any]) -> Ranking:
    """Returns which answers are wanted; `InputError` if one of the numbers is out of range."""
    whole_number("top_k", settings["top_k"])
    for name in ("max_batch_size", "answers_per_seq"):
        if settings[name] is not None:
            whole_number(name, settings[name])
    least, overlap = (
        None if settings[name] is None else real_number(name, settings[name], 0, 1)
        for name in ("score_threshold", "overlap_threshold")
    )
    return Ranking(settings["top_k"], least or 0.0, overlap)


def _limits(model, query: str, settings: dict[str, Any]) -> dict[str, int | None]:
    """Returns the settings of `SpanBertQuestionAnswerer.readings`."""
    length, shared = settings["max_seq_length"], settings["stride"]
    if length is not None:
        whole_number("max_seq_length", length, minimum=5, maximum=model.encoder.max_sequence_length)
    windows = model.windows.replace(window_length=length)
    [(question_ids, _)] = windows.questions([query])
    room = windows.window_length - len(question_ids) - 3
    if shared is not None:
        # Haystack's stride is what two windows share, ours is the way from one to the next.
        shared = whole_number("stride", shared, minimum=0, maximum=room - 1)
    return {
        "batch_size": settings["max_batch_size"] or BATCH_SIZE,
        "window_length": length,
        "stride": None if shared is None else room - shared,
        **({} if settings["answers_per_seq"] is None else {"spans_per_window": settings["answers_per_seq"]}),
    }


def _extracted(
    query: str, documents: list[Document], found: DocumentReading, settings: dict[str, Any]
) -> list[ExtractedAnswer]:
    """Returns answers in Haystack's form, with "no answer" in its place among them if it is wanted."""
    answers = []
    for answer in found.answers:
        document = documents[answer.document]
        page = document.meta.get("page_number")
        before = document.content[: answer.start].count("\f") if document.content else 0
        answers.append(
            ExtractedAnswer(
                query=query,
                score=answer.score,
                data=answer.text,
                document=document,
                document_offset=ExtractedAnswer.Span(answer.start, answer.end),
                meta={"answer_page_number": page + before} if isinstance(page, int) else {},
            )
        )
    if settings["no_answer"] and found.no_answer_probability >= (settings["score_threshold"] or 0.0):
        answers.append(ExtractedAnswer(query=query, score=found.no_answer_probability))
    return sorted(answers, key=lambda one: -one.score)
