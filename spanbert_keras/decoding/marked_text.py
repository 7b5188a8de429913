"""A text as HTML with marked parts, which may nest and cross."""

import dataclasses
import html
from collections.abc import Iterable

GOLDEN_ANGLE = 137.508  # degrees; keeps the hues of neighbouring numbers far apart


@dataclasses.dataclass(frozen=True)
class MarkedPart:
    """A part of a text to mark.

    Attributes:
        start, end: int. Half-open range of characters, not empty.
        number: int. What the part belongs to, such as its chain; parts of one number have one colour.
        note: str. Shown after the part, small and low.
    """

    start: int
    end: int
    number: int
    note: str = ""


def marked_text(text: str, parts: Iterable[MarkedPart]) -> str:
    """Returns a text as HTML with each part in an element; a part that crosses another is cut in two.

    Without its tags and its notes (the `sub` elements) the HTML is the text. Colours are the page's: the elements have
    a hue, `--hue`.

    Args:
        text: str. The text; it is escaped.
        parts: iterable of `MarkedPart`, in any order.

    Example:

    ```python
    from spanbert_keras.decoding.marked_text import MarkedPart, marked_text

    marked_text("Ann & me", [MarkedPart(0, 3, 0, "1")])
    # <mark style="--hue:0" data-chain="0" tabindex="0">Ann<sub>1</sub></mark> &amp; me
    ```
    """
    opening: dict[int, list[MarkedPart]] = {}
    closing: dict[int, int] = {}
    for part in sorted(parts, key=lambda one: (one.start, -one.end)):
        opening.setdefault(part.start, []).append(part)
        closing[part.end] = closing.get(part.end, 0) + 1
    written: list[str] = []
    stack: list[MarkedPart] = []
    before = 0
    for place in sorted({*opening, *closing}):
        written.append(html.escape(text[before:place]))
        before = place
        left = [part for part in stack if part.end == place]
        reopened: list[MarkedPart] = []
        while left:
            part = stack.pop()
            note = f"<sub>{html.escape(part.note)}</sub>" if part.end == place and part.note else ""
            written.append(f"{note}</mark>")
            if part in left:
                left.remove(part)
            else:
                reopened.append(part)
        for part in [*reversed(reopened), *opening.get(place, [])]:
            stack.append(part)
            written.append(f'<mark style="--hue:{hue(part.number)}" data-chain="{part.number}" tabindex="0">')
    written.append(html.escape(text[before:]))
    return "".join(written)


def hue(number: int) -> str:
    """Returns the hue of a number, in degrees."""
    return f"{number * GOLDEN_ANGLE % 360:.0f}"
