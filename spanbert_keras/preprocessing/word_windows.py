"""Texts to rows of whole words, whose spans are scored. Shape letters: P pieces of a text, N words of it, M words of a
row, T tokens of a row, W span widths."""

import dataclasses
import functools
import unicodedata
from collections.abc import Sequence

import numpy as np

from spanbert_keras.arguments import whole_number

OVERLAP = 4  # windows share a quarter of their pieces, or what the widest span needs
NO_WINDOW = -1  # context of a span in a window that does not hold it


@dataclasses.dataclass(frozen=True)
class WordText:
    """A text in words.

    A word is what the tokenizer makes one of: a piece and those after it that begin with "##". So "U.S." is four.

    Attributes:
        token_ids: int32 `(P,)`.
        firsts, lasts: int64 `(N,)`. First and last piece (inclusive) of each word.
        starts, ends: int64 `(N,)`. Half-open places of each word in the text, in characters, or in its tokens.
        begins_unit, ends_unit: bool `(N,)`. Whether a span may begin, or end, with the word. Of a text given as tokens
            a span is whole tokens.
    """

    token_ids: np.ndarray
    firsts: np.ndarray
    lasts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    begins_unit: np.ndarray
    ends_unit: np.ndarray

    def __len__(self) -> int:
        return len(self.firsts)

    def words_of(self, start: int, end: int) -> tuple[int, int] | None:
        """Returns the first and last word (inclusive) that hold [start, end) of the text; `None` for no word."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None

    def candidates(self, max_span_width: int) -> np.ndarray:
        """Returns which spans may be asked for, bool `(N, W)`: [first word, its width - 1]."""
        ends = np.arange(len(self))[:, None] + np.arange(max_span_width)
        inside = ends < len(self)
        return inside & self.begins_unit[:, None] & self.ends_unit[np.minimum(ends, len(self) - 1)]


@dataclasses.dataclass(frozen=True)
class WordRow:
    """A row of whole words of a text.

    Attributes:
        token_ids, segment_ids: int32 `(T,)`, with [CLS] and [SEP].
        word_starts, word_ends: int32 `(M,)`. Place in the row of the first and the last piece of each word.
        first_word: int. Place in the text of the row's first word.
        owned: bool `(M, W)`. The spans, [first word of the row, width - 1], that are scored in this row: those that
            have most context here. Each span of a text is scored in one row.
    """

    token_ids: np.ndarray
    segment_ids: np.ndarray
    word_starts: np.ndarray
    word_ends: np.ndarray
    first_word: int
    owned: np.ndarray

    def __len__(self) -> int:
        return len(self.token_ids)


class WordWindows:
    """Cuts a text into overlapping rows of whole words.

    Args:
        tokenizer: `SpanBertTokenizer`.
        row_length: int. Largest number of tokens in a row, with [CLS] and [SEP].
        max_span_width: int. W, words of the longest span.

    Example:

    ```python
    from spanbert_keras import SpanBertTokenizer
    from spanbert_keras.preprocessing.word_windows import WordWindows

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Os", "##lo", "is", "cold"])
    windows = WordWindows(tokenizer, row_length=5, max_span_width=2)
    text = windows.of_text("Oslo is cold")
    [row.token_ids.tolist() for row in windows.split(text)]  # [[2, 5, 6, 7, 3], [2, 7, 8, 3]]
    ```
    """

    def __init__(self, tokenizer, row_length: int = 512, max_span_width: int = 16):
        self.tokenizer = tokenizer
        self.row_length = whole_number("row_length", row_length, minimum=3)
        self.max_span_width = whole_number("max_span_width", max_span_width)

    @functools.cached_property
    def _begins_word(self) -> np.ndarray:
        return self.tokenizer.word_starts()

    def words_in(self, text: str | Sequence[str]) -> WordText:
        """Returns the words of a str, or of a list of tokens."""
        return self.of_text(text) if isinstance(text, str) else self.of_tokens(text)

    def of_text(self, text: str) -> WordText:
        """Returns the words of a str; their places are characters."""
        token_ids, offsets = self.tokenizer.encode_with_offsets(text)
        bounds = np.array(offsets, np.int64).reshape(-1, 2)
        firsts, lasts, ids = self._words(token_ids)
        every = np.ones(len(firsts), bool)
        starts, ends = bounds[firsts, 0], bounds[lasts, 1]
        if len(ends) and not text.isascii():
            ends = _with_accents(text, starts, ends)
        return WordText(ids, firsts, lasts, starts, ends, every, every)

    def of_tokens(self, tokens: Sequence[str]) -> WordText:
        """Returns the words of a list of tokens; their places are tokens. A token that BERT drops has no word."""
        pieces = self.tokenizer.tokenize(list(tokens)) if tokens else []
        unit = np.repeat(np.arange(len(pieces)), [len(ids) for ids in pieces])  # (P,): the token of each piece
        begins = np.diff(unit, prepend=-1) > 0
        firsts, lasts, ids = self._words([piece for ids in pieces for piece in ids], begins)
        units = unit[firsts]
        return WordText(
            ids,
            firsts,
            lasts,
            units,
            units + 1,
            np.diff(units, prepend=-1) > 0,
            np.diff(units, append=len(pieces)) > 0,
        )

    def _words(self, token_ids: list[int], begins=False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the first and the last piece of each word, and the pieces."""
        ids = np.array(token_ids, np.int32)
        starts = self._begins_word[ids] | begins if len(ids) else np.zeros(0, bool)
        starts[:1] = True
        firsts = np.flatnonzero(starts)
        return firsts, np.append(firsts[1:], len(ids))[: len(firsts)] - 1, ids

    def split(self, text: WordText) -> list[WordRow]:
        """Returns the rows of a text, none for one without words."""
        ranges = self._ranges(text)
        owners = self._owners(len(text), ranges)
        return [self._row(text, begin, end, owners[begin:end] == number) for number, (begin, end) in enumerate(ranges)]

    def _ranges(self, text: WordText) -> list[tuple[int, int]]:
        """Returns the half-open ranges of words of the rows."""
        room, ranges, begin = self.row_length - 2, [], 0
        while begin < len(text):
            end = max(begin + 1, int(np.searchsorted(text.lasts, text.firsts[begin] + room)))
            ranges.append((begin, end))
            if end == len(text):
                break
            shared = np.searchsorted(text.firsts, text.lasts[end - 1] + 1 - room // OVERLAP)
            begin = max(begin + 1, min(int(shared), end - self.max_span_width + 1))  # a row holds each span that fits
        return ranges

    def _owners(self, words: int, ranges: list[tuple[int, int]]) -> np.ndarray:
        """Returns the row in which each span is scored, int64 `(N, W)`; -1 for one that no row holds.

        It is the row in which the shorter side of the span has most words; past an end of the text nothing is missing.
        """
        owners = np.full((words, self.max_span_width), NO_WINDOW)
        most = np.full((words, self.max_span_width), NO_WINDOW)
        for number, (begin, end) in enumerate(ranges):
            first = np.arange(begin, end)[:, None]
            last = first + np.arange(self.max_span_width)
            left = first - begin if begin else np.full_like(first, words)
            right = np.where(last < end, end - 1 - last if end < words else words, NO_WINDOW)
            context = np.minimum(left, right)
            better = context > most[begin:end]
            most[begin:end][better] = context[better]
            owners[begin:end][better] = number
        return owners

    def _row(self, text: WordText, begin: int, end: int, owned: np.ndarray) -> WordRow:
        first, room = text.firsts[begin], self.row_length - 2
        pieces = text.token_ids[first : text.lasts[end - 1] + 1][:room]  # one word may be longer than a row
        specials = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        token_ids = np.concatenate([specials[:1], pieces, specials[1:]]).astype(np.int32)
        return WordRow(
            token_ids,
            np.zeros_like(token_ids),
            (text.firsts[begin:end] - first + 1).astype(np.int32),
            np.minimum(text.lasts[begin:end] - first + 1, len(pieces)).astype(np.int32),
            begin,
            owned,
        )


def _with_accents(text: str, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns the ends of words with the combining characters that follow, which BERT drops at the end of a word."""
    found = ends.copy()
    limits = np.append(starts[1:], len(text))
    for place, (end, limit) in enumerate(zip(ends.tolist(), limits.tolist(), strict=True)):
        while end < limit and unicodedata.combining(text[end]):
            end += 1
        found[place] = end
    return found


def pad_word_rows(rows: Sequence[WordRow], length: int) -> dict[str, np.ndarray]:
    """Returns rows as one batch of B, int32 `(B, T)` each.

    `token_ids`, `segment_ids`, `padding_mask` as for an encoder; `word_starts` and `word_ends`, 0 after the last word.
    """
    names = ("token_ids", "segment_ids", "word_starts", "word_ends")
    batch = {name: np.zeros((len(rows), length), np.int32) for name in (*names, "padding_mask")}
    for place, row in enumerate(rows):
        for name in names:
            values = getattr(row, name)
            batch[name][place, : len(values)] = values
        batch["padding_mask"][place, : len(row)] = 1
    return batch
