"""Documents in words to segments of pieces. Shape letters: N segments, L segment_length, P pieces, W span widths."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from spanbert_keras.arguments import one_of, whole_number

CANDIDATES = ("words", "pieces")
NO_START, NO_END = -1, -2  # groups in which no span begins, or ends
SPECIAL_SPEAKER = 1


@dataclasses.dataclass(frozen=True)
class SegmentedDocument:
    """A document as an encoder reads it: segments one after the other, each [CLS] pieces [SEP].

    Arrays of P entries have one for each piece of all segments, special pieces included, without padding.

    Attributes:
        segments: list of N int32 arrays, at most L pieces each.
        words: int32 `(P,)`. Number of each piece's word; a special piece has that of the piece before.
        start_groups, end_groups: int32 `(P,)`. A span may begin at piece s and end at e if their groups are equal.
        speakers: int32 `(P,)`. A number for each speaker.
        segment_numbers: int32 `(P,)`.
        words_cut: int. Number of words that did not fit into a segment and lost their last pieces.
    """

    segments: list[np.ndarray]
    words: np.ndarray
    start_groups: np.ndarray
    end_groups: np.ndarray
    speakers: np.ndarray
    segment_numbers: np.ndarray
    words_cut: int = 0

    def __len__(self) -> int:
        return len(self.words)

    def pieces_of(self, start: int, end: int) -> tuple[int, int] | None:
        """Returns the first and last piece (inclusive) of the words [start, end); `None` if not all are here."""
        ordinary = np.flatnonzero(self.speakers != SPECIAL_SPEAKER)
        words = self.words[ordinary]
        first, stop = np.searchsorted(words, (start, end))
        if first >= stop or words[first] != start or words[stop - 1] != end - 1:
            return None
        return int(ordinary[first]), int(ordinary[stop - 1])

    def words_of(self, first: int, last: int) -> tuple[int, int]:
        """Returns the words [start, end) of the pieces from `first` to `last`, inclusive."""
        return int(self.words[first]), int(self.words[last]) + 1

    def part(self, first: int, count: int) -> "SegmentedDocument":
        """Returns `count` segments, the first with number `first`."""
        here = slice(*np.searchsorted(self.segment_numbers, (first, first + count)).tolist())
        arrays = {name: getattr(self, name)[here] for name in ("words", "start_groups", "end_groups", "speakers")}
        return SegmentedDocument(
            segments=self.segments[first : first + count],
            segment_numbers=self.segment_numbers[here] - first,
            words_cut=self.words_cut,
            **arrays,
        )


class DocumentSegments:
    """Cuts documents into segments that an encoder reads one by one, at the ends of sentences if possible.

    A segment ends at the last end of a sentence that fits, else at the last end of a word. A word without pieces (e.g.
    a control character) is [UNK]; a word longer than a segment loses its last pieces and is counted.

    Args:
        tokenizer: `SpanBertTokenizer`.
        segment_length: int. L, the largest number of pieces in a segment, [CLS] and [SEP] included.
        candidates: str. Which spans may be mentions. `"words"`: those that begin and end with a word, inside one
            sentence and one segment. `"pieces"`: as in the released code, any pieces with the same sentence number,
            also [CLS] and [SEP], which have that of the following sentence.

    Raises:
        ValueError: `candidates` is unknown, or segments have no room for a piece.

    Reference: the released code's `minimize.py` and `independent.py`.
    """

    def __init__(self, tokenizer, segment_length: int, candidates: str = "words"):
        self.tokenizer = tokenizer
        self.segment_length = whole_number("segment_length", segment_length, minimum=3)
        self.candidates = one_of("candidates", candidates, CANDIDATES)

    def cut(
        self, tokens: Sequence[str], sentences: Sequence[tuple[int, int]], speakers: Sequence[str]
    ) -> SegmentedDocument:
        """Returns a document's segments.

        Args:
            tokens: sequence of str, the words; at least one.
            sentences: sequence of [start, end) ranges of words, which follow each other and cover all.
            speakers: sequence of str, one for each word.
        """
        room = self.segment_length - 2
        pieces, bounds = self._pieces(tokens)
        sizes = np.minimum(np.diff(bounds), room)
        sentence_of = np.repeat(np.arange(len(sentences)), [end - start for start, end in sentences])
        ends_sentence = np.zeros(len(tokens), bool)
        ends_sentence[[end - 1 for _, end in sentences]] = True
        numbers = {name: number for number, name in enumerate(dict.fromkeys(speakers), SPECIAL_SPEAKER + 1)}
        speaker_of = np.array([numbers[name] for name in speakers], np.int32)
        builder = _DocumentBuilder(self.tokenizer.cls_token_id, self.tokenizer.sep_token_id, self.candidates)
        first = 0
        while first < len(tokens):
            stop = _segment_end(sizes, ends_sentence, first, room)
            builder.add(
                [pieces[bounds[w] : bounds[w] + sizes[w]] for w in range(first, stop)],
                np.arange(first, stop),
                sentence_of[first:stop],
                bool(ends_sentence[stop - 1]),
                speaker_of[first:stop],
            )
            first = stop
        return builder.document(int(np.sum(np.diff(bounds) > room)))

    def _pieces(self, tokens) -> tuple[np.ndarray, np.ndarray]:
        """Returns the pieces of all words, int32, and the bounds of each word's pieces `(words + 1,)`."""
        ids, sizes = self.tokenizer.wordpiece.encode_ragged(list(tokens))
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        if (sizes > 0).all():
            return ids, bounds
        unknown = [self.tokenizer.unk_token_id]
        whole = [ids[a:b] if a < b else unknown for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
        return np.concatenate(whole).astype(np.int32), np.concatenate([[0], np.cumsum(np.maximum(sizes, 1))])


def span_limit(top_span_ratio: float, pieces: int) -> int:
    """Returns how many spans are kept at most in a document of that many pieces: a share of them, at least one."""
    return max(1, int(top_span_ratio * pieces))


def _segment_end(sizes, ends_sentence, first: int, room: int) -> int:
    """Returns the end (exclusive) of a segment that begins with word `first`."""
    fits = first + int(np.searchsorted(np.cumsum(sizes[first : first + room]), room, side="right"))
    whole = np.flatnonzero(ends_sentence[first:fits])
    return first + int(whole[-1]) + 1 if len(whole) else fits


class _DocumentBuilder:
    """Joins segments into a document."""

    def __init__(self, cls: int, sep: int, candidates: str):
        self.specials = (cls, sep)
        self.every_piece = candidates == "pieces"
        self.segments: list[np.ndarray] = []
        self.columns: dict[str, list[np.ndarray]] = {
            name: [] for name in ("words", "start_groups", "end_groups", "speakers", "segment_numbers")
        }
        self.last_word = 0

    def add(self, pieces: list, words, sentences, complete: bool, speakers) -> None:
        """Adds a segment: the pieces of each of its words, their numbers, their sentences, and their speakers."""
        counts = [len(of_word) for of_word in pieces]
        cls, sep = self.specials
        number = len(self.segments)
        self.segments.append(np.concatenate([[cls], *pieces, [sep]]).astype(np.int32))

        def per_piece(cls_value, word_values, sep_value):
            """Returns a value for each piece, from those of [CLS], of the words and of [SEP]."""
            return np.concatenate([[cls_value], np.repeat(word_values, counts), [sep_value]])

        if self.every_piece:
            groups = per_piece(sentences[0], sentences, sentences[-1] + complete)
            starts = ends = groups
        else:
            groups = per_piece(0, sentences + number, 0)  # a sentence has another group in each segment
            edges = np.cumsum([1, *counts])
            is_start, is_end = np.zeros(len(groups), bool), np.zeros(len(groups), bool)
            is_start[edges[:-1]] = is_end[edges[1:] - 1] = True
            starts, ends = np.where(is_start, groups, NO_START), np.where(is_end, groups, NO_END)
        columns = {
            "words": per_piece(self.last_word, words, words[-1]),
            "start_groups": starts,
            "end_groups": ends,
            "speakers": per_piece(SPECIAL_SPEAKER, speakers, SPECIAL_SPEAKER),
            "segment_numbers": np.full(len(groups), number),
        }
        self.last_word = int(words[-1])
        for name, values in columns.items():
            self.columns[name].append(values.astype(np.int32))

    def document(self, words_cut: int) -> SegmentedDocument:
        columns = {name: np.concatenate(parts) for name, parts in self.columns.items()}
        return SegmentedDocument(segments=self.segments, words_cut=words_cut, **columns)
