"""Held-out spans with the predictions of both heads, for the table of a run and TensorBoard's text panel."""

import dataclasses

import numpy as np

from spanbert_keras.pretraining.piece_scores import piece_kinds, span_lengths

CONTEXT = 12  # tokens shown on each side of a span


@dataclasses.dataclass(frozen=True)
class SpanExample:
    """One masked span of held-out text. All attributes are text: its context, the truth and two predictions."""

    before: str
    after: str
    truth: str
    masked_lm: str
    span_boundary: str


def span_examples(results, batch: dict[str, np.ndarray], tokenizer, count: int, longest: int = 5) -> list[SpanExample]:
    """Returns spans that were replaced by [MASK], at most one per block of text, spread over the batch.

    Args:
        results: dict with `mlm_best` and `sbo_best`, int `(B, M)`. The predictions of each head.
        batch: dict of arrays. A held-out batch of `BatchStream`.
        tokenizer: `SpanBertTokenizer`.
        count: int. Maximum number of spans.
        longest: int. Maximum length of a span, in tokens.
    """
    lengths = span_lengths(batch)
    eligible = (
        piece_kinds(batch, tokenizer.mask_token_id)["masked"]
        & (batch["mask_weights"] > 0)
        & (batch["span_offsets"] == 0)
        & (lengths >= 1)
        & (lengths <= longest)
    )
    original = batch["token_ids"].copy()
    positions, weights = batch["mask_positions"], batch["mask_weights"]
    truth = np.where(weights > 0, batch["mask_ids"], np.take_along_axis(original, positions, axis=1))
    np.put_along_axis(original, positions, truth, axis=1)  # padding entries keep what they point at
    chosen: list[tuple[int, int]] = []
    seen: set[tuple[int, int]] = set()
    for row, column in zip(*np.nonzero(eligible), strict=True):
        block = (int(row), int(batch["padding_mask"][row, batch["mask_positions"][row, column]]))
        if block not in seen:
            seen.add(block)
            chosen.append((int(row), int(column)))
    # Evenly spaced over the batch, rather than all from its first rows.
    picks = [chosen[i] for i in np.linspace(0, len(chosen) - 1, min(count, len(chosen))).astype(int)] if chosen else []
    return [
        _example(batch, original, results, tokenizer, row, column, int(lengths[row, column])) for row, column in picks
    ]


def _example(batch, original, results, tokenizer, row: int, column: int, length: int) -> SpanExample:
    """Returns the texts of one span."""
    start = int(batch["mask_positions"][row, column])
    same = np.flatnonzero(batch["padding_mask"][row] == batch["padding_mask"][row, start])  # its block
    low, high = max(same[0] + 1, start - CONTEXT), min(same[-1], start + length + CONTEXT)  # without [CLS] and [SEP]
    part = slice(column, column + length)

    def text(ids) -> str:
        return tokenizer.detokenize(np.asarray(ids).tolist())

    return SpanExample(
        before=("" if low == same[0] + 1 else "... ") + text(original[row, low:start]),
        after=text(original[row, start + length : high]) + ("" if high == same[-1] else " ..."),
        truth=text(batch["mask_ids"][row, part]),
        masked_lm=text(results["mlm_best"][row, part]),
        span_boundary=text(results["sbo_best"][row, part]),
    )


def as_markdown(examples: list[SpanExample]) -> str:
    """Returns the examples as a Markdown table, for TensorBoard's text panel."""

    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("\n", " ")

    lines = ["| text with the masked span | masked LM | span boundary | truth |", "|---|---|---|---|"]
    lines += [
        f"| {f'{cell(e.before)} **[{cell(e.truth)}]** {cell(e.after)}'.strip()} | {cell(e.masked_lm) or '(nothing)'} "
        f"| {cell(e.span_boundary) or '(nothing)'} | {cell(e.truth)} |"
        for e in examples
    ]
    return "\n".join(lines)
