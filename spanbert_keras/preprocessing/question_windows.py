"""Questions and contexts to rows of pieces. Shape letters: T tokens, N passage pieces."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spanbert_keras.arguments import one_of, whole_number
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.piece_row import pad_rows

INPUT_ORDERS = ("question_first", "passage_first")


@dataclasses.dataclass(frozen=True)
class Passage:
    """A context in pieces.

    Attributes:
        token_ids: int32 `(N,)`.
        starts, ends: int64 `(N,)`. Half-open character offsets of each piece in the text as given.
    """

    token_ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def pieces_of(self, start: int, end: int) -> tuple[int, int] | None:
        """Returns the first and last piece (inclusive) that hold the characters [start, end); `None` for no piece."""
        first = int(np.searchsorted(self.ends, start, side="right"))
        last = int(np.searchsorted(self.starts, end, side="left")) - 1
        return (first, last) if first <= last else None

    def characters_of(self, first: int, last: int) -> tuple[int, int]:
        """Returns the half-open character offsets of the pieces from `first` to `last`, inclusive."""
        return int(self.starts[first]), int(self.ends[last])


@dataclasses.dataclass(frozen=True)
class Window:
    """One row of a question and a part of its passage, assembled on access: many windows share both.

    Attributes:
        parts: two int32 arrays. The pieces before the first [SEP] and before the second, without [CLS].
        specials: pair of int. Ids of [CLS] and [SEP].
        segments: int. Number of segments of the encoder.
        offset: int. Position in the row of passage piece `begin`.
        begin, end: int. Half-open range of passage pieces in the row.
    """

    parts: tuple[np.ndarray, np.ndarray]
    specials: tuple[int, int]
    segments: int
    offset: int
    begin: int
    end: int

    def __len__(self) -> int:
        return len(self.parts[0]) + len(self.parts[1]) + 3

    @property
    def token_ids(self) -> np.ndarray:
        """The row's pieces, int32 `(T,)`, no padding."""
        (cls, sep), (first, second) = self.specials, self.parts
        return np.concatenate([[cls], first, [sep], second, [sep]]).astype(np.int32)

    @property
    def segment_ids(self) -> np.ndarray:
        """0 for the first part with its [SEP], 1 for the second, int32 `(T,)`."""
        segment_ids = np.zeros(len(self), np.int32)
        if self.segments > 1:
            segment_ids[len(self.parts[0]) + 2 :] = 1
        return segment_ids

    def positions_of(self, first: int, last: int) -> tuple[int, int] | None:
        """Returns the row positions of passage pieces `first` to `last` (inclusive); `None` unless all are in it."""
        if not self.begin <= first <= last < self.end:
            return None
        return first - self.begin + self.offset, last - self.begin + self.offset


class QuestionWindows:
    """Cuts a question and its context into rows that an encoder can read.

    Args:
        tokenizer: `SpanBertTokenizer`.
        window_length: int. Largest number of pieces in a row. Defaults to `512` (paper, appendix B).
        stride: int. Passage pieces from the start of one window to that of the next. Defaults to `128` (appendix B).
        max_question_pieces: int. A longer question is cut there. Defaults to `64` (released code). No question takes
            more than half of a window, which matters for windows below 131 pieces.
        input_order: `"question_first"`, [CLS] question [SEP] passage [SEP], as in the released code and BERT, or
            `"passage_first"`, [CLS] passage [SEP] question [SEP], as in section 4.1 of the paper.
        special_tokens_in_text: bool. Whether a literal [SEP] in a context is that piece (MRQA's files).
        num_segments: int. Number of segments of the encoder; with one, all segment ids are 0. Otherwise
            the first part of a row has 0 and the second 1, in either order.

    Raises:
        ValueError: an unknown order, or lengths that leave no room for a passage.

    Example:

    ```python
    from spanbert_keras import SpanBertTokenizer
    from spanbert_keras.preprocessing.question_windows import QuestionWindows

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "is", "a", "book", "?", "."])
    windows = QuestionWindows(tokenizer)
    passage = windows.passages(["The Bible is a book."])[0]
    question_ids, was_cut = windows.questions(["What is it?"])[0]
    windows.split(question_ids, passage)[0].token_ids
    ```
    """

    pad = staticmethod(pad_rows)

    def __init__(
        self,
        tokenizer,
        window_length: int = 512,
        stride: int = 128,
        max_question_pieces: int = 64,
        input_order: str = "question_first",
        special_tokens_in_text: bool = False,
        num_segments: int = 2,
    ):
        self.tokenizer = tokenizer
        # A window holds [CLS], two [SEP] and at least one piece of the question and of the passage.
        self.window_length = whole_number("window_length", window_length, minimum=5)
        self.stride = whole_number("stride", stride)
        self.max_question_pieces = whole_number("max_question_pieces", max_question_pieces)
        self.input_order = one_of("input_order", input_order, INPUT_ORDERS)
        self.special_tokens_in_text = special_tokens_in_text
        self.num_segments = whole_number("num_segments", num_segments)

    def replace(self, **settings) -> "QuestionWindows":
        """Returns windows with other settings; those that are `None` stay."""
        own = {name: value for name, value in vars(self).items() if name != "tokenizer"}
        return QuestionWindows(
            self.tokenizer, **own | {name: value for name, value in settings.items() if value is not None}
        )

    @property
    def question_limit(self) -> int:
        """Largest number of pieces of a question: `max_question_pieces`, but never more than half of a window."""
        return min(self.max_question_pieces, (self.window_length - 3) // 2)

    def questions(self, texts: Sequence[str], names: Sequence | None = None) -> list[tuple[np.ndarray, bool]]:
        """Returns each question's ids, int32, and whether it was cut.

        Args:
            texts: list of str.
            names: sequence. Names for messages. Default: "Question 0" and so on.

        Raises:
            InputError: a question has no piece.
        """
        rows = []
        for name, text, ids in zip(
            names or range(len(texts)), texts, self.tokenizer.tokenize(list(texts)), strict=True
        ):
            if not ids:
                raise InputError(f"Question {name} has no words. Expected: text. Received: {_shown(text)}.")
            rows.append((np.array(ids[: self.question_limit], np.int32), len(ids) > self.question_limit))
        return rows

    def passages(self, texts: Sequence[str], names: Sequence | None = None) -> list[Passage]:
        """Returns each context in pieces.

        Args:
            texts: list of str.
            names: sequence. Names for messages. Default: "Context 0" and so on.

        Raises:
            InputError: a context has no piece, or only [UNK].
        """
        every_ids, every_offsets = self.tokenizer.encode_with_offsets(list(texts), self.special_tokens_in_text)
        unknown, passages = self.tokenizer.unk_token_id, []
        for name, text, ids, offsets in zip(names or range(len(texts)), texts, every_ids, every_offsets, strict=True):
            token_ids = np.array(ids, np.int32)
            if not len(ids) or (token_ids == unknown).all():
                why = "has no words" if not len(ids) else "has no word that the vocabulary can spell"
                raise InputError(f"Context {name} {why}. Expected: text. Received: {_shown(text)}.")
            bounds = np.array(offsets, np.int64).reshape(-1, 2)
            passages.append(Passage(token_ids, bounds[:, 0], bounds[:, 1]))
        return passages

    def are_readable(self, texts: Sequence[str]) -> list[bool]:
        """Returns for each text whether it has a piece other than [UNK]: whether `passages` takes it."""
        unknown = self.tokenizer.unk_token_id
        every_ids = self.tokenizer.tokenize(list(texts), self.special_tokens_in_text)
        return [any(piece != unknown for piece in ids) for ids in every_ids]

    def split(self, question_ids: np.ndarray, passage: Passage) -> list[Window]:
        """Returns the windows of a question that cover its passage from the start."""
        room = self.window_length - len(question_ids) - 3
        total, begin, windows = len(passage.token_ids), 0, []
        while True:
            end = min(total, begin + room)
            windows.append(self._window(question_ids, passage, begin, end))
            if end == total:
                return windows
            begin += min(room, self.stride)

    def _window(self, question_ids: np.ndarray, passage: Passage, begin: int, end: int) -> Window:
        part = passage.token_ids[begin:end]
        question_first = self.input_order == "question_first"
        parts = (question_ids, part) if question_first else (part, question_ids)
        specials = (self.tokenizer.cls_token_id, self.tokenizer.sep_token_id)
        return Window(parts, specials, self.num_segments, len(question_ids) + 2 if question_first else 1, begin, end)


def _shown(text: str) -> str:
    """Returns a text, shortened, for an error message."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}... ({len(text):,} characters)"
