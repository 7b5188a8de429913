"""Annotates documents of a prepared corpus, from their text or from their pieces.

Shape letters: P pieces of a document, L lines.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spanbert_keras.data.annotations.annotator import Annotator, Mention
from spanbert_keras.data.annotations.mention_bytes import mention_bytes
from spanbert_keras.data.annotations.open_annotator import open_annotator
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

UNKNOWN_WORD = "_"  # stands for [UNK]: a word that is not capitalised


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedDocument:
    """A document of a corpus.

    Attributes:
        pieces: integers `(P,)`.
        line_lengths: int64 `(L,)` or `None`. Pieces of each line, if the text is put together from them.
        lines: list of str or `None`. The text.
        where: str. The document's place, for messages.
    """

    pieces: np.ndarray
    line_lengths: np.ndarray | None
    lines: list[str] | None
    where: str


class DocumentAnnotator:
    """Turns documents into the bytes of annotations.

    Args:
        annotator: str. As `open_annotator` takes it.
        names: sequence of str. Annotations to make.
        tokenizer_settings: dict. Arguments of the corpus' `SpanBertTokenizer`.
    """

    def __init__(self, annotator: str, names: Sequence[str], tokenizer_settings: Mapping[str, Any]):
        self.annotator: Annotator = open_annotator(annotator, names)
        self.names = tuple(names)
        self.tokenizer = SpanBertTokenizer(**tokenizer_settings)
        self._numbers = {
            name: {label: number for number, label in enumerate(self.annotator.labels[name], start=1)} for name in names
        }
        self._begins_word = self.tokenizer.word_starts()
        unknown = self.tokenizer.unk_token_id
        words = [UNKNOWN_WORD if i == unknown else piece for i, piece in enumerate(self.tokenizer.get_vocabulary())]
        pairs = zip(words, self._begins_word.tolist(), strict=True)
        self._surfaces = np.array([f" {word}" if begins else word[2:] for word, begins in pairs], object)
        self._widths = np.array([len(surface) for surface in self._surfaces], np.int64)

    def annotate(self, document: PreparedDocument) -> tuple[dict[str, np.ndarray], int]:
        """Returns the bytes of each annotation, uint8 `(P,)`, and the number of lines that the annotator lacks.

        Raises:
            InputError: the text gives other pieces than those of the document.
        """
        if document.lines is None:
            lines, line_lengths, offsets = self._from_pieces(document)
        else:
            lines, line_lengths, offsets = self._from_text(document)
        begins = np.cumsum([0, *(len(line) + 1 for line in lines[:-1])])  # first character of each line in the document
        offsets += np.repeat(begins, line_lengths)[:, np.newaxis]
        word_starts = self._begins_word[document.pieces]
        word_starts[(np.cumsum(line_lengths) - line_lengths)[line_lengths > 0]] = True
        mentions: dict[str, list[Mention]] = {name: [] for name in self.names}
        unknown = 0
        for begin, found in zip(begins.tolist(), self.annotator.annotate(lines), strict=True):
            if found is None:
                unknown += 1
                continue
            for name in self.names:
                mentions[name] += [Mention(m.start + begin, m.end + begin, m.label) for m in found[name]]
        return {
            name: mention_bytes(mentions[name], offsets, word_starts, self._numbers[name]) for name in self.names
        }, unknown

    def _from_text(self, document: PreparedDocument) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Returns the lines, the pieces of each, and the range of every piece in its line."""
        lines = document.lines or []
        encoded = self.tokenizer.wordpiece.encode_with_offsets(lines)
        lengths = np.array([len(found) for found, _ in encoded], np.int64)
        ids = np.fromiter(itertools.chain.from_iterable(found for found, _ in encoded), np.int64, lengths.sum())
        if not np.array_equal(ids, document.pieces):
            raise InputError(
                f"{document.where} holds other tokens than its text gives. Expected: {len(document.pieces):,} tokens, "
                f"as they were prepared. Received: {len(ids):,} tokens. The corpus is damaged, or another version of "
                "the tokenizer wrote it: prepare it again."
            )
        ends = itertools.chain.from_iterable(one for _, ranges in encoded for one in ranges)
        return lines, lengths, np.fromiter(ends, np.int64, 2 * len(ids)).reshape(-1, 2)

    def _from_pieces(self, document: PreparedDocument) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Returns the same for words with one space between."""
        if document.line_lengths is None:
            raise ValueError("A document without text needs `line_lengths`. Received: None.")
        starts = np.cumsum(document.line_lengths) - document.line_lengths
        surfaces, widths = self._surfaces[document.pieces], self._widths[document.pieces]
        lines = [
            "".join(surfaces[start : start + length])[1:]
            for start, length in zip(starts.tolist(), document.line_lengths.tolist(), strict=True)
        ]
        ends = np.cumsum(widths)
        begins = ends - widths
        before = np.repeat(begins[starts] + 1, document.line_lengths)  # with the space that a line does not begin with
        offsets = np.stack([begins + self._begins_word[document.pieces], ends], axis=1)
        return lines, document.line_lengths, offsets - before[:, np.newaxis]
