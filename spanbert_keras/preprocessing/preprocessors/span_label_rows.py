"""Rows of the entity recognizer, with the class of every span. Shape letters: E examples, N rows, B rows of a batch,
T tokens, W span widths, M words of a row."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_entity_texts import Entities, EntityText
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.word_windows import WordRow, WordText, WordWindows, pad_word_rows

COUNTS = ("entities", "entities_too_wide", "entities_without_words", "entities_twice", "entities_moved")
INPUTS = ("token_ids", "segment_ids", "padding_mask", "word_starts", "word_ends")


class SpanLabelRows(ExampleRows):
    """The rows of each text, and the class of each of their spans: 0, or 1 more than the place of its label.

    Args:
        texts: sequence of E texts, or tuples of tokens.
        entities: sequence of E lists of (start, end, label), or `None`: the rows have no targets.
        labels: sequence of str.
        windows: `WordWindows`.
        sample_weight: float `(E,)` or `None`.

    Attributes:
        word_texts: list of E `WordText`.
        rows: list of N `WordRow`.
        counts: dict of int. `entities`; of these `entities_too_wide`, with more words than the model's spans or than a
            row, `entities_without_words`, of characters that the tokenizer drops, `entities_twice`, on the same words
            as another one, of which only the first is a target, and `entities_moved`, whose bounds are not those of
            words: the target is the words.

    Raises:
        InputError: a text has no words, or a label is not one of the model's.
    """

    input_keys = INPUTS

    def __init__(
        self,
        texts: Sequence[EntityText],
        entities: Sequence[Entities] | None,
        labels: Sequence[str],
        windows: WordWindows,
        sample_weight=None,
    ):
        self.windows = windows
        self.counts = dict.fromkeys(COUNTS, 0)
        self.word_texts = [read_words(windows, text, f"Text {number}") for number, text in enumerate(texts)]
        split = [windows.split(text) for text in self.word_texts]
        self.rows = [row for rows in split for row in rows]
        examples = np.repeat(np.arange(len(texts)), [len(rows) for rows in split])
        super().__init__([len(row) for row in self.rows], examples, sample_weight, len(texts))
        self.target_keys = () if entities is None else ("span_labels", "span_weights")
        if entities is None:
            return
        numbers = {label: number for number, label in enumerate(labels, 1)}
        self.spans: list[list[tuple[int, int, int]]] = [[] for _ in self.rows]  # (word of the row, width, class)
        first_row = 0
        for number, (text, of_text, rows) in enumerate(zip(self.word_texts, entities, split, strict=True)):
            self._place(number, text, of_text, first_row, rows, numbers)
            first_row += len(rows)

    def _place(
        self,
        example: int,
        text: WordText,
        entities: Entities,
        first_row: int,
        rows: Sequence[WordRow],
        numbers: dict[str, int],
    ) -> None:
        """Notes each entity of a text in the row where its span is scored."""
        owners = np.full((len(text), self.windows.max_span_width), -1)
        for number, row in enumerate(rows):
            owners[row.first_word : row.first_word + len(row.owned)][row.owned] = number
        seen: set[tuple[int, int]] = set()
        for start, end, label in entities:
            if label not in numbers:
                raise InputError(
                    f"Example {example}: an entity has an unknown label. Expected: one of "
                    f"{', '.join(map(repr, numbers))[:200]}. Received: {label!r}."
                )
            self.counts["entities"] += 1
            words = text.words_of(start, end)
            if words is None:
                self.counts["entities_without_words"] += 1
                continue
            first, width = words[0], words[1] - words[0]
            owner = int(owners[first, width]) if width < owners.shape[1] else -1
            if owner < 0:
                self.counts["entities_too_wide"] += 1
            elif (first, width) in seen:
                self.counts["entities_twice"] += 1
            else:
                seen.add((first, width))
                self.spans[first_row + owner].append((first - rows[owner].first_word, width, numbers[label]))
                self.counts["entities_moved"] += (text.starts[words[0]], text.ends[words[1]]) != (start, end)

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        """Returns some rows padded to one length; the same in every epoch. See `ExampleRows`.

        Returns:
            the model's inputs, int32 `(B, T)`; with known entities `span_labels`, int32 `(B, T, W)`, and
            `span_weights`, float32 `(B, T, W)`: 1 for the spans that are scored in the row.
        """
        chosen = [self.rows[row] for row in rows.tolist()]
        batch = pad_word_rows(chosen, length)
        if not self.target_keys:
            return batch
        shape = (len(chosen), length, self.windows.max_span_width)
        labels, weights = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
        for place, (number, row) in enumerate(zip(rows.tolist(), chosen, strict=True)):
            weights[place, : len(row.owned)] = row.owned
            for word, width, label in self.spans[number]:
                labels[place, word, width] = label
        return batch | {"span_labels": labels, "span_weights": weights}


def read_words(windows: WordWindows, text: EntityText, name: str) -> WordText:
    """Returns the words of a text, or of its tokens.

    Raises:
        InputError: it has none.
    """
    found = windows.words_in(text)
    if not len(found):
        raise InputError(f"{name} has no words. Expected: text. Received: {text[:40]!r}.")
    return found
