"""Properties of a vocabulary that the masking law uses. Shape letters: V vocabulary, U random pieces."""

import dataclasses
from typing import Any

import numpy as np

# Kinds of a piece.
CONTINUATION, WORD_START, SPECIAL = 0, 1, 2


@dataclasses.dataclass(frozen=True, eq=False)
class MaskingTables:
    """Tables by piece id.

    Args:
        kinds: uint8 `(V,)`. `SPECIAL` (never masked, ends a word and a span), `WORD_START` or `CONTINUATION`.
        mask_token_id: int. The id of [MASK].
        random_ids: int32 `(U,)`. Pieces that may replace another, ascending.
        random_thresholds: uint64 `(U - 1,)`. A 64-bit number below entry i (and not below i - 1) means
            `random_ids[i]`; ascending.
    """

    kinds: np.ndarray
    mask_token_id: int
    random_ids: np.ndarray
    random_thresholds: np.ndarray

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, unigram_counts: Any = None, rule: str = "paper") -> "MaskingTables":
        """Returns the tables of a tokenizer.

        Args:
            tokenizer: a `SpanBertTokenizer`. Its special pieces, [UNK] among them, are neither masked nor drawn.
            unigram_counts: integers `(V,)`. Number of occurrences of each piece in the corpus; `None` draws
                replacements uniformly. Only ordinary pieces (neither special nor [unusedN]) count.
            rule: `"paper"` or `"bert"` (`MaskingSettings`). Under BERT's rule [UNK] may be masked, and every id of the
                vocabulary, specials among them, is drawn equally often.

        Raises:
            ValueError: `unigram_counts` has another length than the vocabulary, a negative entry, or no ordinary piece.
        """
        starts = np.asarray(tokenizer.word_starts())
        kinds = np.where(starts, WORD_START, CONTINUATION).astype(np.uint8)
        kinds[np.asarray(tokenizer.special_token_ids, np.int64)] = SPECIAL
        if rule == "bert":
            kinds[tokenizer.unk_token_id] = WORD_START
            every = np.arange(len(kinds), dtype=np.int32)
            return cls(kinds, int(tokenizer.mask_token_id), every, _inverse_cdf(np.ones(len(kinds), np.int64)))
        ids = np.sort(np.asarray(tokenizer.ordinary_token_ids(), np.int32))
        counts = np.ones(len(kinds), np.int64) if unigram_counts is None else np.asarray(unigram_counts)
        if counts.shape != kinds.shape or counts.dtype.kind not in "iu" or counts.min() < 0:
            raise ValueError(
                f"`unigram_counts` must be {len(kinds)} non-negative integers, one for each piece of the vocabulary. "
                f"Received: shape={counts.shape}, dtype={counts.dtype}."
            )
        ids = ids[counts[ids] > 0]
        if not ids.size:
            raise ValueError("`unigram_counts` must count at least one ordinary piece. Received: none.")
        return cls(kinds, int(tokenizer.mask_token_id), ids, _inverse_cdf(counts[ids]))


def _inverse_cdf(counts: np.ndarray) -> np.ndarray:
    """Returns floor(2**64 x cumulative share) of all entries but the last, exactly (Python integers)."""
    cumulative = np.cumsum(counts.astype(object))
    return np.array([(int(share) << 64) // int(cumulative[-1]) for share in cumulative[:-1]], np.uint64)


def draw_random_ids(tables: MaskingTables, high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Maps two random 32-bit words (uint64 arrays) to random pieces (int32)."""
    numbers = (high << np.uint64(32)) | low
    return tables.random_ids[np.searchsorted(tables.random_thresholds, numbers, side="right")]
