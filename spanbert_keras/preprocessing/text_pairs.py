"""Texts, or pairs of texts, to rows of pieces. Shape letter: T tokens."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.arguments import whole_number
from spanbert_keras.preprocessing.piece_row import PieceRow


class TextPairs:
    """Makes [CLS] A [SEP] and [CLS] A [SEP] B [SEP], segments 0 and 1, as BERT does.

    Args:
        tokenizer: `SpanBertTokenizer`.
        row_length: int. Largest number of pieces in a row. A longer text loses its last pieces; of a pair, the longer
            text loses one piece at a time (of two equally long ones the second).
        num_segments: int. Number of segments of the encoder; with one, all segment ids are 0.

    Raises:
        ValueError: `row_length` leaves no room for a piece of each text.

    Reference: Devlin et al., 2019, section 4.1.
    """

    def __init__(self, tokenizer, row_length: int = 128, num_segments: int = 2):
        self.tokenizer = tokenizer
        # A row holds [CLS], two [SEP] and a piece of each text.
        self.row_length = whole_number("row_length", row_length, minimum=5)
        self.num_segments = whole_number("num_segments", num_segments)

    def rows(self, firsts: Sequence[str], seconds: Sequence[str] | None = None) -> list[PieceRow]:
        """Returns a row for each text, or for each pair; a text may be empty.

        Args:
            firsts: list of str.
            seconds: list of str of the same length, or `None`.
        """
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        every_first = self.tokenizer.tokenize(list(firsts))
        if seconds is None:
            room = self.row_length - 2
            return [_row([[cls, *ids[:room], sep]], len(ids) > room, 1) for ids in every_first]
        rows = []
        for first, second in zip(every_first, self.tokenizer.tokenize(list(seconds)), strict=True):
            a, b = _shares(len(first), len(second), self.row_length - 3)
            parts = [[cls, *first[:a], sep], [*second[:b], sep]]
            rows.append(_row(parts, a + b < len(first) + len(second), self.num_segments))
        return rows


def _row(parts: list[list[int]], cut: bool, segments: int) -> PieceRow:
    """Returns a row of parts; part i is segment i, or the encoder's last one."""
    segment_ids = np.repeat(np.minimum(np.arange(len(parts)), segments - 1), [len(part) for part in parts])
    return PieceRow(np.concatenate(parts).astype(np.int32), segment_ids.astype(np.int32), cut)


def _shares(first: int, second: int, room: int) -> tuple[int, int]:
    """Returns the number of pieces kept of each text if the longer one loses its last piece until both fit."""
    if first + second <= room:
        return first, second
    half = room // 2
    if second <= half:
        return room - second, second
    if first <= room - half:
        return first, room - first
    return room - half, half
