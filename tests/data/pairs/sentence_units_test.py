"""Tests of sentences found in pieces: exact cases, and a plain reading of the rule on random lines."""

import time

import numpy as np
import pytest

from spanbert_keras.data.pairs.sentence_units import ABBREVIATIONS, SentenceUnits
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "He She Mr Smith Pro Go I A it he sat went came left 7 x".split()
MARKS = [*".!?…\"')]”’([“‘,:"]
PIECES = [*SPECIALS, *WORDS, "##f", "##s", "##.", *MARKS]
LOWER = [*SPECIALS, *"he she mr smith it went came left 7 i pro".split(), "##f", "##s", *MARKS]


@pytest.fixture(scope="module")
def cased():
    return SpanBertTokenizer(PIECES)


@pytest.fixture(scope="module")
def uncased():
    return SpanBertTokenizer(LOWER, lowercase=True)


def lengths(tokenizer, *lines):
    """Returns the pieces of each sentence of lines of pieces separated by blanks."""
    ids = [[tokenizer.wordpiece.pieces.index(piece) for piece in line.split()] for line in lines]
    line_starts = np.cumsum([0, *map(len, ids)])
    pieces = np.array([piece for line in ids for piece in line], np.uint16)
    starts = SentenceUnits(tokenizer).starts(pieces, line_starts)
    return np.diff(starts, append=len(pieces)).tolist()


@pytest.mark.parametrize(
    "line, expected",
    [
        ("He came . She left . Mr . Smith sat .", [3, 3, 5]),
        ('" Go . " He went .', [4, 3]),
        ("He came ! She left ? He sat … I", [3, 3, 3, 1]),
        ("He came . 7 left .", [3, 3]),
        ("He came . it left .", [6]),
        ("He came . ( She left . ) He sat .", [3, 5, 3]),
        ("He came . ” ) ' She left .", [6, 3]),
        ("He came . , She left .", [7]),
        ("He came . . . She left .", [5, 3]),
        ("He came ##s . She ##s .", [4, 3]),
        ("He came . ##s She .", [6]),  # not a word: the period's word goes on
        ("A . Smith came . I . He left", [5, 4]),
        ("Pro ##f . Smith came . He left", [6, 2]),
        ("He Pro . Smith came", [3, 2]),
        ("x ##s . Smith came", [3, 2]),  # two pieces, more than one letter
        ("I ! He came", [2, 2]),  # only periods abbreviate
        ("Mr ! He came", [2, 2]),
        ("7 . He came", [2, 2]),
        (". He came", [1, 2]),
        ("He came .", [3]),
        ("He came . \" '", [5]),
        ("He came . [UNK] left", [5]),
        ("He ##. She", [3]),
    ],
)
def test_sentences_of_a_line(cased, line, expected):
    assert lengths(cased, line) == expected


def test_a_lowercasing_vocabulary_needs_no_upper_case(uncased):
    assert lengths(uncased, "he came . she left . mr . smith went .") == [3, 3, 5]
    assert lengths(uncased, "he came . . . she left ! ? , it") == [5, 6]
    assert lengths(uncased, "he came . ( it went . )") == [3, 5]


def test_lines_are_cut_by_themselves(cased):
    assert lengths(cased, "He came .", "it left . She", ") . He", "Mr", ". He") == [3, 3, 1, 2, 1, 1, 1, 1]


def test_abbreviations_are_those_that_are_documented():
    expected = {"Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Jr", "Sr", "vs", "No", "Vol", "Fig", "Inc", "Ltd", "Co", "Corp"}
    assert set(ABBREVIATIONS) == expected


def test_abbreviations_outside_the_vocabulary_match_nothing(cased):
    assert lengths(cased, "[UNK] . He came") == [2, 2]


def oracle(line):
    """Returns where the sentences of one line of cased pieces begin, read from left to right."""
    starts = [0]
    for i, piece in enumerate(line):
        if piece not in (".", "!", "?", "…"):
            continue
        j = i + 1
        while j < len(line) and line[j] in "\"')]”’":
            j += 1
        if j == len(line) or line[j].startswith("##") or line[j] in SPECIALS:
            continue
        word = ""
        for k in range(i - 1, -1, -1):
            word = line[k].removeprefix("##") + word
            if not line[k].startswith("##"):
                break
        begins = line[j][0].isupper() or line[j][0].isdigit() or line[j][0] in "\"'([“‘"
        abbreviated = piece == "." and ((len(word) == 1 and word.isalpha()) or word in ABBREVIATIONS)
        if begins and not abbreviated:
            starts.append(j)
    return starts


def test_sentences_are_those_of_a_plain_reading(cased):
    random = np.random.default_rng(3)
    ids = random.choice(np.arange(len(SPECIALS), len(PIECES)), 30_000)
    is_line = random.random(len(ids)) < 0.07
    is_line[0] = True
    ids[is_line] = random.integers(5, 5 + len(WORDS), is_line.sum())
    line_starts = np.append(np.flatnonzero(is_line), len(ids))
    expected = []
    for begin, end in zip(line_starts[:-1].tolist(), line_starts[1:].tolist(), strict=True):
        expected += [begin + start for start in oracle([PIECES[i] for i in ids[begin:end]])]
    found = SentenceUnits(cased).starts(ids.astype(np.uint16), line_starts)
    assert found.tolist() == expected
    assert len(found) > 1.3 * is_line.sum()


def test_millions_of_pieces_are_read_in_a_second(cased):
    ids = np.random.default_rng(0).integers(5, len(PIECES), 2_000_000).astype(np.uint16)
    line_starts = np.arange(0, len(ids) + 1, 100)
    began = time.process_time()
    SentenceUnits(cased).starts(ids, line_starts)
    assert time.process_time() - began < 3
