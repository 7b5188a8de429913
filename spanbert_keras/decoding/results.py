"""What models answer: one frozen record for each task."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer to a question, found in a context.

    Attributes:
        text: str. `context[start:end]`; `""` where the context is said not to hold the answer.
        start, end: int or `None`. Half-open character (code point) offsets into the context; `None` for no answer.
        score: float. Probability of this answer: a softmax over the 20 best spans of every window of the context and
            "no answer", so that answers from several contexts can be compared.
        no_answer_score: float. Logit of "no answer" (start plus end logit of [CLS], the lowest of all windows) less
            that of the best answer. A model that may refuse does so where this is above its threshold.
    """

    text: str
    start: int | None
    end: int | None
    score: float
    no_answer_score: float


@dataclasses.dataclass(frozen=True)
class Mention:
    """A part of a document that stands for somebody or something. Mentions sort by where they are.

    Attributes:
        text: str. `document.text[start:end]`, or, where a document was given as tokens, those with blanks between them.
        start, end: int. Half-open: character (code point) offsets into the document's text, or, where a document was
            given as tokens, offsets of tokens.
    """

    text: str
    start: int
    end: int

    def __lt__(self, other: "Mention") -> bool:
        return (self.start, self.end) < (other.start, other.end)


@dataclasses.dataclass(frozen=True)
class Relation:
    """The relation of a subject to an object.

    Attributes:
        label: str. The most probable one of the model's relations, perhaps that there is none.
        score: float. Its probability.
        scores: dict from each relation to its probability, in the model's order; they sum to 1.
    """

    label: str
    score: float
    scores: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Classification:
    """The class, the classes or the numbers of a text, or of a pair of texts.

    Attributes:
        label: str or `None`. The most probable label; with several labels for each text, the most probable of them even
            if it is below the threshold. `None` where the model gives numbers instead.
        score: float or `None`. The label's probability, or the number; `None` where there are several numbers.
        scores: dict from each label to its probability, in the model's order. They sum to 1, but for a model with
            several labels for each text, where each label has a probability of its own. Of numbers: dict from each
            name to its number, `{}` for a single number without a name.
        labels: tuple of str. The labels that the text has: `label` alone, or with several labels for each text those
            whose probability reaches the model's threshold, in the model's order. `()` for numbers.
    """

    label: str | None
    score: float | None
    scores: dict[str, float]
    labels: tuple[str, ...] | None = None

    def __post_init__(self):
        if self.labels is None:
            object.__setattr__(self, "labels", () if self.label is None else (self.label,))
