"""Arguments of a resolver, as documents in words."""

import dataclasses
from collections.abc import Sequence

from spanbert_keras.errors import InputError, shown
from spanbert_keras.preprocessing.document import Document
from spanbert_keras.preprocessing.examples.given_texts import given_list, is_range
from spanbert_keras.preprocessing.text_words import split_sentences, split_text


@dataclasses.dataclass(frozen=True)
class GivenDocument:
    """A document to resolve.

    Attributes:
        text: str or `None`. The text that the words come from.
        tokens: sequence of str, at least one.
        offsets: sequence of (start, end). Character ranges of the tokens in `text`; empty without a text.
        sentences: sequence of (start, end), in tokens.
        speakers: sequence of str, one for each token.
        genre: str, or `None` for none.
        mentions: sequence of (start, end), in tokens: the only spans that may be mentions; `None` for all.
    """

    text: str | None
    tokens: Sequence[str]
    offsets: Sequence[tuple[int, int]]
    sentences: Sequence[tuple[int, int]]
    speakers: Sequence[str]
    genre: str | None
    mentions: Sequence[tuple[int, int]] | None = None


def given_documents(
    texts, tokens, sentences, speakers, genre, mentions=None, tokenizer=None, language="en"
) -> tuple[list[GivenDocument], bool]:
    """Returns the documents that `SpanBertCoreferenceResolver.resolve` was given, and whether it was one, not a list.

    Each of the tokenizer's added tokens in a text is one word.

    Raises:
        InputError: both texts and tokens or neither, a document without words, lists that do not fit, or a language
            that cannot be used.
    """
    documents, single = _given_documents(texts, tokens, sentences, speakers, genre, tokenizer, language)
    if mentions is None:
        return documents, single
    every = (
        [mentions] if single else given_list(mentions, "mentions", "a list of (start, end) for each document", ())[0]
    )
    if len(every) != len(documents):
        raise InputError(
            f"There must be `mentions` for each document. Expected: {len(documents)}. Received: {len(every)}."
        )
    pairs = enumerate(zip(documents, every, strict=True))
    return [_with_mentions(document, spans, number) for number, (document, spans) in pairs], single


def _with_mentions(document: GivenDocument, spans, number: int) -> GivenDocument:
    """Returns a document with the only spans that may be mentions."""
    if document.text is not None:
        raise InputError(f"Document {number}: `mentions` are spans of words. Expected: tokens. Received: a text.")
    spans, _ = given_list(spans, "mentions", "(start, end) of its tokens, in a list", ())
    for span in spans:
        if not is_range(span):
            raise InputError(
                f"Document {number}: `mentions` must be (start, end) of its tokens. Received: {shown(span)}."
            )
    try:
        checked = Document(tuple(document.tokens), clusters=tuple(((start, end),) for start, end in spans))
    except ValueError as error:
        raise InputError(f"Document {number}: `mentions` must be (start, end) of its tokens: {error}") from error
    return dataclasses.replace(document, mentions=tuple(cluster[0] for cluster in checked.clusters))


def _given_documents(
    texts, tokens, sentences, speakers, genre, tokenizer, language
) -> tuple[list[GivenDocument], bool]:
    if (texts is None) == (tokens is None):
        raise InputError("`resolve` takes either texts or one document's `tokens`. Received: both or neither.")
    if tokens is not None:
        if isinstance(tokens, str):
            raise InputError("`tokens` must be a list of words. Received: a str; give it as text, without `tokens=`.")
        tokens, _ = given_list(tokens, "tokens", "a list of words", ())
        document = Document(tokens, () if sentences is None else sentences, () if speakers is None else speakers)
        if sentences is None and document.tokens:
            document = dataclasses.replace(document, sentences=tuple(split_sentences(document.tokens, language)))
        return [_of_words(document, genre, 0)], True
    if sentences is not None or speakers is not None:
        raise InputError("`sentences` and `speakers` go with `tokens`. Received: them with texts.")
    given, single = given_list(texts, "texts", "a str, a `Document` or a sequence of them", (str, Document))
    return [_given(one, genre, number, tokenizer, language) for number, one in enumerate(given)], single


def _given(text, genre, number: int, tokenizer, language) -> GivenDocument:
    if isinstance(text, Document):
        return _of_words(text, genre or text.genre, number)
    if not isinstance(text, str):
        raise InputError(f"Document {number} must be a str or a `Document`. Received: {type(text).__name__}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"Document {number} holds half a character at {error.start}. Expected: Unicode. "
            f"Received: {text[error.start]!r}."
        ) from None
    tokens, offsets, sentences = split_text(text, _added_tokens(tokenizer, text), language)
    if not tokens:
        raise InputError(f"Document {number} has no words. Received: {text[:40]!r}.")
    return GivenDocument(text, tokens, offsets, sentences, [""] * len(tokens), genre)


def _added_tokens(tokenizer, text: str) -> list[tuple[int, int]]:
    """Returns where a tokenizer finds its added tokens in a text, without blanks around them."""
    added = () if tokenizer is None else tokenizer.added_tokens
    if not added:
        return []
    ids = {tokenizer.token_to_id(token["content"]) for token in added}
    is_start = tokenizer.word_starts()
    pieces, offsets = tokenizer.encode_with_offsets(text)
    spans = []
    for i, (piece, (start, end)) in enumerate(zip(pieces, offsets, strict=True)):
        # An added token may be an ordinary piece too, and then begin a longer word.
        is_part = i + 1 < len(pieces) and not is_start[pieces[i + 1]] and offsets[i + 1][0] == end
        if piece in ids and not is_part and text[start:end].strip():
            start += len(text[start:end]) - len(text[start:end].lstrip())
            spans.append((start, start + len(text[start:end].rstrip())))
    return spans


def _of_words(document: Document, genre, number: int) -> GivenDocument:
    if not document.tokens:
        raise InputError(f"Document {number} has no words.")
    return GivenDocument(None, document.tokens, (), document.sentences, document.speakers, genre)
