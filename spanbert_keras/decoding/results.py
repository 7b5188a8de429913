"""Results of the task models: one frozen record for each task."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer to a question, found in a context.

    Attributes:
        text: str. `context[start:end]`; `""` for "no answer".
        start, end: int or `None`. Half-open character (code point) offsets into the context; `None` for no answer.
        score: float. Probability of this answer: a softmax over the 20 best spans of every window of the context and
            "no answer", so that answers from several contexts can be compared.
        no_answer_score: float. Logit of "no answer" (start plus end logit of [CLS], the lowest of all windows) minus
            that of the best answer. A model with a `no_answer_threshold` gives no answer if this is above it.

    Example:

    ```python
    from spanbert_keras import Answer

    context = "It was written by Ann."
    answer = Answer("Ann", 18, 21, score=0.9, no_answer_score=-7.1)
    context[answer.start : answer.end]  # "Ann"
    ```
    """

    text: str
    start: int | None
    end: int | None
    score: float
    no_answer_score: float


@dataclasses.dataclass(frozen=True)
class DocumentAnswer:
    """An answer to a question, found in one of several documents.

    Attributes:
        text: str. The document's text at `[start:end]`, verbatim.
        document: the document's id; of documents that were given as a list of texts its place in the list.
        start, end: int. Half-open character (code point) offsets into the document's text.
        score: float. Probability of this answer, as `Answer.score`: a softmax over the best spans of the document and
            "no answer", of logits divided by the reader's temperature.

    Example:

    ```python
    from spanbert_keras import DocumentAnswer

    documents = {"a": "It was written by Ann.", "b": "Bob read it."}
    answer = DocumentAnswer("Ann", "a", 18, 21, score=0.9)
    documents[answer.document][answer.start : answer.end]  # "Ann"
    ```
    """

    text: str
    document: Any
    start: int
    end: int
    score: float


@dataclasses.dataclass(frozen=True)
class Mention:
    """A part of a document that refers to an entity. Mentions sort by position.

    Attributes:
        text: str. `document.text[start:end]`; for a document given as tokens, these joined by blanks.
        start, end: int. Half-open: character (code point) offsets into the document's text; for a document given
            as tokens, places of tokens.
        mention_score: float or `None`. Score of the span as a mention, before any link: above 0 if it is a likely one.
            `None` if unknown, as the next. Neither counts when mentions are compared.
        link_probability: float or `None`. Probability that it refers to an earlier mention of its chain. `None` for the
            first mention of a chain.

    Example:

    ```python
    from spanbert_keras import Mention

    sorted([Mention("her", 8, 11), Mention("Ann", 0, 3)])[0].text  # "Ann"
    ```
    """

    text: str
    start: int
    end: int
    mention_score: float | None = dataclasses.field(default=None, compare=False)
    link_probability: float | None = dataclasses.field(default=None, compare=False)

    def __lt__(self, other: "Mention") -> bool:
        return (self.start, self.end) < (other.start, other.end)


@dataclasses.dataclass(frozen=True)
class Entity:
    """A named entity in a text.

    Attributes:
        text: str. `text[start:end]` of the text as given; for a text given as tokens, these joined by blanks.
        label: str. Its type.
        start, end: int. Half-open: character (code point) offsets into the text; for a text given as tokens, places of
            tokens.
        score: float. Probability that the span is an entity of this type.

    Example:

    ```python
    from spanbert_keras import Entity

    text = "Ann lives in Oslo."
    entity = Entity("Oslo", "LOC", 13, 17, score=0.9)
    text[entity.start : entity.end]  # "Oslo"
    ```
    """

    text: str
    label: str
    start: int
    end: int
    score: float


@dataclasses.dataclass(frozen=True)
class Relation:
    """The relation of a subject to an object.

    Attributes:
        label: str or `None`. The most probable of the model's relations (`no_relation` is one of them in TACRED);
            `None` if its probability is below the `min_score` asked for.
        score: float. The probability of the most probable relation.
        scores: dict from each relation to its probability, in the model's order; they sum to 1.

    Example:

    ```python
    from spanbert_keras import Relation

    relation = Relation("per:title", 0.75, {"no_relation": 0.25, "per:title": 0.75})
    relation.scores[relation.label] == relation.score  # True
    ```
    """

    label: str | None
    score: float
    scores: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Classification:
    """The class, the classes or the numbers of a text, or of a pair of texts.

    Attributes:
        label: str or `None`. The most probable label; with several labels for each text, the most probable of them even
            if it is below the threshold. `None` if its probability is below the `min_score` asked for, and if the model
            predicts numbers instead.
        score: float or `None`. The most probable label's probability, or the number; `None` for several numbers.
        scores: dict from each label to its probability, in the model's order. They sum to 1, except
            for a model with several labels per text, where the labels are independent. Of numbers: dict from each
            name to its number, `{}` for a single number without a name.
        labels: tuple of str. The labels that the text has: `label` alone, or with several labels for each text those
            whose probability reaches the model's threshold, in the model's order. `()` for numbers.

    Example:

    ```python
    from spanbert_keras import Classification

    Classification("positive", 0.75, {"negative": 0.25, "positive": 0.75}).labels  # ("positive",)
    ```
    """

    label: str | None
    score: float | None
    scores: dict[str, float]
    labels: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.labels is None:
            object.__setattr__(self, "labels", () if self.label is None else (self.label,))
