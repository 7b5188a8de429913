"""Filling the masked spans of a text. Shape letters: B batch, T tokens, M masked positions."""

import dataclasses

import numpy as np

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.examples.given_texts import given_texts

BATCH_ROWS = 4  # rows of the longest length in a batch: logits of the whole vocabulary are large


@dataclasses.dataclass(frozen=True)
class FilledSpan:
    """One run of [MASK] and what the two heads predict for it.

    Attributes:
        start, end: int. First and last masked piece of the run (inclusive), counted with [CLS].
        masked_lm, span_boundary: str. The most probable text by each head.
        masked_lm_score, span_boundary_score: float. Mean log probability per piece of that text, in nats.
    """

    start: int
    end: int
    masked_lm: str
    span_boundary: str
    masked_lm_score: float
    span_boundary_score: float


class FilledText(str):
    """The filled text: a `str` whose `spans` lists every `FilledSpan` in order."""

    spans: tuple[FilledSpan, ...]

    def __new__(cls, text, spans):
        filled = super().__new__(cls, text)
        filled.spans = tuple(spans)
        return filled


def masked_runs(is_masked):
    """Returns the inclusive (start, end) of every maximal run of True in a bool `(T,)` array."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_masked.astype(np.int8), [0]])))
    return [(int(start), int(end) - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def span_inputs(rows, size=None, length=None, masks=None):
    """Returns the pretrainer's inputs for rows whose masked runs are given.

    Args:
        rows: list of (token_ids, runs): int `(T,)` with [CLS] and [SEP], and inclusive (start, end) of every run.
        size: int or `None`. B; the last row is repeated. `None`: the number of rows.
        length, masks: int or `None`. T and M. `None`: as large as the largest row needs.

    Returns:
        dict of int32 arrays `(B, T)`, `(B, M)`, and `(B, 1)`.
    """
    length = length or max(len(ids) for ids, _ in rows)
    counts = [sum(end - start + 1 for start, end in runs) for _, runs in rows]
    size, masks = size or len(rows), masks or max(counts)
    by_token = ("token_ids", "segment_ids", "padding_mask")
    by_mask = ("mask_positions", "left_positions", "right_positions", "span_offsets")
    inputs = {key: np.zeros((size, length), np.int32) for key in by_token}
    inputs |= {key: np.zeros((size, masks), np.int32) for key in by_mask}
    inputs["pair_positions"] = np.zeros((size, 1), np.int32)  # for a model with a next-sentence head
    for row, (token_ids, runs) in enumerate(rows + rows[-1:] * (size - len(rows))):
        inputs["token_ids"][row, : len(token_ids)] = token_ids
        inputs["padding_mask"][row, : len(token_ids)] = 1
        places = [(i, start - 1, end + 1, i - start) for start, end in runs for i in range(start, end + 1)]
        for key, column in zip(by_mask, zip(*places, strict=True), strict=True):
            inputs[key][row, : len(column)] = column
    return inputs


def fill_spans(pretrainer, text):
    """Fills every [MASK] of a text, or of each of several texts, by the masked-LM head.

    The span-boundary head's prediction for each span is reported too. Each [MASK] stands for one word piece;
    neighbouring ones are a span.

    Args:
        pretrainer: `SpanBertPretrainer` whose encoder carries a tokenizer.
        text: str, or sequence of str. At least one literal `[MASK]` in each.

    Returns:
        `FilledText`: the text as a `str`, with `.spans`; for a sequence a list of them.

    Raises:
        ValueError: no tokenizer.
        InputError: a text is not a str, has no [MASK], or has more pieces than the encoder takes.
    """
    if pretrainer.tokenizer is None:
        raise ValueError("`fill_spans` needs a tokenizer, and this model's encoder was made without one.")
    texts, single = given_texts(text, "text", "text")
    rows = [_row(pretrainer, one, "text" if single else f"text {number}") for number, one in enumerate(texts)]
    filled: list = [None] * len(rows)
    longest = pretrainer.encoder.max_sequence_length
    for part, size, length in pretrainer.batches_of([len(ids) for ids, _ in rows], longest, BATCH_ROWS):
        chosen = [rows[place] for place in part.tolist()]
        masks = max(sum(end - start + 1 for start, end in runs) for _, runs in chosen)
        masks = 1 << (masks - 1).bit_length()  # few shapes, for a backend that compiles each
        outputs = pretrainer.compute_rows(span_inputs(chosen, size, length, masks))
        for number, (place, (token_ids, runs)) in enumerate(zip(part.tolist(), chosen, strict=True)):
            logits = {head: outputs[head][number] for head in ("masked_lm", "span_boundary")}
            filled[place] = _filled(pretrainer.tokenizer, token_ids, runs, logits)
    return filled[0] if single else filled


def _row(pretrainer, text, name):
    """Returns the pieces of a text and its masked runs; error messages call it `name`."""
    tokenizer = pretrainer.tokenizer
    pieces = tokenizer.tokenize(text, special_tokens_in_text=True)
    token_ids = np.array([tokenizer.cls_token_id, *pieces, tokenizer.sep_token_id])
    if len(token_ids) > pretrainer.encoder.max_sequence_length:
        raise InputError(
            f"The {name} is too long. Expected at most {pretrainer.encoder.max_sequence_length} pieces with [CLS] and "
            f"[SEP]. Received: {len(token_ids)}."
        )
    runs = masked_runs(token_ids == tokenizer.mask_token_id)
    if not runs:
        raise InputError(f"`fill_spans` needs at least one literal [MASK] in the {name}. Received: {shown(text)}.")
    return token_ids, runs


def _filled(tokenizer, token_ids, runs, outputs):
    """Returns a `FilledText` from the logits of each head, `(at least M, V)`."""
    special_ids = [tokenizer.mask_token_id, tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id]
    count = sum(end - start + 1 for start, end in runs)
    predictions = {}
    for head, values in outputs.items():
        logits = np.array(values[:count], np.float64)  # (M, V)
        logits[:, special_ids] = -np.inf
        logits -= np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True)) + logits.max(
            -1, keepdims=True
        )
        predictions[head] = (logits.argmax(-1), logits.max(-1))
    filled, spans, done = token_ids.copy(), [], 0
    for start, end in runs:
        part = slice(done, done + end - start + 1)
        texts = {head: tokenizer.detokenize(ids[part].tolist()) for head, (ids, _) in predictions.items()}
        scores = {head: float(values[part].mean()) for head, (_, values) in predictions.items()}
        filled[start : end + 1] = predictions["masked_lm"][0][part]
        spans.append(
            FilledSpan(
                start, end, texts["masked_lm"], texts["span_boundary"], scores["masked_lm"], scores["span_boundary"]
            )
        )
        done = part.stop
    return FilledText(tokenizer.detokenize(filled[1:-1].tolist()), spans)
