"""Arguments of `SpanBertEncoder.embed_spans`: texts or tokens, each with its spans."""

from typing import Any

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.examples.given_texts import given_list, is_range, plain

FORMS = "a str, a list of tokens, or a list of either"

SpanList = list[tuple[int, int]]


def given_spans(texts: Any, spans: Any) -> tuple[list[tuple[str | list[str], SpanList]], bool]:
    """Returns each text, or its tokens, with its spans; and whether it is a single one.

    Args:
        texts: str, a list of tokens, or a list of either.
        spans: list of (start, end), half-open, of the characters of a str or of tokens; of several texts a list of such
            lists.

    Raises:
        InputError: lists of different lengths, an invalid text or span, or a span outside its text.
    """
    if is_range(spans):
        raise InputError(f"`spans` must be a list of (start, end). Received: one of them, {shown(spans)}.")
    spans, _ = given_list(spans, "spans", "a list of (start, end), or of several texts a list of such lists", ())
    texts, single = given_list(texts, "texts", FORMS)
    if single:
        return [_checked(texts[0], spans, "")], True
    if is_range(spans[0]) if spans else texts and all(isinstance(one, str) for one in texts):
        return [_checked(texts, spans, "")], True
    if len(texts) != len(spans):
        raise InputError(
            f"`spans` must have a list of (start, end) for each text. Expected: {len(texts)}. Received: {len(spans)}."
        )
    every = enumerate(zip(texts, spans, strict=True))
    return [_checked(text, of_text, f"Text {number}: ") for number, (text, of_text) in every], False


def _checked(text: Any, spans: Any, name: str) -> tuple[str | list[str], SpanList]:
    """Returns a text, or its tokens, and its spans; messages begin with `name`."""
    text = plain(text)
    if not isinstance(text, str):
        text, _ = given_list(text, "texts", FORMS, ())
        for number, token in enumerate(text):
            if not isinstance(token, str):
                raise InputError(f"{name}Token {number} must be a str. Received: {shown(token)}.")
    unit = "characters" if isinstance(text, str) else "tokens"
    spans, _ = given_list(spans, "spans", "a list of (start, end)", ())
    for span in spans:
        if not is_range(span):
            raise InputError(f"{name}A span must be (start, end), whole numbers. Received: {shown(span)}.")
        start, end = plain(span)
        if not 0 <= start < end <= len(text):
            raise InputError(
                f"{name}A span must be a half-open range of the text's {len(text):,} {unit}. "
                f"Received: ({start}, {end})."
            )
    return text, [(int(start), int(end)) for start, end in map(plain, spans)]
