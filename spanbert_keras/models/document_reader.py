"""Answers to questions from many documents: what is read, and how answers from all of them are ranked."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from spanbert_keras.arguments import real_number, whole_number
from spanbert_keras.decoding.results import DocumentAnswer
from spanbert_keras.models.temperature import checked_temperature
from spanbert_keras.models.windowed_reader import Reading
from spanbert_keras.preprocessing.document_index import DocumentIndex

CHECKED = 256  # documents whose pieces are held at once


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Which answers to a question are returned.

    Attributes:
        top_k: int. Most answers.
        min_score: float. Answers with a lower score are left out.
        max_overlap: float or `None`. Largest part of an answer's characters that a better one in its document may
            share, of the shorter of the two. The same text is one answer in a document. `None`: every span is an
            answer.

    Raises:
        InputError: a number is out of range.
    """

    top_k: int
    min_score: float = 0.0
    max_overlap: float | None = 0.0

    def __post_init__(self):
        whole_number("top_k", self.top_k)
        real_number("min_score", self.min_score, 0, 1)
        if self.max_overlap is not None:
            real_number("max_overlap", self.max_overlap, 0, 1)


@dataclasses.dataclass(frozen=True)
class DocumentReading:
    """What reading documents for a question found.

    Attributes:
        answers: list of `DocumentAnswer`, best first.
        no_answer_probability: float. Probability of "no answer" in the document where it is lowest, as the lowest of
            a document's windows counts in `answer`. 1 if nothing was read.
        question_cut: bool. Whether the question was longer than the limit and its end was left out.
        at_limit: bool. Whether the best answer is as long as the limit allows.
    """

    answers: list[DocumentAnswer]
    no_answer_probability: float
    question_cut: bool
    at_limit: bool


def read_documents(
    reader,
    questions: Sequence[str],
    documents: DocumentIndex,
    ranking: Ranking,
    retrieve: int | None = None,
    **settings,
) -> list[DocumentReading]:
    """Returns a `DocumentReading` for each question; windows of all questions and documents are computed together.

    Args:
        reader: `SpanBertQuestionAnswerer`.
        questions: list of str.
        documents: `DocumentIndex`.
        ranking: `Ranking`.
        retrieve: int or `None`. Most documents that are read for a question. `None`: all.
        **settings: of `SpanBertQuestionAnswerer.readings`.

    Raises:
        InputError: a question has no words, or a number is not positive.
    """
    for name, value in {"retrieve": retrieve, **settings}.items():
        if value is not None or name == "batch_size":
            whole_number(name, value)
    reader.windows.questions(questions)
    readable: dict[int, bool] = {}
    chosen = [_chosen(reader, question, documents, retrieve, readable) for question in questions]
    pairs = [(question, place) for question, places in zip(questions, chosen, strict=True) for place in places]
    readings = reader.readings(
        (question for question, _ in pairs), (documents.texts[place] for _, place in pairs), **settings
    )
    longest = settings.get("max_answer_pieces") or reader.max_answer_pieces
    return [_ranked(reader, documents, zip(places, readings, strict=False), ranking, longest) for places in chosen]


def _chosen(reader, question: str, documents: DocumentIndex, retrieve: int | None, readable: dict[int, bool]):
    """Returns the places of the documents that are read for a question; fills in which of them have pieces."""
    if retrieve is None or len(documents) <= retrieve:
        places = list(range(len(documents)))
    else:
        places = documents.search(question, retrieve)
    unseen = [place for place in places if place not in readable]
    for begin in range(0, len(unseen), CHECKED):
        part = unseen[begin : begin + CHECKED]
        readable.update(zip(part, reader.windows.are_readable([documents.texts[i] for i in part]), strict=True))
    return [place for place in places if readable[place]]


def _ranked(
    reader, documents: DocumentIndex, readings: Iterable[tuple[int, Reading]], ranking: Ranking, longest: int
) -> DocumentReading:
    """Returns the best answers of a question's documents, given (place, `Reading`) of each."""
    temperature, threshold = checked_temperature(reader.temperature), reader.no_answer_threshold
    found: list[tuple[DocumentAnswer, int]] = []  # with the number of pieces
    no_answer_probability, question_cut = 1.0, False
    for place, reading in readings:
        probabilities, of_none = reading.probabilities(temperature)
        no_answer_probability = min(no_answer_probability, of_none)
        question_cut = reading.question_cut
        if threshold is None or reading.candidates.no_answer_score <= threshold:
            found += _answers(documents.ids[place], documents.texts[place], reading, probabilities.tolist(), ranking)
    found.sort(key=lambda one: -one[0].score)  # stable: of equal ones that of the document read first
    at_limit = bool(found) and found[0][1] == longest
    return DocumentReading([one for one, _ in found[: ranking.top_k]], no_answer_probability, question_cut, at_limit)


def _answers(
    id: Any, text: str, reading: Reading, probabilities: list[float], ranking: Ranking
) -> list[tuple[DocumentAnswer, int]]:
    """Returns the answers in one document, best first, each with its number of pieces."""
    kept: list[tuple[DocumentAnswer, int]] = []
    candidates = reading.candidates
    for first, last, score in zip(candidates.starts.tolist(), candidates.ends.tolist(), probabilities, strict=True):
        if len(kept) >= ranking.top_k or score < ranking.min_score:
            break
        start, end = reading.passage.characters_of(first, last)
        answer = DocumentAnswer(text[start:end], id, start, end, score)
        if not any(_repeats(answer, other, ranking.max_overlap) for other, _ in kept):
            kept.append((answer, last - first + 1))
    return kept


def _repeats(answer: DocumentAnswer, better: DocumentAnswer, max_overlap: float | None) -> bool:
    """Returns whether an answer has the text of a better one in its document, or too much of its place."""
    if max_overlap is None:
        return False
    shared = min(answer.end, better.end) - max(answer.start, better.start)
    shorter = min(answer.end - answer.start, better.end - better.start)
    return answer.text == better.text or shared > max_overlap * shorter
