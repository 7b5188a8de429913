"""Draws a sentence with a masked span, and what each head of a pretrainer predicts for it.

    python -m benchmarks.span_picture --model=pretrainer.keras --marked_text="An [error is] raised." --output=a.png

Square brackets mark the span; its words are masked. The masked-LM head reads the vector of each masked piece, the span
boundary head those of the pieces beside the span and a position (paper, section 3.2).
"""

import dataclasses
import math
import re
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError, Settings, setting

MARKED = re.compile(r"([^\[\]]*)\[([^\[\]]+)\]([^\[\]]*)")
BOX, BOUNDARY, MASK, MASKED_LM, SPAN_BOUNDARY = "#eef1f4", "#ffd8a8", "#d0d7de", "#1f6feb", "#d9730d"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of the picture."""

    model: str = setting("Pretrainer, e.g. runs/tiny/pretrainer.keras.", path=True)
    marked_text: str = setting("Text with one span in square brackets.")
    output: str = setting("Picture to write, e.g. a .png file.", path=True)


def predictions(pretrainer, text: str) -> tuple[list[str], slice, dict[str, tuple[str, float]]]:
    """Returns the pieces of a text, where its span is, and what each head predicts.

    Args:
        pretrainer: `SpanBertPretrainer`.
        text: str, with one span in square brackets.

    Returns:
        The pieces; the masked ones; dict from head to its text in words and its probability per piece.

    Raises:
        InputError: the text has no span, or several.
    """
    match = MARKED.fullmatch(text)
    if not match or not match[2].strip():
        raise InputError(f"--marked_text must have one span in square brackets. Received: {text}.")
    tokenizer = pretrainer.tokenizer
    before, span, after = (tokenizer.tokenize(part) for part in match.groups())
    masks = " ".join(["[MASK]"] * len(span))
    filled = pretrainer.fill_spans(f"{match[1]} {masks} {match[3]}").spans[0]
    heads = {
        "masked LM": (filled.masked_lm, math.exp(filled.masked_lm_score)),
        "span boundary objective": (filled.span_boundary, math.exp(filled.span_boundary_score)),
    }
    pieces = [tokenizer.id_to_token(number) for number in (*before, *span, *after)]
    return ["[CLS]", *pieces, "[SEP]"], slice(1 + len(before), 1 + len(before) + len(span)), heads


def draw(path: str, pieces: list[str], span: slice, heads: dict[str, tuple[str, float]]) -> None:
    """Writes the picture.

    Args:
        path: str. Picture to write.
        pieces: list of str. With [CLS] and [SEP].
        span: slice. The masked pieces.
        heads: dict from "masked LM" and "span boundary objective" to (text, probability per piece).
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [piece if not span.start <= place < span.stop else "[MASK]" for place, piece in enumerate(pieces)]
    widths = [0.115 * len(text) + 0.16 for text in shown]
    lefts = [sum(widths[:place]) + 0.1 * place for place in range(len(widths))]
    total = lefts[-1] + widths[-1]
    figure, axes = pyplot.subplots(figsize=(max(7.0, total * 0.9 + 0.4), 2.9))
    for place, (text, left, width) in enumerate(zip(shown, lefts, widths, strict=True)):
        colour = MASK if text == "[MASK]" else BOUNDARY if place in (span.start - 1, span.stop) else BOX
        axes.add_patch(pyplot.Rectangle((left, 0), width, 0.5, facecolor=colour, edgecolor="#8b949e", linewidth=0.8))
        axes.text(left + width / 2, 0.25, text, ha="center", va="center", family="monospace", fontsize=10)
        if text == "[MASK]":
            axes.text(left + width / 2, -0.22, pieces[place], ha="center", va="center", family="monospace", fontsize=9)
    begin, end = lefts[span.start], lefts[span.stop - 1] + widths[span.stop - 1]
    middle = (begin + end) / 2
    axes.text(middle, -0.5, "masked text", ha="center", va="center", fontsize=8, color="#57606a")

    def answer(height, name, colour, side):
        text, probability = heads[name]
        axes.text(middle, height, text, ha="center", va="center", family="monospace", fontsize=11, color=colour)
        note = f"{name}, {probability:.0%} per piece"
        axes.text(middle, height + 0.28 * side, note, ha="center", va="center", fontsize=8, color=colour)

    answer(1.05, "masked LM", MASKED_LM, 1)
    arrow = {"arrowstyle": "->", "color": MASKED_LM, "linewidth": 1}
    for place in range(span.start, span.stop):
        start = (lefts[place] + widths[place] / 2, 0.5)
        axes.annotate("", (middle + (start[0] - middle) * 0.6, 0.9), start, arrowprops=arrow)
    answer(-1.2, "span boundary objective", SPAN_BOUNDARY, -1)
    for place, bend in ((span.start - 1, 0.25), (span.stop, -0.25)):
        start = (lefts[place] + widths[place] / 2, 0.0)
        side = -1 if place < span.start else 1
        arrow = {"arrowstyle": "->", "color": SPAN_BOUNDARY, "linewidth": 1, "connectionstyle": f"arc3,rad={bend}"}
        axes.annotate(
            "", (middle + side * 0.06 * len(heads["span boundary objective"][0]), -1.1), start, arrowprops=arrow
        )
    axes.set_xlim(-0.2, total + 0.2)
    axes.set_ylim(-1.7, 1.6)
    axes.axis("off")
    figure.tight_layout(pad=0.2)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(config: Config) -> None:
    """Draws a sentence with its masked span."""
    from spanbert_keras.model_flag import load_task_model

    pretrainer = load_task_model(config.model, "SpanBertPretrainer")
    draw(config.output, *predictions(pretrainer, config.marked_text))


if __name__ == "__main__":
    program.run(main, Config)
