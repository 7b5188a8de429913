"""The tab of a pretrainer."""

import dataclasses
import math
import re

from spanbert_keras.demo_page import markup
from spanbert_keras.demo_page.tab import Field, Tab, written
from spanbert_keras.errors import InputError, shown

BRACKETS = re.compile(r"\[([^\[\]]*)\]")
MASK = "MASK"  # in brackets: one masked word piece
TEXT = "Return [True if] the value is a string. The [MASK] [MASK] must be a number."


@dataclasses.dataclass(frozen=True)
class MaskedText:
    """A text with [MASK] in place of its chosen spans.

    Attributes:
        text: str. The text for `fill_spans`.
        pieces: tuple of str. Its word pieces, without [CLS] and [SEP].
        hidden: tuple of str or `None`, one for each piece. The piece that a [MASK] replaced, `""` if none did; `None`
            for a piece that is not masked.
    """

    text: str
    pieces: tuple[str, ...]
    hidden: tuple[str | None, ...]


def span_tab(pretrainer) -> Tab:
    """Returns the tab of a `SpanBertPretrainer`."""

    def show(text):
        masked = mask_brackets(written(text, "text"), pretrainer.tokenizer)
        return show_spans(masked, pretrainer.fill_spans(masked.text).spans)

    return Tab(
        title="Masked spans",
        about="Predicts masked words. The masked LM reads the masked pieces, the span boundary objective only the two "
        "pieces beside a span, and positions.",
        button="Predict",
        fields=[
            Field(
                kind="text",
                label="Text",
                example=TEXT,
                info="Words in [square brackets] are masked; each [MASK] is a masked word piece.",
            )
        ],
        show=show,
    )


def mask_brackets(text: str, tokenizer) -> MaskedText:
    """Returns a text in which each span in square brackets is masked.

    Args:
        text: str. `[MASK]` stands for one masked piece; `[two words]` for the pieces of these words.
        tokenizer: `SpanBertTokenizer`.

    Raises:
        InputError: nothing is in brackets, or one pair of them holds no words.
    """
    parts: list[str] = []
    pieces: list[str] = []
    hidden: list[str | None] = []
    place = 0
    for match in [*BRACKETS.finditer(text), None]:
        before = text[place : match.start() if match else None]
        plain = [tokenizer.id_to_token(one) for one in tokenizer.tokenize(before, special_tokens_in_text=False)]
        parts.append(before)
        pieces += plain
        hidden += [None] * len(plain)
        if match is None:
            break
        inside = [tokenizer.id_to_token(one) for one in tokenizer.tokenize(match[1], special_tokens_in_text=False)]
        covered = [""] if match[1].strip() == MASK else inside
        if not covered:
            raise InputError(f"The brackets must hold words. Received: {shown(match[0])}.")
        parts.append(f" {' '.join([f'[{MASK}]'] * len(covered))} ")
        pieces += [f"[{MASK}]"] * len(covered)
        hidden += covered
        place = match.end()
    if all(one is None for one in hidden):
        raise InputError(f"The text must have a span in square brackets, or [MASK]. Received: {shown(text, 60)}.")
    return MaskedText("".join(parts), tuple(pieces), tuple(hidden))


def show_spans(masked: MaskedText, spans) -> str:
    """Returns the pieces of a text with its masked spans, and what both heads predict for each span.

    Args:
        masked: `MaskedText`.
        spans: sequence of `FilledSpan`.
    """
    boundaries = {place for span in spans for place in (span.start - 1, span.end + 1)}
    shown_pieces = ["[CLS]", *masked.pieces, "[SEP]"]
    hidden = [None, *masked.hidden, None]
    chips = []
    for place, (piece, below) in enumerate(zip(shown_pieces, hidden, strict=True)):
        kind = "sb-mask" if below is not None else "sb-boundary" if place in boundaries else ""
        under = f"<small>{markup.escaped(below)}</small>" if below else ""
        chips.append(f'<span class="sb-piece {kind}"><span>{markup.escaped(piece)}</span>{under}</span>')
    rows = [
        (
            markup.escaped(" ".join(filter(None, hidden[span.start : span.end + 1])) or "[MASK]"),
            _prediction(span.masked_lm, span.masked_lm_score),
            _prediction(span.span_boundary, span.span_boundary_score),
        )
        for span in spans
    ]
    return markup.panel(
        f'<p class="sb-pieces">{" ".join(chips)}</p>',
        markup.note("Grey: masked pieces. Orange: what the span boundary objective reads."),
        markup.heading("Predictions"),
        markup.table(("Masked pieces", "Masked LM", "Span boundary objective"), rows),
        markup.note("Probability: mean per piece, as a geometric mean."),
    )


def _prediction(text: str, score: float) -> str:
    return f"<b>{markup.escaped(text)}</b> <span>{markup.percent(math.exp(score))}</span>"
