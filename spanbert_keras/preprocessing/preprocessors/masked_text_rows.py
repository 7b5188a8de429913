"""Rows of raw text for pre-training. Shape letters: E texts, N rows, B rows of a batch, T tokens, M masks."""

import dataclasses

import numpy as np

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masked_batch import masked_batch
from spanbert_keras.preprocessing.packing import most_predictions, plan_packing, plan_single_blocks
from spanbert_keras.preprocessing.philox import fold
from spanbert_keras.preprocessing.preprocessors.example_rows import ExampleRows
from spanbert_keras.preprocessing.row_blocks import SPECIALS_PER_BLOCK, cut_blocks
from spanbert_keras.preprocessing.row_stream import RowStream
from spanbert_keras.preprocessing.seeds import MASKS, run_seed

SLACK = 0.25  # masked pieces per row above those of one full block: each of several short blocks rounds up


class MaskedTextRows(ExampleRows):
    """Texts cut into blocks, one or several blocks a row, with new masks in every epoch.

    Blocks are cut and packed as in pre-training: a block is as long as a row allows, never cuts a word and never
    crosses texts. Its masks are a pure function of the seed, the epoch and the block.

    Args:
        pieces: int `(P,)`. The pieces of all texts, one text after the other.
        text_lengths: int `(E,)`. Pieces of each text.
        masker: `SpanMasker`.
        row_length: int. Most pieces in a row, with [CLS] and [SEP].
        pack: bool. Whether short blocks share a row.
        seed: int. Seed of the masks.
        sample_weight: float `(E,)` or `None`. Weight of each text; only with `pack=False`.

    Attributes:
        examples: int64 `(N,)`. With `pack=False` the text of each row; packed rows may hold several texts and have
            their own numbers.
        max_predictions: int. M, which depends on the row length and the masking rate alone.
        empty: int. Texts without pieces, which are in no row.
        left_out_pieces: int. Pieces in no row: those of words longer than a row.

    Raises:
        InputError: no word is left, or the weights are not one number for each text.
    """

    input_keys = (
        "token_ids",
        "segment_ids",
        "padding_mask",
        "mask_positions",
        "left_positions",
        "right_positions",
        "span_offsets",
    )
    target_keys = ("mask_ids", "mask_weights", "span_weights")

    def __init__(self, pieces, text_lengths, masker, row_length: int, pack=True, seed=0, sample_weight=None):
        if pack and sample_weight is not None:
            raise InputError(
                "`sample_weight` needs rows of one text each, but packed rows hold several. Expected: a preprocessor "
                "with pack=False. Received: weights, and pack=True."
            )
        tokenizer, budget = masker.tokenizer, masker.settings.budget
        bounds = np.concatenate([[0], np.cumsum(text_lengths)]).astype(np.int64)  # (E + 1,)
        blocks = cut_blocks([(pieces, bounds, bounds)], tokenizer.word_starts(), row_length)
        if not len(blocks):
            raise InputError(
                f"There is no text to mask. Expected: texts with words that fit a row of {row_length} pieces. "
                f"Received: {len(text_lengths)} texts without any."
            )
        plan = (
            plan_packing(blocks.histogram, row_length, budget, SLACK)
            if pack
            else plan_single_blocks(blocks.histogram, row_length, budget)
        )
        self.pieces = pieces
        self.masker = masker
        self.special_ids = (tokenizer.cls_token_id, tokenizer.sep_token_id)
        self.max_predictions = predictions_per_row(row_length, budget, pack)
        self.empty = int((np.asarray(text_lengths) == 0).sum())
        self.left_out_pieces = blocks.left_out_pieces
        self._stream = RowStream(blocks, plan, run_seed(seed), shuffle=False)
        placed = self._stream.rows(np.arange(plan.rows))
        first = placed.starts[placed.offsets == 0]  # of each row of the plan, which sorts them by length
        self._order = np.argsort(first)
        lengths = np.bincount(placed.rows, placed.lengths + SPECIALS_PER_BLOCK)[self._order]
        texts = None if pack else np.searchsorted(bounds, first[self._order], side="right") - 1
        super().__init__(lengths.tolist(), texts, sample_weight, len(text_lengths))

    def batch(self, rows: np.ndarray, length: int, epoch: int = 0) -> dict[str, np.ndarray]:
        placed = self._stream.rows(self._order[rows])
        placed = dataclasses.replace(placed, seeds=fold(self._stream.seed, MASKS, epoch, placed.starts))
        pieces = [
            self.pieces[start : start + size]
            for start, size in zip(placed.starts.tolist(), placed.lengths.tolist(), strict=True)
        ]
        return masked_batch(placed, pieces, self.masker, self.special_ids, (len(rows), length), self.max_predictions)


def predictions_per_row(row_length: int, budget, pack: bool) -> int:
    """Returns M, whatever the texts are: all batches of a model should have one shape; see `plan_packing`."""
    return most_predictions(row_length, budget, SLACK) if pack else int(budget(row_length - SPECIALS_PER_BLOCK))
