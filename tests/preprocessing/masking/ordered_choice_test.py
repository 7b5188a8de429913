"""Choice in random order, against a loop over rows in plain Python, and the rest of BERT's rule."""

import numpy as np
import pytest

from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.masking_tables import CONTINUATION, SPECIAL, WORD_START
from spanbert_keras.preprocessing.masking.ordered_choice import choose_in_random_order
from spanbert_keras.preprocessing.masking.row_units import RaggedRows, find_pieces, find_words
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.masking.unit_choice import choose_pieces
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

UNK, CLS, SEP, MASK = range(1, 5)


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"p{i}" for i in range(95))])


def rows_of(*sizes: int) -> dict[str, np.ndarray]:
    """Returns rows of [CLS], words and [SEP], `(B, 40)`."""
    ids = np.zeros((len(sizes), 40), np.int32)
    for row, size in zip(ids, sizes, strict=True):
        row[: size + 2] = [CLS, *range(5, 5 + size), SEP]
    return {"token_ids": ids, "padding_mask": (ids > 0).astype(np.int32)}


def make_rows(seed: int, num_rows: int = 40) -> RaggedRows:
    """Returns rows of words of one to five pieces, between specials; some are empty."""
    random = np.random.default_rng(seed)
    kinds: list[int] = []
    starts = [0]
    for _ in range(num_rows):
        kinds.append(SPECIAL)
        for length in random.integers(1, 6, random.integers(0, 30)):
            kinds += [WORD_START, *[CONTINUATION] * (length - 1)]
        kinds.append(SPECIAL)
        starts.append(len(kinds))
    seeds = random.integers(0, 2**32, (num_rows, 2)).astype(np.uint32)
    return RaggedRows(np.zeros(len(kinds), np.int32), np.array(starts), seeds, np.array(kinds, np.uint8))


def chosen_by_a_loop(units, rows, budgets) -> list[int]:
    """Goes through the words of one row after the other, in the order of their numbers."""
    found = []
    for row in range(len(budgets)):
        words = [u for u in range(units.row_starts[row], units.row_starts[row + 1]) if not units.special[u]]
        numbers = {
            u: int(philox.philox_words(rows.seeds[row], (int(units.first[u] - rows.starts[row]), 0, 4, 0))[0])
            for u in words
        }
        left = int(budgets[row])
        for unit in sorted(words, key=lambda u: (numbers[u], u)):
            if units.length[unit] <= left:
                found.append(unit)
                left -= int(units.length[unit])
    return sorted(found)


@pytest.mark.parametrize("share", [0.0, 0.15, 0.6, 1.0])
def test_every_word_that_fits_is_taken_in_random_order(share):
    rows = make_rows(seed=3)
    units = find_words(rows)
    budgets = np.round(share * units.num_pieces).astype(np.int64)
    found = choose_in_random_order(units, rows, budgets, np.zeros(0))
    assert found.tolist() == chosen_by_a_loop(units, rows, budgets)


def test_units_of_one_piece_are_chosen_as_single_pieces_are():
    rows = make_rows(seed=4)
    units = find_pieces(rows)
    budgets = -(-units.num_pieces // 7)
    found = choose_in_random_order(units, rows, budgets, np.zeros(0))
    np.testing.assert_array_equal(found, choose_pieces(units, rows, budgets, np.zeros(0)))


def test_a_word_that_does_not_fit_is_skipped_and_the_next_is_tried():
    kinds = [SPECIAL, WORD_START, CONTINUATION, CONTINUATION, WORD_START, SPECIAL]
    rows = RaggedRows(np.zeros(6, np.int32), np.array([0, 6]), np.zeros((1, 2), np.uint32), np.array(kinds, np.uint8))
    units = find_words(rows)
    for seed in range(20):
        rows.seeds[0, 0] = seed
        assert choose_in_random_order(units, rows, np.array([2]), np.zeros(0)).tolist() == [2]


def test_under_berts_rule_a_row_has_googles_number_of_masked_pieces(tokenizer):
    masker = SpanMasker(tokenizer=tokenizer, scheme="subword", rule="bert", max_predictions=5)
    outputs = masker(rows_of(1, 8, 28, 38, 0), seed=(1, 2))
    assert outputs["mask_weights"].sum(1).tolist() == [1, 2, 4, 5, 0]
    assert outputs["mask_positions"].shape == (5, 5)


def test_under_berts_rule_unk_is_masked_like_any_piece(tokenizer):
    batch = {"token_ids": np.array([[CLS, UNK, SEP]]), "padding_mask": np.ones((1, 3), np.int32)}
    settings = {"tokenizer": tokenizer, "scheme": "whole_word"}
    assert SpanMasker(rule="bert", **settings)(batch, seed=(0, 0))["mask_ids"].tolist() == [[UNK]]
    assert SpanMasker(**settings)(batch, seed=(0, 0))["mask_weights"].tolist() == [[0]]


def test_under_berts_rule_random_pieces_are_uniform_over_the_whole_vocabulary():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"p{i}" for i in range(995))]
    settings = {"masking_rate": 1.0, "mask_token_rate": 0.0, "random_token_rate": 1.0}
    masker = SpanMasker(tokenizer=SpanBertTokenizer(pieces), scheme="subword", rule="bert", **settings)
    rows, length = 4000, 1000  # 4 million draws: 1e-4 is more than six standard deviations of a share
    masked = masker.mask_ragged(
        np.full(rows * length, 7), np.arange(rows + 1) * length, philox.fold((5, 6), np.arange(rows))
    )
    shares = np.bincount(masked.pieces, minlength=1000) / (rows * length)
    np.testing.assert_allclose(shares, 1e-3, rtol=0, atol=1e-4)


def test_under_berts_rule_every_piece_of_a_word_has_its_own_draw():
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"]
    settings = {"tokenizer": SpanBertTokenizer(pieces), "scheme": "whole_word", "masking_rate": 1.0}
    rows = 2000
    words, starts = np.tile([5, 6], rows), np.arange(rows + 1) * 2

    def shares_of_mixed_words(**rule):
        masked = SpanMasker(**settings, **rule).mask_ragged(words, starts, philox.fold((5, 6), np.arange(rows)))
        return np.mean([a != b for a, b in (masked.pieces.reshape(-1, 2) == MASK).tolist()])

    assert shares_of_mixed_words(rule="bert") == pytest.approx(2 * 0.8 * 0.2, abs=0.03)
    assert shares_of_mixed_words() < 0.08  # a random piece may be [MASK] only under BERT's rule


def test_berts_rule_survives_the_config_and_rejects_counts(tokenizer):
    masker = SpanMasker(tokenizer=tokenizer, scheme="subword", rule="bert", max_predictions=3)
    again = SpanMasker.from_config(masker.get_config())
    assert again.settings == masker.settings and again.settings.max_predictions == 3
    with pytest.raises(ValueError, match="`unigram_counts` must be None with rule='bert'"):
        SpanMasker(tokenizer=tokenizer, scheme="subword", rule="bert", unigram_counts=np.ones(100, int))
