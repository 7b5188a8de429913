"""Raw texts for pre-training. Shape letters: E texts, N rows, T tokens, M masked positions, V vocabulary."""

import itertools
from typing import ClassVar

import keras
import numpy as np

from spanbert_keras.arguments import whole_number
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.examples.given_texts import given_texts
from spanbert_keras.preprocessing.masking.masking_settings import MaskingSettings
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.preprocessors.masked_text_rows import MaskedTextRows, predictions_per_row
from spanbert_keras.preprocessing.preprocessors.row_subset import split_place
from spanbert_keras.preprocessing.preprocessors.task_preprocessor import TaskPreprocessor
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK
from spanbert_keras.preprocessing.tokenizer_inputs import in_tf_graph

LONGEST_ROW = 512  # section 4.2; an encoder may read longer ones
LAW = (
    "scheme",
    "masking_rate",
    "geometric_rate",
    "max_span_length",
    "max_span_positions",
    "mask_token_rate",
    "random_token_rate",
)


@keras.saving.register_keras_serializable(package="spanbert_keras")
class SpanBertPretrainerPreprocessor(TaskPreprocessor):
    """Turns raw texts into masked rows and their targets, as `SpanBertPretrainer` computes with them.

    Texts are cut into word pieces and into blocks that fit a row: never within a word, never across texts. Short blocks
    share a row without attending to each other, and all rows are padded to one length. Spans of each block are masked
    as by `SpanMasker`. The masks are a pure function of the seed, the epoch and the block: new in every epoch, and the
    same for the same seed.

    Called directly, the preprocessor counts its calls as epochs: a second call with the same texts masks other spans,
    and a new preprocessor with the same seed repeats both. The same holds for the batches of a `tf.data` pipeline.

    Args:
        tokenizer: `SpanBertTokenizer`. `None`: the model's.
        row_length: int. T, pieces in a row with [CLS] and [SEP]. Defaults to what the model's encoder reads, at most
            `512` (section 4.2).
        pack: bool. Whether short blocks share a row. Defaults to `True`.
        seed: int, not negative. Seed of the masks. Defaults to `0`.
        scheme, masking_rate, geometric_rate, max_span_length, max_span_positions: see `SpanMasker`.
            `max_span_positions` is the model's.
        mask_token_rate, random_token_rate, unigram_counts: see `SpanMasker`.

    Call arguments:
        x: str, or list or array of E str. Texts without words are skipped.
        y: not accepted, since pre-training makes its own targets.
        sample_weight: float `(E,)` or `None`. Weight of each text; only with `pack=False`.

    Returns:
        (x, y) or (x, y, sample_weight): x a dict of `token_ids`, `segment_ids` and `padding_mask`, int32 `(N, T)`, and
        of `mask_positions`, `left_positions`, `right_positions` and `span_offsets`, int32 `(N, M)`; y a dict of
        `mask_ids`, int32, and of `mask_weights` and `span_weights`, float32, all `(N, M)`. `padding_mask` numbers the
        blocks of a row from 1. M depends on the settings alone, N on the texts.

    Raises:
        InputError: a text is not a str, no text has words, there is a `y`, or weights with packed rows.
        ValueError: a setting is out of range, or rows are longer than the model reads.

    Example:

    ```python
    from spanbert_keras import SpanBertPretrainerPreprocessor, SpanBertTokenizer

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "moving", "dull", "film"])
    preprocessor = SpanBertPretrainerPreprocessor(tokenizer, row_length=16)
    x, y = preprocessor(["a dull film", "a moving moving film"])
    x["padding_mask"].tolist()  # [[1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 0, 0, 0, 0, 0]]
    int(y["mask_weights"].sum())  # 2
    ```

    Reference: Joshi et al., 2020, sections 3.1 and 4.2.
    """

    single_length = True
    defaults: ClassVar = {
        "row_length": None,
        "pack": True,
        "seed": 0,
        **{name: getattr(MaskingSettings, name) for name in LAW},
        "unigram_counts": None,
        "max_sequence_length": LONGEST_ROW,
    }

    def __init__(
        self,
        tokenizer=None,
        row_length=None,
        pack=None,
        seed=None,
        scheme=None,
        masking_rate=None,
        geometric_rate=None,
        max_span_length=None,
        max_span_positions=None,
        mask_token_rate=None,
        random_token_rate=None,
        unigram_counts=None,
        **kwargs,
    ):
        settings = {
            "row_length": row_length,
            "pack": pack,
            "seed": None if seed is None else whole_number("seed", seed, minimum=0, maximum=2**64 - 1),
            "scheme": scheme,
            "masking_rate": masking_rate,
            "geometric_rate": geometric_rate,
            "max_span_length": max_span_length,
            "max_span_positions": max_span_positions,
            "mask_token_rate": mask_token_rate,
            "random_token_rate": random_token_rate,
            "unigram_counts": None if unigram_counts is None else np.asarray(unigram_counts).tolist(),
        }
        super().__init__(tokenizer, settings, **kwargs)
        self._calls = itertools.count()
        if row_length is not None and row_length <= SPECIALS_PER_BLOCK:
            raise ValueError(
                f"`row_length` must leave room for a piece between [CLS] and [SEP]. Expected: at least "
                f"{SPECIALS_PER_BLOCK + 1}. Received: row_length={row_length}."
            )
        self._law()

    def adopt(self, tokenizer, settings) -> None:
        longest, own = settings["max_sequence_length"], self.own_settings.get("row_length", 0)
        if own > longest:
            raise ValueError(
                f"`{type(self).__name__}` makes rows that its model does not read. Expected: row_length at most "
                f"{longest}, the encoder's max_sequence_length. Received: row_length={own}."
            )
        super().adopt(tokenizer, settings)

    @property
    def row_length(self) -> int:
        """T, as given or what the model reads; see the class."""
        return self.settings["row_length"] or min(LONGEST_ROW, self.settings["max_sequence_length"])

    def rows(self, x, y=None, sample_weight=None) -> MaskedTextRows:
        """Returns the rows of texts, with other masks in every epoch; see the call arguments."""
        _check_no_targets(y)
        texts, _ = given_texts(x, "x", "text")
        settings, specials = self.settings, self.tokenizer.special_tokens_in_text
        pieces, lengths = self.tokenizer.wordpiece.encode_many(texts, specials)
        law = {name: settings[name] for name in LAW}
        masker = SpanMasker(self.tokenizer, unigram_counts=settings["unigram_counts"], **law)
        return MaskedTextRows(
            pieces, lengths, masker, self.row_length, settings["pack"], settings["seed"], sample_weight
        )

    def split(self, rows, x, share: float) -> tuple[ExampleRows, ExampleRows]:
        """Returns the rows of the first texts and those of the last ones, which share no row."""
        if rows.weights is not None:  # of texts that share no rows anyway
            return super().split(rows, x, share)
        texts, _ = given_texts(x, "x", "text")
        at = split_place(len(texts), share)
        return self.rows(texts[:at]), self.rows(texts[at:])

    def row_length_for(self, rows) -> int:
        """Returns T: all rows have one length."""
        return self.row_length

    def call(self, x, y=None, sample_weight=None):
        if in_tf_graph():
            return self._call_in_graph(x, y, sample_weight)
        rows = self.rows(x, y, sample_weight)
        return rows.packed(np.arange(len(rows)), self.row_length, next(self._calls))

    def _law(self) -> MaskingSettings:
        """Returns the settings of the masks; `ValueError` if one is out of range."""
        return MaskingSettings(**{name: self.settings[name] for name in LAW})

    # --- tf.data

    def row_spec(self):
        import tensorflow as tf

        sizes = dict.fromkeys(MaskedTextRows.input_keys, self._predictions)
        sizes |= dict.fromkeys(ExampleRows.input_keys, self.row_length)
        return {key: tf.TensorSpec((None, size), tf.int32) for key, size in sizes.items()}

    def target_spec(self, x, y):
        import tensorflow as tf

        _check_no_targets(y)
        if x.shape.rank != 1:
            raise InputError(f"Texts in tf.data must come in batches. Expected: shape (B,). Received: {x.shape}.")
        dtypes = {"mask_ids": tf.int32, "mask_weights": tf.float32, "span_weights": tf.float32}
        return {key: tf.TensorSpec((None, self._predictions), dtype) for key, dtype in dtypes.items()}

    @property
    def _predictions(self) -> int:
        return predictions_per_row(self.row_length, self._law().budget, self.settings["pack"])


def _check_no_targets(y) -> None:
    """Raises `InputError` if targets were given."""
    if y is not None:
        raise InputError(
            f"Pre-training makes its own targets from the texts. Expected: no `y`. Received: {type(y).__name__}."
        )
