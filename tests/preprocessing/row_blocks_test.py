"""Tests of the block index, against a slow cut of one document after the other."""

import numpy as np
import pytest

from spanbert_keras.preprocessing.row_blocks import cut_blocks

LENGTHS = [1, 2, 7, 30, 64, 5, 200, 11, 3, 90, 41, 1]


def oracle(shards, word_starts, row_length, cut):
    """Returns [(start, length)] and the number of pieces left out, document by document and piece by piece."""
    longest, found, left_out, base = row_length - 2, [], 0, 0
    for pieces, documents, lines in shards:
        for begin, end in zip(documents[:-1].tolist(), documents[1:].tolist(), strict=True):
            while begin < end:
                stop = min(begin + longest, end)
                preferred = [p for p in lines.tolist() if begin < p <= stop] if cut == "line" else []
                if stop < end and preferred:
                    stop = preferred[-1]
                while begin < stop < end and not word_starts[pieces[stop]]:
                    stop -= 1
                if stop > begin:
                    found.append((base + begin, stop - begin))
                else:
                    stop = begin + 1
                    while stop < end and not word_starts[pieces[stop]]:
                        stop += 1
                    left_out += stop - begin
                begin = stop
        base += len(pieces)
    return found, left_out


def listed(blocks):
    """Returns the blocks as [(start, length)] in order of place."""
    lengths = np.repeat(np.arange(len(blocks.histogram)), blocks.histogram)
    return sorted(zip(blocks.starts.tolist(), lengths.tolist(), strict=True))


@pytest.mark.parametrize("cut", ["word", "line"])
@pytest.mark.parametrize("row_length", [3, 5, 9, 17, 64, 300])
@pytest.mark.parametrize("seed", [0, 1])
def test_blocks_are_those_of_a_plain_loop(toy_corpus, toy_tokenizer, cut, row_length, seed):
    shards, word_starts = toy_corpus(LENGTHS, seed, shards=3), toy_tokenizer.word_starts()
    blocks = cut_blocks(shards, word_starts, row_length, cut)
    expected, left_out = oracle(shards, word_starts, row_length, cut)
    assert listed(blocks) == expected
    assert blocks.left_out_pieces == left_out
    assert len(blocks) == len(expected)


@pytest.mark.parametrize("cut", ["word", "line"])
def test_blocks_hold_every_piece_once_and_never_cross_documents_or_cut_words(toy_corpus, toy_tokenizer, cut):
    shards, word_starts = toy_corpus(LENGTHS * 5, 3), toy_tokenizer.word_starts()
    blocks = cut_blocks(shards, word_starts, 12, cut)
    pieces = np.concatenate([shard[0] for shard in shards])
    bounds = np.concatenate([[0], shards[0][1][1:], shards[1][1][1:] + len(shards[0][0])])
    covered = np.zeros(len(pieces), int)
    for start, length in listed(blocks):
        assert 1 <= length <= 10
        covered[start : start + length] += 1
        assert np.searchsorted(bounds, start, "right") == np.searchsorted(bounds, start + length - 1, "right")
        assert word_starts[pieces[start]]
        end = start + length
        assert end == len(pieces) or end in bounds or word_starts[pieces[end]]
    assert covered.max() == 1
    assert covered.sum() + blocks.left_out_pieces == len(pieces)


def test_blocks_are_sorted_by_length_and_then_by_place(toy_corpus, toy_tokenizer):
    blocks = cut_blocks(toy_corpus(LENGTHS, 1), toy_tokenizer.word_starts(), 9)
    for n in range(len(blocks.histogram)):
        of_length = blocks.starts[blocks.first[n] : blocks.first[n + 1]]
        assert len(of_length) == blocks.histogram[n]
        assert (np.diff(of_length) > 0).all()
    assert blocks.first.shape == (9,)
    assert blocks.starts.dtype == blocks.histogram.dtype == np.int64


def test_a_block_ends_with_a_line_where_a_line_fits(toy_tokenizer):
    pieces = np.full(10, 7, np.uint16)  # words of one piece, lines of 3, 3 and 4
    shard = (pieces, np.array([0, 10]), np.array([0, 3, 6, 10]))
    word_starts = toy_tokenizer.word_starts()
    assert listed(cut_blocks([shard], word_starts, 7, "word")) == [(0, 5), (5, 5)]
    assert listed(cut_blocks([shard], word_starts, 7, "line")) == [(0, 3), (3, 3), (6, 4)]
    assert listed(cut_blocks([shard], word_starts, 8, "line")) == [(0, 6), (6, 4)]


def test_words_longer_than_a_block_are_left_out_and_counted(toy_tokenizer):
    pieces = np.array([7, 55, 55, 55, 55, 8, 9, 56, 56, 56], np.uint16)  # words of 5, 1 and 4 pieces
    shard = (pieces, np.array([0, 10]), np.array([0, 10]))
    blocks = cut_blocks([shard], toy_tokenizer.word_starts(), 5)
    assert listed(blocks) == [(5, 1)]
    assert blocks.left_out_pieces == 9
    assert len(pieces) == 1 + blocks.left_out_pieces


def test_a_block_is_full_when_words_allow(toy_tokenizer):
    pieces = np.full(1000, 7, np.uint16)
    blocks = cut_blocks([(pieces, np.array([0, 1000]), np.array([0, 1000]))], toy_tokenizer.word_starts(), 128)
    assert listed(blocks)[0] == (0, 126)
    assert blocks.histogram[126] == 7
    assert blocks.histogram[1000 - 7 * 126] == 1


@pytest.mark.parametrize("cut, row_length", [("sentence", 9), ("word", 2)])
def test_an_unknown_cut_or_a_row_without_room_is_rejected(toy_corpus, toy_tokenizer, cut, row_length):
    with pytest.raises(ValueError, match="Received: cut="):
        cut_blocks(toy_corpus(LENGTHS), toy_tokenizer.word_starts(), row_length, cut)


def test_no_shards_give_no_blocks(toy_tokenizer):
    blocks = cut_blocks([], toy_tokenizer.word_starts(), 9)
    assert len(blocks) == 0
    assert blocks.left_out_pieces == 0
