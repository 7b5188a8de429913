"""Raw text to words and sentences, by rules. Spans are half-open, [start, end)."""

import functools
import re
from collections.abc import Sequence
from typing import Any

from spanbert_keras.errors import InputError, shown

Span = tuple[int, int]
# spaCy removes punctuation from a word mark by mark, in quadratic time: longer words are cut here first.
MAX_WORD_LENGTH = 500
WORD_PART = re.compile(rf"\S{{{MAX_WORD_LENGTH}}}(?=\S)")
MAX_CODE_LENGTH = 40


def split_text(text: str, kept: Sequence[Span] = (), language: str = "en") -> tuple[list[str], list[Span], list[Span]]:
    """Returns the words of a text, their places, and its sentences.

    By spaCy's rules for a language's words and the ends of sentences, without a model; an empty line ends a sentence
    too. The rules know abbreviations and ordinals: German "am 3. Mai" is in one sentence, by the English rules in two.

    Args:
        text: str.
        kept: sequence of (start, end), in characters, in order and disjoint. Ranges that are one word each, such as a
            tokenizer's added tokens.
        language: str. See `check_language`.

    Returns:
        tokens: list of str, `text[start:end]` each.
        offsets: list of (start, end), in characters (code points).
        sentences: list of (start, end), in tokens.

    Raises:
        InputError: the language cannot be used.
        ImportError: spaCy, in the extra `linguistic`, is not installed.
    """
    tokens: list[str] = []
    offsets: list[Span] = []
    begins: list[int] = [0]
    for token in _parsed_document(text, kept, language):
        # spaCy may begin a sentence with the white space before it.
        if token.is_sent_start or token.is_space and token.text.count("\n") > 1:
            begins.append(len(tokens))
        if token.is_space:
            continue
        tokens.append(token.text)
        offsets.append((token.idx, token.idx + len(token.text)))
    return tokens, offsets, _ranges_between(begins, len(tokens))


def split_sentences(tokens: Sequence[str], language: str = "en") -> list[Span]:
    """Returns the sentences of words, (start, end) in words, by the rules of `split_text`."""
    pipeline = _pipeline(language_code(language))
    from spacy.tokens import Doc

    document = pipeline(Doc(pipeline.vocab, words=[str(token) for token in tokens]))
    return _ranges_between([token.i for token in document if token.is_sent_start], len(tokens))


def language_code(language: Any) -> str:
    """Returns a language as a plain str. Raises `InputError` if it cannot be a code of one; spaCy is not asked."""
    if not isinstance(language, str) or not language.isidentifier() or len(language) > MAX_CODE_LENGTH:
        raise InputError(f"`language` must be the code of a language, e.g. de. Received: language={shown(language)}.")
    return str(language)


def known_language(language: Any) -> str:
    """Returns a language as a plain str. Raises `InputError` if spaCy, where it is installed, does not know it."""
    code = language_code(language)
    try:
        import spacy
    except ImportError:
        return code
    try:
        spacy.util.get_lang_class(code)
    except (ImportError, AttributeError):
        raise InputError(
            "`language` must be one for which spaCy has a blank pipeline, e.g. en, de, or xx for any. "
            f"Received: language={code!r}."
        ) from None
    return code


def check_language(language: str) -> None:
    """Raises if raw text in a language cannot be cut into words.

    Args:
        language: str. Code of a language for which spaCy has a blank pipeline, e.g. `"de"`, or `"xx"` for any.

    Raises:
        InputError: spaCy does not know it, or its words need another package, as those of Japanese do.
        ImportError: spaCy, in the extra `linguistic`, is not installed.
    """
    _pipeline(language_code(language))


def _parsed_document(text: str, kept: Sequence[Span], language: str):
    """Returns a text as a spaCy document with sentences."""
    pipeline = _pipeline(language_code(language))
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
            spaces.append(text[end : end + 1] == " ")  # spaCy stores the blank after a word with it
            place += spaces[-1]
    return pipeline(Doc(pipeline.vocab, words=words, spaces=spaces))


def _ranges_between(begins: list[int], length: int) -> list[Span]:
    bounds = sorted({0, *begins, length})
    return list(zip(bounds[:-1], bounds[1:], strict=True))


@functools.cache
def _pipeline(language: str):
    try:
        import spacy
    except ImportError as error:
        raise ImportError(
            "Words and sentences of raw text come from spaCy. Install it with "
            '`pip install "spanbert-keras[linguistic]"`, or give `tokens` and `sentences`.'
        ) from error
    known_language(language)
    try:
        pipeline = spacy.blank(language)
    except ImportError as error:
        raise InputError(
            f"spaCy needs another package for language={language!r}. Its message: {' '.join(str(error).split())}"
        ) from error
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = 2**62  # the limit is for models that need memory for each pair of words
    return pipeline
