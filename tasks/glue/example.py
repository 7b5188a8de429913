"""A text, or a pair of texts, with its label."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Example:
    """A text or a pair of texts to classify.

    Attributes:
        id: str. The file's own name for it, or its number from 0.
        text: str. The first text, or the only one.
        pair: str or `None`. The second one.
        label: str, tuple of str or `None`. The gold label, a number as text for regression; a tuple of the labels of a
            text that may have several, or of several numbers; `None` where a test file has none.
    """

    id: str
    text: str
    pair: str | None
    label: str | tuple[str, ...] | None
