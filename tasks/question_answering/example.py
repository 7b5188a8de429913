"""One question about one text, with its gold answers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Example:
    """A question, the text to answer it from, and where the gold answers stand in it.

    Attributes:
        id: str. Unique in its file; predictions are keyed by it.
        question: str.
        context: str.
        answers: tuple of str. The gold texts in the file's order; `()` where the question has no answer.
        spans: tuple of (start, end). Half-open character spans of the gold answers in `context`, in the file's order:
            in SQuAD one for each answer, in MRQA each place where one was found, unsorted, repetitions included.
        article: str. The article's title in SQuAD, `""` in MRQA.

    Example:
        >>> example = Example("q1", "Who wrote it?", "Ann wrote it.", ("Ann",), ((0, 3),), "")
        >>> [example.context[start:end] for start, end in example.spans]
        ['Ann']
    """

    id: str
    question: str
    context: str
    answers: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    article: str
