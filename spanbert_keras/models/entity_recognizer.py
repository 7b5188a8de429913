"""Named entities as spans. Shape letters: B batch, T tokens, N words, W span widths, C labels."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import keras
import numpy as np

from spanbert_keras.arguments import list_of_names, real_number, whole_number
from spanbert_keras.decoding.entity_spans import entity_spans
from spanbert_keras.decoding.results import Entity
from spanbert_keras.errors import InputError, shown
from spanbert_keras.layers.span_classification_head import SpanClassificationHead
from spanbert_keras.losses.span_classification_loss import span_classification_losses
from spanbert_keras.models.bucketed_prediction import BucketedPrediction
from spanbert_keras.models.task_model import TaskModel
from spanbert_keras.models.temperature import checked_temperature, given_temperature
from spanbert_keras.preprocessing.examples.given_entity_texts import EntityText, given_entity_texts
from spanbert_keras.preprocessing.length_buckets import row_lengths
from spanbert_keras.preprocessing.preprocessors.entity_recognizer_preprocessor import (
    SpanBertEntityRecognizerPreprocessor,
)
from spanbert_keras.preprocessing.preprocessors.span_label_rows import INPUTS, read_words
from spanbert_keras.preprocessing.word_windows import WordRow, WordText, WordWindows, pad_word_rows

WORDS_HELD = 20_000  # of texts whose rows are computed together


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertEntityRecognizer(BucketedPrediction):
    """Finds the named entities of a text, flat or nested: an encoder and a layer that classifies every span of words.

    A functional model. Every span of at most `max_span_width` words is scored from the encodings of its two boundaries
    and its width. A long text is read in overlapping rows, and each span is scored where it has most context. The
    likeliest spans that do not cross are the entities.

    Args:
        encoder: `SpanBertEncoder`, with its tokenizer.
        labels: sequence of str. The types of entities. Class 0 of the logits is "no entity", then they follow in order.
        max_span_width: int. W, words of the longest entity. A word is what the tokenizer makes one of: "U.S." is four.
            Defaults to `16`.
        nested: bool. Whether an entity may be inside another. Defaults to `True`.
        row_length: int or `None`. Longest row, in word pieces. `None`: the encoder's `max_sequence_length`.
        hidden_dim: int. Width of the hidden layer. Defaults to `256`.
        dropout: float. Dropout rate of the layer on top of the encoder. Defaults to `0.1`.
        temperature: float. Number that logits are divided by for probabilities: above 1 they become less sure.
            `tasks.named_entities.evaluate --calibrated_model` fits it. Defaults to `1.0`. May be set.
        **kwargs: `preprocessor`, `dtype`, `name`, `trainable`; `backbone` means `encoder`. See `TaskModel`.

    Call arguments:
        token_ids, segment_ids, padding_mask: int32 `(B, T)`. See `SpanBertEncoder`.
        word_starts, word_ends: int32 `(B, N)`. Places of the first and last piece of each word; 0 after the last one.

    Returns:
        `{"span_logits": (B, N, W, C + 1)}`, float32, at [first word, number of words - 1].

    Raises:
        ValueError: no labels or twice the same, a row longer than the encoder reads, or an encoder without tokenizer.

    Example:

    ```python
    from spanbert_keras import SpanBertEncoder, SpanBertEntityRecognizer, SpanBertTokenizer

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Ann", "lives", "in", "Oslo", "."]
    tokenizer = SpanBertTokenizer(vocabulary)
    encoder = SpanBertEncoder(len(vocabulary), 1, 2, 8, 16, max_sequence_length=32, tokenizer=tokenizer)
    recognizer = SpanBertEntityRecognizer(encoder, labels=["PER", "LOC"], max_span_width=4)
    texts = ["Ann lives in Oslo.", "Oslo"]
    recognizer.fit(texts, [[(0, 3, "PER"), (13, 17, "LOC")], [(0, 4, "LOC")]], epochs=2, verbose=0)
    for entity in recognizer.recognize("Ann lives in Oslo."):
        print(entity.text, entity.label, entity.score)  # once trained: Ann PER 0.98 and Oslo LOC 0.97
    ```

    Reference: Zhong and Chen, 2021, section 3.1, whose span vector this is; Joshi et al., 2020, for the encoder.
    """

    preprocessor_cls = SpanBertEntityRecognizerPreprocessor
    input_keys = INPUTS
    outputs_by_token = True
    target_keys = ("span_labels", "span_weights")
    target_of: ClassVar = {"span_logits": "span_labels"}
    weight_of: ClassVar = {"span_logits": "span_weights"}

    def __init__(
        self,
        encoder=None,
        labels=(),
        max_span_width=16,
        nested=True,
        row_length=None,
        hidden_dim=256,
        dropout=0.1,
        temperature=1.0,
        **kwargs,
    ):
        encoder = self.only_encoder(encoder, kwargs)
        labels = list_of_names("labels", labels)
        if not labels or len(set(labels)) < len(labels):
            raise ValueError(f"`labels` must be different types of entities, at least one. Received: {shown(labels)}.")
        row_length = encoder.max_sequence_length if row_length is None else row_length
        row_length = whole_number("row_length", row_length, minimum=3)
        if row_length > encoder.max_sequence_length:
            raise ValueError(
                f"`row_length` must be at most the encoder's {encoder.max_sequence_length} positions. "
                f"Received: {row_length}."
            )
        max_span_width = whole_number("max_span_width", max_span_width)
        if max_span_width > row_length - 2:
            raise ValueError(
                f"`max_span_width` must be at most the {row_length - 2} words that a row can hold. "
                f"Received: {max_span_width}."
            )
        # === Layers ===
        head = SpanClassificationHead(
            len(labels) + 1, max_span_width, hidden_dim, dropout, dtype=encoder.dtype_policy, name="span_head"
        )

        # === Graph ===
        def logits_of(sequence, inputs):  # (B, T, D)
            return {"span_logits": head(sequence, inputs["word_starts"], inputs["word_ends"])}

        super().__init__(encoder, logits_of, **kwargs)

        # === Config ===
        self.span_head = head
        self.labels = labels
        self.nested = bool(nested)
        self.row_length = row_length
        self.temperature = checked_temperature(temperature)
        self.windows = WordWindows(encoder.tokenizer, row_length, head.max_span_width)
        self.counts = {"texts": 0, "rows": 0}

    # --- asking

    def recognize(self, texts=None, *, tokens=None, batch_size: int = 32, min_score: float = 0.0):
        """Returns the named entities of a text, or of each of several; several threads may call it.

        The model's `counts` are the number of texts read, and of their rows.

        Args:
            texts: str, or a list of str, or of lists of tokens. Texts may have any length.
            tokens: list of str. The tokens of one text, instead of `texts`: entities are ranges of whole tokens.
            batch_size: int. Rows of the longest length that are computed at once; of shorter ones as many tokens.
            min_score: float, from 0 to 1. Entities with a lower score are left out. Defaults to `0.0`.

        Returns:
            List of `Entity`, in the order of the text, outer ones before those inside them; a list of such lists for a
            list of texts.

        Raises:
            InputError: a text is neither a str nor a list of str, or has no words, or `min_score` is not a probability.
        """
        min_score = real_number("min_score", min_score, 0, 1)
        given, single = given_entity_texts(texts, tokens)
        found = []
        for text, (words, logits) in zip(given, self.span_logits(given, batch_size), strict=True):
            found.append(self.entities_of(text, words, logits, min_score))
        return found[0] if single else found

    def entities_of(
        self,
        text: EntityText,
        words: WordText,
        logits: np.ndarray,
        min_score: float = 0.0,
        temperature: float | None = None,
    ) -> list[Entity]:
        """Returns the entities of a text.

        Args:
            text: str, or tuple of tokens.
            words, logits: what `span_logits` yields of it.
            min_score: float. Lowest probability of an entity.
            temperature: float. `None`: the model's.
        """
        valid = words.candidates(self.windows.max_span_width)
        spans = entity_spans(self.probabilities(logits, temperature), valid, self.nested, min_score)
        return [self._entity(text, words, *span) for span in spans]

    def span_logits(
        self,
        texts: Sequence[EntityText],
        batch_size: int = 32,
        advance: Callable[[int], object] = lambda texts: None,
    ) -> Iterator[tuple[WordText, np.ndarray]]:
        """Yields the words of each text and the logits of their spans, float32 `(N, W, C + 1)`; in order.

        Texts of some thousand words, or a single longer one, are held at any time. Spans that no row holds have the
        logits of "no entity".

        Args:
            texts: sequence of str, or of tuples of tokens.
            batch_size: int. See `recognize`.
            advance: function that is called with a number of texts after they are computed.

        Raises:
            InputError: a text has no words, or logits are not finite.
        """
        batch_size = whole_number("batch_size", batch_size)
        for words in self._parts(texts):
            rows = [(place, row) for place, one in enumerate(words) for row in self.windows.split(one)]
            width, classes = self.windows.max_span_width, len(self.labels) + 1
            found = [np.zeros((len(one), width, classes), np.float32) for one in words]
            for one in found:
                one[..., 1:] = -np.inf
            self._fill(found, rows, batch_size)
            with self._one_call:
                self.counts["texts"] += len(words)
                self.counts["rows"] += len(rows)
            advance(len(words))
            yield from zip(words, found, strict=True)

    def _parts(self, texts: Sequence[EntityText]) -> Iterator[list[WordText]]:
        """Yields the words of texts, of about `WORDS_HELD` words together."""
        part: list[WordText] = []
        held = 0
        for number, text in enumerate(texts):
            part.append(read_words(self.windows, text, f"Text {number}"))
            held += len(part[-1])
            if held >= WORDS_HELD:
                yield part
                part, held = [], 0
        if part:
            yield part

    def _fill(self, found: list[np.ndarray], rows: list[tuple[int, WordRow]], batch_size: int) -> None:
        """Writes the logits of rows into those of their texts."""
        lengths = [len(row) for _, row in rows]
        for part, size, length in self.batches_of(lengths, self.row_length, batch_size):
            places = part.tolist()
            chosen = [rows[place][1] for place in places + places[-1:] * (size - len(places))]
            logits = np.asarray(self.compute_rows(pad_word_rows(chosen, length))["span_logits"])
            for place, of_row in zip(places, logits, strict=False):
                text, row = rows[place]
                count = len(row.word_starts)
                target = found[text][row.first_word : row.first_word + count]
                target[row.owned] = of_row[:count][row.owned]
                if not np.isfinite(of_row[:count][row.owned]).all():
                    raise InputError(
                        "The model returned non-finite logits. Expected: numbers. Retrain it, or load another "
                        "checkpoint."
                    )

    def probabilities(self, logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
        """Returns the softmax over the classes, float64 `(..., C + 1)`, of logits divided by the temperature.

        Args:
            logits: float `(..., C + 1)`.
            temperature: float. `None`: the model's.
        """
        temperature = checked_temperature(self.temperature if temperature is None else temperature)
        shifted = (logits - logits.max(axis=-1, keepdims=True)).astype(np.float64) / temperature
        shares = np.exp(shifted)
        return shares / shares.sum(axis=-1, keepdims=True)

    def _entity(self, text: EntityText, words: WordText, first: int, last: int, label: int, score: float) -> Entity:
        start, end = int(words.starts[first]), int(words.ends[last])
        part = text[start:end]
        return Entity(part if isinstance(part, str) else " ".join(part), self.labels[label], start, end, score)

    def warm_up(self, batch_size: int = 32) -> None:
        """Compiles all that is used with this batch size, on JAX at most eight shapes, so that no later call has to."""
        one = np.zeros(1, np.int32)
        row = WordRow(one, one, one, one, 0, np.zeros((1, self.windows.max_span_width), bool))
        for length in row_lengths(self.row_length):
            for rows in sorted({1, batch_size}):
                self.compute_rows(pad_word_rows([row] * rows, length))

    # --- training

    def example_losses(self, outputs, batch):
        """Returns the loss of every row, float32 `(B,)`; see `span_classification_losses`. `ValueError` for targets of
        another shape, which would be broadcast."""
        expected = tuple(outputs["span_logits"].shape)[:-1]
        for key in self.target_keys:
            shape = tuple(batch[key].shape)
            if len(shape) != 3 or shape[2] not in (None, expected[2]):
                raise ValueError(f"`{key}` must be of shape (B, N, {expected[2]}). Received: {shown(shape)}.")
        return span_classification_losses(outputs["span_logits"], *(batch[key] for key in self.target_keys))

    def preprocessor_settings(self):
        return {
            "labels": list(self.labels),
            "row_length": self.row_length,
            "max_span_width": self.windows.max_span_width,
        }

    # --- saving

    def get_config(self):
        config = TaskModel.get_config(self) | {
            "labels": list(self.labels),
            "max_span_width": self.windows.max_span_width,
            "nested": self.nested,
            "row_length": self.row_length,
            "hidden_dim": self.span_head.hidden_dim,
            "dropout": self.span_head.dropout,
        }
        return config | given_temperature(self.temperature)
