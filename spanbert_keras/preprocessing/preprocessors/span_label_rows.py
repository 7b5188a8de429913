"""Rows of the entity recognizer, with the class of every span. Shape letters: E examples, N rows, B rows of a batch,
T tokens, W span widths, M words of a row."""

from collections.abc import Sequence

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_entity_texts import Entities, EntityText
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.word_windows import WordRow, WordText, WordWindows, pad_word_rows

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
            row, `entities_without_words`, of characters that the tokenizer drops, and `entities_twice`, on the same
            words as another one: only the first of them is a target.

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
        self.counts = dict.fromkeys(("entities", "entities_too_wide", "entities_without_words", "entities_twice"), 0)
        self.word_texts = [read_words(windows, text, f"Text {number}") for number, text in enumerate(texts)]
        split = [windows.split(text) for text in self.word_texts]
        self.rows = [row for rows in split for row in rows]
        examples = np.repeat(np.arange(len(texts)), [len(rows) for rows in split])
        super().__init__([len(row) for row in self.rows], examples, sample_weight, len(texts))
        self.target_keys = () if entities is None else ("span_labels", "span_weights")
        if entities is None:
            return
        numbers = {label: number for number, label in enumerate(labels, 1)}
        # (E) dicts from the first word of an entity and its width to its class
        self.classes = [
            self._classes(number, text, of_text, split[number], numbers)
            for number, (text, of_text) in enumerate(zip(self.word_texts, entities, strict=True))
        ]

    def _classes(
        self, example: int, text: WordText, entities: Entities, rows: Sequence[WordRow], numbers: dict[str, int]
    ) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
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
            first, last = words
            width = last - first
            if width >= self.windows.max_span_width or not any(row.scores(first, width) for row in rows):
                self.counts["entities_too_wide"] += 1
            elif (first, width) in found:
                self.counts["entities_twice"] += 1
            else:
                found[first, width] = numbers[label]
        return found

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
            words = len(row.word_starts)
            weights[place, :words] = row.owned
            for (first, width), label in self.classes[self.examples[number]].items():
                if 0 <= first - row.first_word < words:
                    labels[place, first - row.first_word, width] = label
        return batch | {"span_labels": labels, "span_weights": weights}


def read_words(windows: WordWindows, text: EntityText, name: str) -> WordText:
    """Returns the words of a text, or of its tokens.

    Raises:
        InputError: it has none.
    """
    found = windows.of_text(text) if isinstance(text, str) else windows.of_tokens(text)
    if not len(found):
        raise InputError(f"{name} has no words. Expected: text. Received: {text[:40]!r}.")
    return found
