"""Tests of the WordPiece engine: vocabulary files, ids equal to an oracle written from BERT's rules, decoding."""

import json
import threading
import unicodedata

import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.wordpiece import WordPiece, check_vocabulary, read_vocabulary, write_vocabulary

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] [ ] MASK a ab ##b ##c , é e ß".split()


def normalized_words(text, lowercase):
    """BERT's words, written from the rules of Devlin et al.'s BasicTokenizer."""
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if character in "\t\n\r" or category == "Zs":
            kept.append(" ")
        elif character == "\ufffd" or category.startswith("C"):
            continue
        elif "\u4e00" <= character <= "\u9fff":
            kept.append(f" {character} ")
        else:
            kept.append(character)
    words = []
    for token in "".join(kept).split():
        if lowercase:
            token = "".join(c for c in unicodedata.normalize("NFD", token.lower()) if unicodedata.category(c) != "Mn")
        word = ""
        for character in token:
            is_ascii_mark = 33 <= ord(character) <= 126 and not character.isalnum()
            if is_ascii_mark or unicodedata.category(character).startswith("P"):
                words += [word, character]
                word = ""
            else:
                word += character
        words.append(word)
    return [word for word in words if word]


def oracle_ids(text, vocabulary, lowercase):
    """Longest match first, one character less at a time."""
    ids = {piece: index for index, piece in enumerate(vocabulary)}
    result = []
    for word in normalized_words(text, lowercase):
        pieces, start = [], 0
        while start < len(word):
            candidates = (("##" if start else "") + word[start:end] for end in range(len(word), start, -1))
            found = next((piece for piece in candidates if piece in ids), None)
            if found is None or len(word) > 100:
                pieces = [ids["[UNK]"]]
                break
            pieces.append(ids[found])
            start += len(found) - (2 if start else 0)
        result += pieces
    return result


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize(
    "text", ["", "abc, ab", "[MASK]", "a\x00b\u200bc", "é e\u0301 É", "a" * 101, "\ta\u3000b\r\nc", "a北b", "ẞ", "x"]
)
def test_ids_equal_an_oracle_written_from_berts_rules(text, lowercase):
    wordpiece = WordPiece(VOCABULARY, lowercase)
    assert wordpiece.encode([text]) == [oracle_ids(text, VOCABULARY, lowercase)]


def test_ids_equal_the_oracle_on_python_prose(small_vocabulary):
    wordpiece = WordPiece(small_vocabulary, False)
    lines = threading.__doc__.splitlines() + json.__doc__.splitlines() + unicodedata.__doc__.splitlines()
    assert wordpiece.encode(lines) == [oracle_ids(line, small_vocabulary, False) for line in lines]


def test_ids_equal_the_librarys_where_specials_count():
    wordpiece = WordPiece(VOCABULARY, True)
    library = BertWordPieceTokenizer({piece: i for i, piece in enumerate(VOCABULARY)}, lowercase=True)
    for text in ["[CLS]a[MASK] b", "[mask] [UNK]", "[MASK][MASK]", "x [SEP]é"]:
        assert wordpiece.encode([text], specials=True) == [library.encode(text, add_special_tokens=False).ids]


def test_special_pieces_in_text_are_ordinary_text_unless_asked_for():
    wordpiece = WordPiece(VOCABULARY, False)
    assert wordpiece.encode(["a [MASK]"]) == [[8, 5, 7, 6]]
    assert wordpiece.encode(["a [MASK]"], specials=True) == [[8, 4]]


def test_encode_ragged_is_encode_in_flat_arrays():
    wordpiece = WordPiece(VOCABULARY, False)
    ids, lengths = wordpiece.encode_ragged(["abc a", "", "ab , a"])
    assert ids.dtype == np.int32 and lengths.dtype == np.int64
    assert lengths.tolist() == [3, 0, 3]
    assert ids.tolist() == sum(wordpiece.encode(["abc a", "", "ab , a"]), [])


def test_many_texts_are_encoded_a_few_at_a_time(monkeypatch):
    batches = []

    class Spy(WordPiece):
        def encode_ragged(self, texts, specials=False):
            batches.append(list(texts))
            return super().encode_ragged(texts, specials)

    monkeypatch.setattr("spanbert_keras.preprocessing.wordpiece.BATCH_CHARACTERS", 5)
    texts = ["abc a", "", "a", "ab , [MASK]", "a"]
    found = Spy(VOCABULARY, False).encode_many(texts, specials=True)
    assert batches == [["abc a"], ["", "a", "ab , [MASK]"], ["a"]]
    for part, expected in zip(found, WordPiece(VOCABULARY, False).encode_ragged(texts, specials=True), strict=True):
        assert part.dtype == expected.dtype and part.tolist() == expected.tolist()
    assert [part.tolist() for part in Spy(VOCABULARY, False).encode_many([])] == [[], []]


def test_offsets_count_characters_of_the_text_as_given():
    wordpiece = WordPiece(VOCABULARY, True)
    text = "\x00É 北, \U0001d504 ABC"
    ((ids, offsets),) = wordpiece.encode_with_offsets([text])
    assert [VOCABULARY[i] for i in ids] == ["e", "[UNK]", ",", "[UNK]", "ab", "##c"]
    assert [text[start:end] for start, end in offsets] == ["É", "北", ",", "\U0001d504", "AB", "C"]


def test_lone_surrogates_count_as_the_replacement_character():
    wordpiece = WordPiece(VOCABULARY, False)
    assert wordpiece.encode(["a \ud800b", "ab"]) == wordpiece.encode(["a \ufffdb", "ab"])
    assert wordpiece.encode_with_offsets(["\udfff a"])[0][1] == [(2, 3)]


def test_values_other_than_text_are_an_error():
    with pytest.raises(TypeError):
        WordPiece(VOCABULARY, False).encode([None])


def test_decode_joins_pieces_and_skips_the_given_ids():
    wordpiece = WordPiece(VOCABULARY, False)
    assert wordpiece.decode([2, 9, 11, 12, 8, 3]) == "[CLS] abc , a [SEP]"
    assert wordpiece.decode([2, 9, 11, 3], frozenset({2, 3})) == "abc"
    assert wordpiece.decode([]) == ""


def test_fingerprint_names_order_and_case():
    base = WordPiece(VOCABULARY, False).fingerprint()
    assert base == WordPiece(list(VOCABULARY), False).fingerprint() and len(base) == 64
    assert base != WordPiece(VOCABULARY, True).fingerprint()
    assert base != WordPiece([*VOCABULARY[:-2], VOCABULARY[-1], VOCABULARY[-2]], False).fingerprint()


def test_threads_share_one_engine(small_vocabulary):
    wordpiece = WordPiece(small_vocabulary, False)
    text = "[MASK] " + threading.__doc__
    expected = [wordpiece.encode([text], specials) for specials in (False, True)]
    results = []

    def work(specials):
        results.extend(wordpiece.encode([text], specials) == expected[specials] for _ in range(30))

    threads = [threading.Thread(target=work, args=(i % 2 == 1,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 120 and all(results)


def test_vocabulary_files_make_a_round_trip(tmp_path):
    pieces = [*VOCABULARY, "\u2028", "x\u0085y", "\u00a0"]  # separators for str.splitlines, not for BERT
    write_vocabulary(pieces, tmp_path / "vocab.txt")
    assert read_vocabulary(tmp_path / "vocab.txt") == pieces


def test_vocabulary_files_may_end_lines_as_windows_does(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\r\na\r\n\r\n")
    assert read_vocabulary(tmp_path / "vocab.txt") == ["[PAD]", "a"]


def test_a_byte_order_mark_is_not_part_of_the_first_piece(tmp_path):
    (tmp_path / "vocab.txt").write_bytes("\ufeff[PAD]\na\n".encode())
    assert read_vocabulary(tmp_path / "vocab.txt") == ["[PAD]", "a"]


@pytest.mark.parametrize("content, said", [(b"a\n\nb\n", "line 2"), (b"a\n\xff\n", "0xff"), (None, "cannot be read")])
def test_unreadable_vocabulary_files_are_named(tmp_path, content, said):
    if content is not None:
        (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(InputError, match=r"words\.txt.*" + said):
        read_vocabulary(tmp_path / "words.txt")


@pytest.mark.parametrize(
    "pieces, said",
    [
        (VOCABULARY[:4] + VOCABULARY[5:], r"here.*\[MASK\]"),
        (VOCABULARY[2:], r"here.*\[PAD\] and \[UNK\]"),
        ([*VOCABULARY, "ab"], "here.*'ab' on lines 10 and 17"),
        ([*VOCABULARY, "x\ny"], "here.*id 16"),
    ],
)
def test_unusable_vocabularies_are_rejected(pieces, said):
    with pytest.raises(InputError, match=said):
        check_vocabulary(pieces, "here")
