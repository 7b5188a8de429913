"""Raw text to words and sentences, by rules. Spans are half-open, [start, end)."""

import functools
import re
from collections.abc import Sequence

Span = tuple[int, int]
# spaCy peels marks off a word one by one, each time from all that is left of it: what is longer is cut here first.
LONGEST_WORD = 500
WORD_PART = re.compile(rf"\S{{{LONGEST_WORD}}}(?=\S)")


def split_text(text: str, kept: Sequence[Span] = ()) -> tuple[list[str], list[Span], list[Span]]:
    """Returns the words of a text, where they stand, and its sentences.

    By spaCy's rules for English words and the ends of sentences, without a model; an empty line ends a sentence too.

    Args:
        text: str.
        kept: sequence of (start, end), in characters, in order and apart: a word each, such as a tokenizer's added
            tokens.

    Returns:
        tokens: list of str, `text[start:end]` each.
        offsets: list of (start, end), in characters (code points).
        sentences: list of (start, end), in tokens.

    Raises:
        ImportError: spaCy, of the extra `linguistic`, is not installed.
    """
    tokens: list[str] = []
    offsets: list[Span] = []
    begins: list[int] = [0]
    for token in _document(text, kept):
        # A sentence may be said to begin with the white space before it.
        if token.is_sent_start or token.is_space and token.text.count("\n") > 1:
            begins.append(len(tokens))
        if token.is_space:
            continue
        tokens.append(token.text)
        offsets.append((token.idx, token.idx + len(token.text)))
    return tokens, offsets, _ranges(begins, len(tokens))


def split_sentences(tokens: Sequence[str]) -> list[Span]:
    """Returns the sentences of words, (start, end) in words, by the rules of `split_text`."""
    pipeline = _pipeline()
    from spacy.tokens import Doc

    document = pipeline(Doc(pipeline.vocab, words=[str(token) for token in tokens]))
    return _ranges([token.i for token in document if token.is_sent_start], len(tokens))


def _document(text: str, kept: Sequence[Span]):
    """Returns a text as a spaCy document with sentences."""
    pipeline = _pipeline()
    from spacy.tokens import Doc

    words: list[str] = []
    spaces: list[bool] = []
    place = 0
    for start, end in (*kept, (len(text), len(text))):
        cuts = [place, *(found.end() for found in WORD_PART.finditer(text, place, start)), start]
        parts = [pipeline.make_doc(text[first:last]) for first, last in zip(cuts[:-1], cuts[1:], strict=True)]
        words += [token.text for part in parts for token in part]
        spaces += [bool(token.whitespace_) for part in parts for token in part]
        place = end
        if start < end:
            words.append(text[start:end])
            spaces.append(text[end : end + 1] == " ")  # spaCy has the blank after a word as a part of it
            place += spaces[-1]
    return pipeline(Doc(pipeline.vocab, words=words, spaces=spaces))


def _ranges(begins: list[int], length: int) -> list[Span]:
    bounds = sorted({0, *begins, length})
    return list(zip(bounds[:-1], bounds[1:], strict=True))


@functools.cache
def _pipeline():
    try:
        import spacy
    except ImportError as error:
        raise ImportError(
            "Words and sentences of raw text come from spaCy. Install it with "
            '`pip install "spanbert-keras[linguistic]"`, or give `tokens` and `sentences`.'
        ) from error
    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 2**62  # nothing here needs memory for each pair of words
    return pipeline
