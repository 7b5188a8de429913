"""Sentences found in word pieces alone, without the text."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

TERMINATORS = frozenset(".!?…")
CLOSERS = frozenset("\"')]”’")
OPENERS = frozenset("\"'([“‘")
ABBREVIATIONS = "Mr Mrs Ms Dr Prof St Jr Sr vs No Vol Fig Inc Ltd Co Corp".split()
TERMINATOR, PERIOD, CLOSER, BEGINS, LETTER = (1 << bit for bit in range(5))  # what a piece is


class SentenceUnits:
    """Cuts lines of pieces into sentences, all lines at once.

    A sentence ends after `.`, `!`, `?` or `…` and the closing quotes and brackets that follow it directly, where the
    next piece of the line begins a word with an upper-case letter, a digit, or an opening quote or bracket; with a
    lowercasing vocabulary, with any letter. It does not end after the `.` of one letter or of an abbreviation (`Mr .`).

    Args:
        tokenizer: `SpanBertTokenizer` of the pieces.

    Example:

    ```python
    import numpy as np

    from spanbert_keras import SpanBertTokenizer
    from spanbert_keras.data.pairs.sentence_units import SentenceUnits

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "He", "She", "came", "left", "."])
    pieces = np.array(tokenizer("He came. She left."))
    SentenceUnits(tokenizer).starts(pieces, np.array([0, 6]))  # [0, 3]
    ```
    """

    def __init__(self, tokenizer: "SpanBertTokenizer"):
        words = tokenizer.word_starts()
        self._kinds = np.array(
            [
                _kind(piece, begins, tokenizer.lowercase)
                for piece, begins in zip(tokenizer.wordpiece.pieces, words.tolist(), strict=True)
            ],
            np.uint8,
        )
        unknown = tokenizer.unk_token_id
        encoded = [np.asarray(tokenizer(word)) for word in ABBREVIATIONS]
        self._abbreviations = [ids for ids in encoded if unknown not in ids]

    def starts(self, pieces: np.ndarray, line_starts: np.ndarray) -> np.ndarray:
        """Returns where sentences begin.

        Args:
            pieces: int `(N,)`. The pieces of whole lines, one line after the other.
            line_starts: int64 `(L + 1,)`. First piece of each line, then N.

        Returns:
            int64, ascending: first piece of each sentence.
        """
        kinds = self._kinds[pieces]
        ends = np.flatnonzero(kinds & TERMINATOR)
        line = np.searchsorted(line_starts, ends, side="right") - 1
        line_begin, line_end = line_starts[line], line_starts[line + 1]
        following = ends + 1
        moving = np.flatnonzero(following < line_end)
        while moving.size:  # past the closers, of all ends at once
            moving = moving[(kinds[following[moving]] & CLOSER) > 0]
            following[moving] += 1
            moving = moving[following[moving] < line_end[moving]]
        found = np.flatnonzero(following < line_end)
        found = found[(kinds[following[found]] & BEGINS) > 0]
        found = found[~self._is_abbreviated(pieces, kinds, ends[found], line_begin[found])]
        return np.unique(np.concatenate([line_starts[:-1], following[found]]))

    def _is_abbreviated(
        self, pieces: np.ndarray, kinds: np.ndarray, ends: np.ndarray, line_begin: np.ndarray
    ) -> np.ndarray:
        """Returns bool: whether an end is the period of an abbreviation or of a single letter."""
        is_period = (kinds[ends] & PERIOD) > 0
        before = np.maximum(ends - 1, 0)
        abbreviated = (ends > line_begin) & ((kinds[before] & LETTER) > 0)
        for ids in self._abbreviations:
            first = ends - len(ids)
            matches = first >= line_begin
            for place, piece in enumerate(ids.tolist()):
                matches[matches] = pieces[first[matches] + place] == piece
            abbreviated |= matches
        return is_period & abbreviated


def _kind(piece: str, begins_word: bool, lowercase: bool) -> int:
    """Returns the bits that say what a piece is."""
    if not begins_word:
        return 0
    first = piece[0]
    begins = first.isdigit() or first in OPENERS or (first.isalpha() if lowercase else first.isupper())
    is_special = len(piece) > 2 and piece.startswith("[") and piece.endswith("]")
    return (
        TERMINATOR * (piece in TERMINATORS)
        | PERIOD * (piece == ".")
        | CLOSER * (piece in CLOSERS)
        | BEGINS * (begins and not is_special)
        | LETTER * (len(piece) == 1 and piece.isalpha())
    )
