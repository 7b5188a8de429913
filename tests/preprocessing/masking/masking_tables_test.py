"""Tables read off a tokenizer, and random pieces against exact shares."""

from fractions import Fraction

import numpy as np
import pytest

from spanbert_keras.preprocessing.masking import masking_tables
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

VOCABULARY = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "c", "##d"]


@pytest.fixture
def tokenizer():
    return SpanBertTokenizer(VOCABULARY)


def test_kinds_are_special_word_start_or_continuation(tokenizer):
    tables = masking_tables.MaskingTables.from_tokenizer(tokenizer)
    special, start, inside = masking_tables.SPECIAL, masking_tables.WORD_START, masking_tables.CONTINUATION
    assert tables.kinds.tolist() == [special, start] + [special] * 4 + [start, inside, start, inside]
    assert tables.mask_token_id == 5


def test_without_counts_ordinary_pieces_are_equally_likely(tokenizer):
    tables = masking_tables.MaskingTables.from_tokenizer(tokenizer)
    assert tables.random_ids.tolist() == [6, 7, 8, 9]
    assert tables.random_thresholds.tolist() == [2**62, 2**63, 3 * 2**62]


def test_counts_weigh_ordinary_pieces_only(tokenizer):
    counts = [10**12, 7, 10**12, 10**12, 10**12, 10**12, 1, 0, 3 * 10**12, 5]
    tables = masking_tables.MaskingTables.from_tokenizer(tokenizer, counts)
    assert tables.random_ids.tolist() == [6, 8, 9]
    total = 1 + 3 * 10**12 + 5
    shares = [Fraction(1, total), Fraction(1 + 3 * 10**12, total)]
    assert tables.random_thresholds.tolist() == [int(share * 2**64) for share in shares]


def test_numbers_at_the_edges_of_a_threshold_draw_the_right_piece(tokenizer):
    tables = masking_tables.MaskingTables.from_tokenizer(tokenizer, [0] * 6 + [1, 2, 0, 1])
    numbers = [0, 2**62 - 1, 2**62, 3 * 2**62 - 1, 3 * 2**62, 2**64 - 1]
    high, low = (np.array(words, np.uint64) for words in zip(*(divmod(n, 2**32) for n in numbers), strict=True))
    assert masking_tables.draw_random_ids(tables, high, low).tolist() == [6, 6, 7, 7, 9, 9]


def test_a_single_ordinary_piece_is_always_drawn(tokenizer):
    tables = masking_tables.MaskingTables.from_tokenizer(tokenizer, [0] * 9 + [1])
    words = np.array([0, 2**32 - 1], np.uint64)
    assert masking_tables.draw_random_ids(tables, words, words).tolist() == [9, 9]


@pytest.mark.parametrize(
    "counts", [[1] * 9, [-1] + [1] * 9, [0.5] * 10, np.ones((2, 5), int)], ids=["short", "negative", "float", "square"]
)
def test_counts_other_than_one_number_per_piece_are_rejected(tokenizer, counts):
    with pytest.raises(ValueError, match="must be 10 non-negative integers"):
        masking_tables.MaskingTables.from_tokenizer(tokenizer, counts)


def test_counts_of_specials_alone_are_rejected(tokenizer):
    with pytest.raises(ValueError, match="at least one ordinary piece"):
        masking_tables.MaskingTables.from_tokenizer(tokenizer, [1] * 6 + [0] * 4)


def test_under_berts_rule_unk_is_maskable_and_every_id_is_drawn_equally_often(tokenizer):
    tables = masking_tables.MaskingTables.from_tokenizer(tokenizer, rule="bert")
    special, start, inside = masking_tables.SPECIAL, masking_tables.WORD_START, masking_tables.CONTINUATION
    assert tables.kinds.tolist() == [special, start, start] + [special] * 3 + [start, inside, start, inside]
    assert tables.random_ids.tolist() == list(range(10))
    assert tables.random_thresholds.tolist() == [(k << 64) // 10 for k in range(1, 10)]
