"""What a resolver finds."""

import dataclasses


@dataclasses.dataclass(frozen=True, order=True)
class Mention:
    """A part of a document that stands for somebody or something.

    Attributes:
        start, end: int. Half-open: character (code point) offsets into the document's text, or, where a document was
            given as tokens, offsets of tokens.
        text: str. `document.text[start:end]`, or those tokens with blanks between them.
    """

    start: int
    end: int
    text: str
