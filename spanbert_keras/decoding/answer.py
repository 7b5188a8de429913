"""What a reader answers."""

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
