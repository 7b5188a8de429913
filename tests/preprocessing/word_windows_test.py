"""Rows of whole words: words of texts and tokens, ranges, the row of each span against all of them tried, padding."""

import numpy as np
import pytest

from spanbert_keras import SpanBertTokenizer
from spanbert_keras.preprocessing.word_windows import WordWindows, pad_word_rows

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "##a", "##b", ".", "e", "##c"]


@pytest.fixture(scope="module")
def tokenizer():
    return SpanBertTokenizer(PIECES, lowercase=True)


def random_text(seed, words):
    rng = np.random.default_rng(seed)
    return " ".join("".join(rng.choice(["a", "b"], rng.integers(1, 5))) for _ in range(words))


def test_words_of_a_text_are_those_of_its_characters(tokenizer):
    text = "Ab  \u00e9a. b"
    words = WordWindows(tokenizer).of_text(text)
    assert [text[a:b] for a, b in zip(words.starts, words.ends, strict=True)] == ["Ab", "\u00e9a", ".", "b"]
    assert words.firsts.tolist() == [0, 2, 4, 5] and words.lasts.tolist() == [1, 3, 4, 5]
    assert words.words_of(0, 2) == (0, 0) and words.words_of(5, 9) == (1, 3) and words.words_of(2, 4) is None
    assert words.words_of(1, 5) == (0, 1)  # a part of a word is the word
    assert words.candidates(2).tolist() == [[True, True]] * 3 + [[True, False]]
    accented = WordWindows(tokenizer).of_text("ae\u0301\u0323 b\u0301")
    assert list(zip(accented.starts, accented.ends, strict=True)) == [(0, 4), (5, 7)]


def test_spans_of_tokens_are_whole_tokens(tokenizer):
    words = WordWindows(tokenizer).of_tokens(["a.b", "\u200b", "ab"])
    assert len(words) == 4 and words.starts.tolist() == [0, 0, 0, 2] and words.ends.tolist() == [1, 1, 1, 3]
    expected = np.zeros((4, 4), bool)
    expected[0, 2] = expected[0, 3] = expected[3, 0] = True  # "a.b", all, "ab"
    assert (words.candidates(4) == expected).all()
    assert words.words_of(0, 1) == (0, 2) and words.words_of(1, 2) is None and words.words_of(2, 3) == (3, 3)


def test_a_text_without_words_has_no_rows(tokenizer):
    windows = WordWindows(tokenizer)
    for words in (windows.of_text(" \n"), windows.of_tokens([]), windows.of_tokens(["\u200b"])):
        assert len(words) == 0 and windows.split(words) == []


@pytest.mark.parametrize("length", [3, 5, 8, 13, 40])
@pytest.mark.parametrize("width", [1, 3, 7])
def test_each_span_is_scored_once_where_it_has_most_context(tokenizer, length, width):
    """The rows of each span against the context in all rows, counted word by word."""
    windows = WordWindows(tokenizer, length, width)
    text = windows.of_text(random_text(length, 30))
    rows = windows.split(text)
    ranges = [(row.first_word, row.first_word + len(row.word_starts)) for row in rows]
    assert ranges[0][0] == 0 and ranges[-1][1] == len(text)
    assert all(begin < later <= end for (begin, end), (later, _) in zip(ranges, ranges[1:], strict=False))
    seen = np.zeros((len(text), width), int)
    for row, (begin, end) in zip(rows, ranges, strict=True):
        assert len(row) <= length and row.token_ids[0] == 2 and row.token_ids[-1] == 3
        for word in range(begin, end):
            place = word - begin
            pieces = text.token_ids[text.firsts[word] : text.lasts[word] + 1][: length - 2]
            assert row.token_ids[row.word_starts[place] : row.word_ends[place] + 1].tolist() == pieces.tolist()
        seen[begin:end] += row.owned
    for first in range(len(text)):
        for span in range(width):
            last = first + span
            contexts = []
            for begin, end in ranges:
                if begin <= first and last < end:
                    left = 10**6 if begin == 0 else first - begin
                    contexts.append(min(left, 10**6 if end == len(text) else end - 1 - last))
            assert seen[first, span] == bool(contexts)
            if contexts:
                best = contexts.index(max(contexts))
                holders = [row for row, (begin, end) in zip(rows, ranges, strict=True) if begin <= first and last < end]
                assert holders[best].owned[first - holders[best].first_word, span]


def test_neighbouring_rows_share_a_quarter_of_their_pieces(tokenizer):
    windows = WordWindows(tokenizer, 42, 4)
    text = windows.of_text(" ".join(["a"] * 200))
    starts = [row.first_word for row in windows.split(text)]
    assert starts == [0, 30, 60, 90, 120, 150, 180]


def test_rows_are_padded_by_name(tokenizer):
    windows = WordWindows(tokenizer, 12, 2)
    rows = windows.split(windows.of_text("ab b")) + windows.split(windows.of_text("a"))
    batch = pad_word_rows(rows, 6)
    assert {key: value.dtype for key, value in batch.items()} == dict.fromkeys(batch, np.dtype("int32"))
    assert batch["token_ids"].tolist() == [[2, 5, 8, 6, 3, 0], [2, 5, 3, 0, 0, 0]]
    assert batch["word_starts"].tolist() == [[1, 3, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert batch["word_ends"].tolist() == [[2, 3, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert batch["padding_mask"].tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]]
