"""The law of masking on real text: 10,000 blocks of novels, two vocabularies, and the plain loop beside it.

Run with `pytest --slow -s tests/promises/masking_law_test.py` to see the figures.
"""

import dataclasses
import functools
import gzip
import json
import math
import random

import numpy as np
import pytest
from scipy import stats

from benchmarks.masking import mask_loop
from spanbert_keras.preprocessing import philox
from spanbert_keras.preprocessing.masking.span_lengths import draw_span_lengths, span_words
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

pytestmark = pytest.mark.slow
NUM_BLOCKS = 10_000


@dataclasses.dataclass
class Blocks:
    """Rows of [CLS], pieces, [SEP] and what the masker made of them."""

    tokenizer: SpanBertTokenizer
    rows: list

    @functools.cached_property
    def starts(self):
        return np.cumsum([0, *map(len, self.rows)])

    @functools.cached_property
    def pieces(self):
        return np.concatenate(self.rows)

    @functools.cached_property
    def seeds(self):
        return philox.fold((2020, 8), np.arange(len(self.rows)))

    @functools.cached_property
    def masked(self):
        return SpanMasker(tokenizer=self.tokenizer).mask_ragged(self.pieces, self.starts, self.seeds)

    @functools.cached_property
    def is_masked(self):
        flags = np.zeros(len(self.pieces), bool)
        flags[self.starts[self.masked.rows] + self.masked.positions] = True
        return flags

    @functools.cached_property
    def words(self):
        """(flat index of each word's first piece, its number of pieces, its row): specials are not words."""
        begins = self.tokenizer.word_starts()[self.pieces]
        begins[self.starts[:-1] + 1] = True
        first = np.flatnonzero(begins)
        length = np.diff(np.append(first, len(self.pieces)))
        ordinary = ~np.isin(self.pieces[first], self.tokenizer.special_token_ids)
        return first[ordinary], length[ordinary], np.searchsorted(self.starts, first[ordinary], "right") - 1

    @functools.cached_property
    def span_lengths(self):
        """Pieces of each realised span."""
        first = self.masked.span_offsets == 0
        return (self.masked.right_positions - self.masked.left_positions - 1)[first]

    @functools.cached_property
    def loop_span_lengths(self):
        begins, ids = self.tokenizer.word_starts().tolist(), self.tokenizer.ordinary_token_ids().tolist()
        mask_id = self.tokenizer.mask_token_id
        lengths = []
        for seed, row in enumerate(self.rows):
            _, targets = mask_loop(row[1:-1].tolist(), begins, ids, mask_id, random.Random(seed))
            lengths += [right - left - 1 for _, left, right, offset in targets if not offset]
        return np.array(lengths)


def cut(document, size, begins):
    """Splits one document's pieces into blocks of at most `size`, never inside a word."""
    blocks, start = [], 0
    while start < len(document):
        end = min(start + size, len(document))
        while end < len(document) and not begins[document[end]]:
            end -= 1
        blocks.append(document[start:end])
        start = end
    return blocks


def make_blocks(tokenizer, documents, size, count):
    """The first `count` blocks of the documents, at most `size` pieces each, with [CLS] and [SEP] around."""
    begins, rows = tokenizer.word_starts(), []
    for document in documents:
        for block in cut(np.array(tokenizer(document), np.int32), size, begins):
            if len(block):
                rows.append(np.array([tokenizer.cls_token_id, *block, tokenizer.sep_token_id], np.int32))
        if len(rows) >= count:
            return Blocks(tokenizer, rows[:count])
    raise AssertionError(f"the text gives {len(rows)} blocks of {size} pieces only")


@pytest.fixture(scope="module")
def chapters(data_folder):
    with gzip.open(data_folder / "text/books.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    random.Random(0).shuffle(texts)
    return texts


@pytest.fixture(scope="module")
def cased(data_folder):
    return SpanBertTokenizer(data_folder / "vocab/bert-base-cased-vocab.txt")


@pytest.fixture(scope="module")
def small(chapters):
    from tokenizers import BertWordPieceTokenizer

    trained = BertWordPieceTokenizer(lowercase=False)
    trained.train_from_iterator(chapters[:400], vocab_size=2000, show_progress=False)
    vocabulary = trained.get_vocab()
    return SpanBertTokenizer(sorted(vocabulary, key=vocabulary.get))


@pytest.fixture(scope="module", params=["cased chapters", "small chapters", "small paragraphs"])
def blocks(request, chapters):
    vocabulary, kind = request.param.split()
    documents = chapters
    if kind == "paragraphs":
        documents = [line for chapter in chapters[:400] for line in chapter.splitlines() if line.strip()]
    made = make_blocks(request.getfixturevalue(vocabulary), documents, 510, NUM_BLOCKS)
    words, lengths = len(made.words[0]), made.words[1]
    print(f"\n[{request.param}] {len(made.pieces) / NUM_BLOCKS - 2:.0f} pieces per block, ", end="")
    print(f"{lengths.sum() / words:.3f} pieces per word")
    return made


def test_drawn_lengths_have_mean_3_797(blocks):
    mean = draw_span_lengths(blocks.seeds, 20).mean()
    print(f"mean of drawn lengths {mean:.4f} words")
    assert abs(mean - 3.797) < 0.03


def test_realised_spans_have_the_loops_histogram(blocks):
    ours, loops = blocks.span_lengths, blocks.loop_span_lengths
    table = np.array([np.bincount(np.minimum(lengths, 36), minlength=37)[1:] for lengths in (ours, loops)])
    p_value = stats.chi2_contingency(table[:, table.sum(axis=0) > 10]).pvalue
    print(f"{len(ours)} realised spans: mean {ours.mean():.3f} (loop {loops.mean():.3f}) pieces, p {p_value:.3f}")
    assert p_value > 1e-3


def test_first_starts_are_uniform_over_words_and_masked(blocks):
    first, length, row = blocks.words
    counts = np.bincount(row, minlength=len(blocks.rows))
    begin = np.cumsum(counts) - counts
    drawn = (span_words(blocks.seeds, 0, 1)[1][0] * counts.astype(np.uint64) >> np.uint64(32)).astype(int)
    budgets = -(-(np.diff(blocks.starts) - 2) * 15 // 100)
    word = begin + drawn
    np.testing.assert_array_equal(blocks.is_masked[first[word]], length[word] <= budgets)
    # Expected counts block by block: twenty parts of a block, and words by their number of pieces.
    part = (np.arange(len(first)) - begin[row]) * 20 // counts[row]
    for name, value in (("place", part), ("pieces", np.minimum(length, 5) - 1)):
        expected = np.bincount(value, weights=1 / counts[row])
        p_value = stats.chisquare(np.bincount(value[word], minlength=len(expected)), expected).pvalue
        print(f"first starts by {name}: p {p_value:.3f}")
        assert p_value > 1e-3


def test_no_block_exceeds_its_budget_and_little_is_unspent(blocks):
    sizes = np.diff(blocks.starts) - 2
    budgets = np.array([math.ceil(15 * size / 100) for size in sizes.tolist()])
    unspent = budgets - np.bincount(blocks.masked.rows, minlength=len(sizes))
    print(f"unspent budget: mean {unspent.mean():.3f}, at 510 {unspent[sizes > 500].mean():.3f} pieces")
    assert unspent.min() >= 0
    assert unspent[sizes > 500].mean() <= 0.3


def test_replacement_is_80_10_10_by_span(blocks):
    masked = blocks.masked
    after = masked.pieces[blocks.starts[masked.rows] + masked.positions]
    first = np.flatnonzero(masked.span_offsets == 0)
    is_mask = np.logical_and.reduceat(after == blocks.tokenizer.mask_token_id, first).mean()
    is_kept = np.logical_and.reduceat(after == masked.ids, first).mean()
    print(f"spans masked {is_mask:.4f}, random {1 - is_mask - is_kept:.4f}, kept {is_kept:.4f}")
    np.testing.assert_allclose([is_mask, 1 - is_mask - is_kept, is_kept], [0.8, 0.1, 0.1], atol=0.01)


def test_no_word_is_cut_and_no_special_is_touched(blocks):
    first, length, _ = blocks.words
    masked = np.add.reduceat(blocks.is_masked, np.append(first, len(blocks.pieces))[:-1])
    words = np.array([blocks.is_masked[f : f + n].sum() for f, n in zip(first.tolist(), length.tolist(), strict=True)])
    assert set(np.unique(words[words > 0] - length[words > 0]).tolist()) == {0}
    assert masked.sum() == words.sum() == len(blocks.masked.rows)
    assert not np.isin(blocks.masked.ids, blocks.tokenizer.special_token_ids).any()


@pytest.mark.parametrize("size", [40, 126, 254, 510])
def test_realised_lengths_by_block_size_are_the_loops(chapters, cased, size):
    blocks = make_blocks(cased, chapters, size, NUM_BLOCKS)
    ours, loops = blocks.span_lengths, blocks.loop_span_lengths
    spans = len(ours) / NUM_BLOCKS
    share = blocks.masked.span_weights.mean()
    print(f"\n{size}: {spans:.2f} spans per block, mean {ours.mean():.3f} (loop {loops.mean():.3f}) pieces, ", end="")
    print(f"p95 {np.percentile(ours, 95):.0f}, max {ours.max()}, with a span boundary target {share:.4f}")
    assert abs(ours.mean() / loops.mean() - 1) < 0.02


def test_words_of_one_to_four_pieces_are_masked_at_similar_rates(chapters, small):
    blocks = make_blocks(small, chapters, 510, NUM_BLOCKS)
    first, length, _ = blocks.words
    rates = [blocks.is_masked[first[length == pieces]].mean() for pieces in range(1, 5)]
    print("\nmasking rate of words of 1, 2, 3, 4 pieces:", " ".join(f"{rate:.4f}" for rate in rates))
    assert max(rates) / min(rates) <= 1.1
