"""What a resolver finds."""

import dataclasses


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
