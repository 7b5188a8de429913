"""Tests of vocabulary training: BERT's layout, the same result in every process, bounds."""

import collections
import itertools
import random
import re
import subprocess
import sys

import pytest
from tokenizers import BertWordPieceTokenizer

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing import wordpiece_training
from spanbert_keras.preprocessing.wordpiece import WordPiece, check_vocabulary
from spanbert_keras.preprocessing.wordpiece_training import character_pieces, count_words, train_wordpiece

WORDS = ["low", "lower", "lowest", "new", "newer", "wide", "wider", "low-born", "Épée"]


def sample(lines=200, seed=3):
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, weights=range(9, 0, -1), k=7)) for _ in range(lines)]


def test_the_layout_is_berts():
    vocabulary = train_wordpiece(sample(), 310)
    check_vocabulary(vocabulary, "trained")
    assert vocabulary[:8] == ["[PAD]", "[unused1]", "[unused2]", "[unused3]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    large = train_wordpiece(sample(), 20_000)
    assert [large.index(piece) for piece in ("[unused99]", "[UNK]", "[MASK]")] == [99, 100, 103]


def test_every_training_word_becomes_one_piece_when_there_is_room():
    wordpiece = WordPiece(train_wordpiece(sample(), 1000), False)
    assert [len(ids) for ids in wordpiece.encode(["low", "lowest", "wider", "low-born", "Épée"])] == [1, 1, 1, 3, 1]


def test_no_training_text_gives_an_unknown_piece():
    wordpiece = WordPiece(train_wordpiece(sample(), 60), False)
    ids, _ = wordpiece.encode_ragged(sample())
    assert wordpiece.ids["[UNK]"] not in ids


def test_the_size_is_the_size_asked_for():
    text = [" ".join(map("".join, itertools.product("abcdef", repeat=4)))] * 2
    assert len(train_wordpiece(text, 300)) == 300


def test_lowercase_vocabularies_hold_no_capitals_and_no_accents():
    vocabulary = train_wordpiece(sample(), 310, lowercase=True)
    ordinary = [piece for piece in vocabulary if not piece.startswith("[")]
    assert "epee" in ordinary and all(piece == piece.lower() and "é" not in piece for piece in ordinary)


def test_merges_agree_with_the_librarys_own_training():
    ours = train_wordpiece(sample(), 80)
    library = BertWordPieceTokenizer(lowercase=False)
    library.train_from_iterator(sample(), vocab_size=1000, min_frequency=2, show_progress=False)
    merged = {p for p in ours if len(p.removeprefix("##")) > 1 and not re.match(r"\[\w+\]", p)}
    assert len(merged) == 20 and merged <= set(library.get_vocab())


@pytest.mark.slow
def test_other_processes_train_the_same_vocabulary():
    program = (
        "import hashlib, itertools\n"
        "from spanbert_keras.preprocessing.wordpiece_training import train_wordpiece\n"
        "text = [' '.join(map(''.join, itertools.product('abcdefg', repeat=4)))] * 2\n"  # ties everywhere
        "print(hashlib.sha256(repr(train_wordpiece(text, 400)).encode()).hexdigest())\n"
    )
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True) for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout and len(runs[0].stdout.strip()) == 64


def test_words_are_counted_as_bert_splits_them():
    assert count_words(["A a, b\u00a0北京", "a"], lowercase=True) == {",": 1, "a": 3, "b": 1, "京": 1, "北": 1}


def test_lone_surrogates_are_not_words():
    assert count_words(["a\ud800b"], lowercase=False) == {"ab": 1}


def test_rare_words_are_dropped_if_distinct_ones_are_too_many(monkeypatch):
    monkeypatch.setattr(wordpiece_training, "MAX_DISTINCT_TOKENS", 10)
    texts = ["often often often"] + [f"rare{i}" for i in range(25)] + ["often", "twice twice"]
    counts = count_words(texts, lowercase=False)
    assert counts["often"] == 4 and counts["twice"] == 2 and len(counts) <= 10


def test_rare_characters_make_no_piece(monkeypatch):
    monkeypatch.setattr(wordpiece_training, "MAX_ALPHABET", 3)
    assert character_pieces({"ab": 5, "ba": 1, "ca": 2, "d": 2}) == ["a", "b", "c", "##a", "##b"]


def test_scaling_down_and_splitting_keep_the_counts(monkeypatch):
    monkeypatch.setattr(wordpiece_training, "CHARACTERS_PER_STRING", 10)
    words = {"ab": 7, "c": 12}
    strings = list(wordpiece_training._repeated(words))
    assert collections.Counter(" ".join(strings).split()) == words and max(map(len, strings)) <= 10
    monkeypatch.setattr(wordpiece_training, "MAX_TRAINING_CHARACTERS", 20)
    scaled = collections.Counter(" ".join(wordpiece_training._repeated(words)).split())
    assert scaled == {"ab": 3, "c": 4}  # a third, rounded up


@pytest.mark.parametrize("texts, size, said", [([" "], 100, "no words"), (["abc abc"], 6, "too small.*Received: 6")])
def test_unusable_training_input_is_rejected(texts, size, said):
    with pytest.raises(InputError, match=said):
        train_wordpiece(texts, size)
