"""The tokenizer in the graph equals ours: on BERT's hard strings, on every code point, on random text."""

import gzip
import itertools
import json
import random
import unicodedata

import numpy as np
import pytest
from tokenizers import normalizers, pre_tokenizers

from spanbert_keras import SpanBertTokenizer
from spanbert_keras.errors import InputError
from tests.hard_strings import hard_texts, odd_strings, pieces_of

tf = pytest.importorskip("tensorflow", reason="the tokenizer in the graph needs TensorFlow")
pytest.importorskip("tensorflow_text", reason="the tokenizer in the graph needs tensorflow-text")

from spanbert_keras.conversion.exports.graph_tokenizer import GraphTokenizer  # noqa: E402

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIALS, "a", "##b", "[", "]", "MASK", "é", "e", "中", "##\u1161", "\u1100"]


@pytest.fixture(scope="module", params=[False, True], ids=["cased", "uncased"])
def lowercase(request):
    return request.param


def in_graph(method):
    """Returns a function from a list of str or bytes to lists, traced once."""
    traced = tf.function(method, input_signature=[tf.TensorSpec([None], tf.string)])

    def run(texts):
        return traced([text if isinstance(text, bytes) else text.encode("utf-8") for text in texts]).to_list()

    return run


def words_of(texts, lowercase):
    """Returns the words, in UTF-8, that the `tokenizers` library splits texts into."""
    normalize = normalizers.BertNormalizer(lowercase=lowercase).normalize_str
    split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return [[word.encode("utf-8") for word, _ in split(normalize(text))] for text in texts]


def test_all_300_hard_strings_give_berts_pieces_and_ours(data_folder, lowercase):
    kind = "uncased" if lowercase else "cased"
    cases = [json.loads(line) for line in (data_folder / "vocab/wordpiece_fixture.jsonl").open(encoding="utf-8")]
    ours = SpanBertTokenizer(data_folder / f"vocab/bert-base-{kind}-vocab.txt", lowercase=lowercase)
    texts = [case["text"] for case in cases]
    tokenize = in_graph(GraphTokenizer(ours.get_vocabulary(), lowercase).tokenize)
    received = tokenize(texts)
    assert len(cases) == 300 and received == ours(texts)
    pieces = [[ours.id_to_token(i) for i in row] for row in received]
    differing = [case["text"] for case, row in zip(cases, pieces, strict=True) if row != case[kind]]
    assert len(differing) == 1 and any(special in differing[0] for special in SPECIALS)  # ordinary text for us
    texts = odd_strings(5000, seed=1)
    assert tokenize(texts) == ours(texts)


def test_every_code_point_is_split_as_by_our_tokenizer(lowercase):
    codes = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = ["".join(f"a{chr(code)}" for code in codes[i : i + 512]) for i in range(0, len(codes), 512)]
    received = in_graph(GraphTokenizer(PIECES, lowercase).words)(texts)
    assert received == words_of(texts, lowercase)


def test_thousands_of_odd_strings_are_split_as_by_our_tokenizer(lowercase):
    texts = odd_strings(10_000, seed=2)
    assert sum(any(unicodedata.combining(c) for c in text) for text in texts) > 5000
    received = in_graph(GraphTokenizer(PIECES, lowercase).words)(texts)
    assert received == words_of(texts, lowercase)
    assert sum(map(len, received)) > 20_000


@pytest.mark.parametrize("letters", ["ab", "aé中", "a-#", "\u0f71\u0f74\u0f72a", "\U0001e944\U0001e94ab"])
def test_any_vocabulary_gives_our_ids(letters):
    choose, seen = random.Random(letters), set()
    for size in (3, 12, 40):
        words = ["".join(choose.choices(letters, k=choose.randint(1, 6))) for _ in range(size)]
        pieces = {choose.choice(["", "##"]) + word for word in [*letters, *words]} | {"##", "x y", "###a"}
        pieces = [*SPECIALS, *sorted(pieces)]
        texts = ["".join(choose.choices(letters + " ", k=choose.randint(0, 30))) for _ in range(400)]
        for lowercase in (False, True):
            ids = GraphTokenizer(pieces, lowercase).tokenize(texts).to_list()
            assert ids == SpanBertTokenizer(pieces, lowercase=lowercase)(texts)
            seen |= {pieces[i] for row in ids for i in row}
    assert len(seen) > 4


@pytest.mark.parametrize("strips", [None, False, True])
@pytest.mark.parametrize("splits", [True, False])
def test_accents_and_chinese_characters_are_treated_as_by_our_tokenizer(lowercase, strips, splits):
    texts = hard_texts()
    pieces = pieces_of(texts)
    ours = SpanBertTokenizer(pieces, lowercase=lowercase, strip_accents=strips, split_chinese_characters=splits)
    graph = GraphTokenizer(pieces, lowercase, strip_accents=strips, split_chinese_characters=splits)
    assert in_graph(graph.tokenize)(texts) == ours(texts)


def test_long_empty_and_literal_texts_give_our_ids(lowercase):
    texts = [letter * n for letter in "aé中가\U00010437" for n in (33, 34, 99, 100, 101, 400)]
    texts += ["a" + "b" * 99, "a" + "b" * 100, "e\u0301" * 100, "e\u0301" * 101 + " a", "a\u200b" * 101]
    texts += ["", " ", " \t\r\n", "\u3000", "\0", *SPECIALS, "a [MASK]b [UNK]"]
    ours = SpanBertTokenizer(PIECES, lowercase=lowercase)
    assert in_graph(GraphTokenizer(PIECES, lowercase).tokenize)(texts) == ours(texts)
    assert ours("a" + "b" * 99) == [5, *[6] * 99] and ours("a" + "b" * 100) == [1]


def test_invalid_utf8_gives_our_ids(lowercase):
    choose = random.Random(3)
    some = [0x61, 0x62, 0x20, 0xC3, 0xA9, 0xE4, 0xB8, 0xAD, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xA0, 0xFF, 0xC0, 0xF4, 0x90]
    texts = [bytes(choose.choices([*some, *range(256)], k=choose.randint(1, 12))) for _ in range(5000)]
    ours = SpanBertTokenizer(PIECES, lowercase=lowercase)
    assert in_graph(GraphTokenizer(PIECES, lowercase).tokenize)(texts) == ours(texts)


def test_rows_have_special_tokens_and_padding_to_the_longest_text():
    rows = GraphTokenizer(PIECES)(["ab a", "", "a a a a"])
    assert {value.dtype for value in rows.values()} == {tf.int32}
    assert rows["token_ids"].numpy().tolist() == [[2, 5, 6, 5, 3, 0], [2, 3, 0, 0, 0, 0], [2, 5, 5, 5, 5, 3]]
    assert rows["padding_mask"].numpy().tolist() == [[1, 1, 1, 1, 1, 0], [1, 1, 0, 0, 0, 0], [1] * 6]
    assert rows["segment_ids"].numpy().tolist() == np.zeros((3, 6)).tolist()
    assert rows["truncated_pieces"].numpy().tolist() == [0, 0, 0]


@pytest.mark.parametrize("length, width", [(None, 5), (4, 4), (2, 2), (5, 5)])
def test_truncated_pieces_are_counted(length, width):
    rows = GraphTokenizer(PIECES, max_sequence_length=5)(["a" + " a" * 9, "a", "a a a"], length=length)
    room = width - 2
    assert rows["truncated_pieces"].numpy().tolist() == [10 - room, max(0, 1 - room), max(0, 3 - room)]
    assert rows["token_ids"].shape == (3, width)
    assert rows["token_ids"][0].numpy().tolist() == [2, *[5] * room, 3]


def test_a_given_length_pads_and_is_static_in_the_graph():
    tokenize = GraphTokenizer(PIECES, max_sequence_length=9)
    rows = tokenize(["a"], length=7)
    assert rows["token_ids"].numpy().tolist() == [[2, 5, 3, 0, 0, 0, 0]]
    batches = tf.data.Dataset.from_tensor_slices(["a", "ab"]).batch(2).map(lambda texts: tokenize(texts, length=7))
    assert batches.element_spec["token_ids"].shape.as_list() == [None, 7]


def test_an_empty_batch_gives_no_rows():
    rows = GraphTokenizer(PIECES)(tf.zeros([0], tf.string), length=7)
    assert rows["token_ids"].shape == (0, 7) and rows["truncated_pieces"].shape == (0,)


def test_invalid_lengths_and_vocabularies_are_rejected():
    with pytest.raises(InputError, match=r"lacks \[UNK\] and \[SEP\]"):
        GraphTokenizer(["[PAD]", "[CLS]", "a"])
    with pytest.raises(InputError, match="exceeds the max supported.*remove that piece"):
        GraphTokenizer([*PIECES, "a" * 257])
    with pytest.raises(ValueError, match="`max_sequence_length` must be at least 2"):
        GraphTokenizer(PIECES, max_sequence_length=1)
    for length in (1, 6):
        with pytest.raises(ValueError, match=rf"must be in \[2, 5\]. Received: {length}"):
            GraphTokenizer(PIECES, max_sequence_length=5)(["a"], length=length)


@pytest.mark.slow
def test_every_fourth_chapter_of_the_books_gives_our_ids(data_folder, lowercase):
    kind = "uncased" if lowercase else "cased"
    ours = SpanBertTokenizer(data_folder / f"vocab/bert-base-{kind}-vocab.txt", lowercase=lowercase)
    tokenize = in_graph(GraphTokenizer(ours.get_vocabulary(), lowercase).tokenize)
    lines = 0
    with gzip.open(data_folder / "text/books.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in itertools.islice(file, 0, None, 4):
            texts = json.loads(row)["text"].split("\n")
            assert tokenize(texts) == ours(texts)
            lines += len(texts)
    assert lines > 25_000


def offsets_in_graph(pieces, lowercase, texts):
    """Returns the ids and the places of pieces, as `encode_with_offsets` does."""
    ids, starts, ends = (
        found.to_list()
        for found in GraphTokenizer(pieces, lowercase).tokenize_with_offsets([text.encode("utf-8") for text in texts])
    )
    return ids, [list(zip(*places, strict=True)) for places in zip(starts, ends, strict=True)]


def test_pieces_have_the_characters_that_our_tokenizer_gives_them(lowercase):
    texts = [
        *hard_texts(),
        "Cafe\u0301 e\u0301 👩‍👩‍👧 中文a",
        "a" * 101 + " b",
        "가 İİ",
        "a\u200b[MASK]b",
        "\U0001f600\ufe0f",
    ]
    if lowercase:  # a mark that stays is given another place, see `tokenize_with_offsets`
        keeps = GraphTokenizer(PIECES, True)._tables.ranks
        normalized = [normalizers.BertNormalizer(lowercase=True).normalize_str(text) for text in texts]
        marked = [any(keeps.entries[256 * keeps.pages[ord(c) // 256] + ord(c) % 256] for c in t) for t in normalized]
        texts = [text for text, is_marked in zip(texts, marked, strict=True) if not is_marked]
    assert len(texts) > 150
    pieces = pieces_of(texts)
    ids, offsets = SpanBertTokenizer(pieces, lowercase=lowercase).encode_with_offsets(texts)
    assert offsets_in_graph(pieces, lowercase, texts) == (ids, offsets)
    assert sum(end - start != 1 for row in offsets for start, end in row) > 50


def test_rows_of_parts_have_segments():
    graph = GraphTokenizer(PIECES)
    parts = [graph.tokenize(["a a", "ab"]), graph.tokenize(["a", "ab a a"])]
    rows = graph.rows(parts, num_segments=2)
    assert rows["token_ids"].numpy().tolist() == [[2, 5, 5, 3, 5, 3, 0, 0, 0], [2, 5, 6, 3, 5, 6, 5, 5, 3]]
    assert rows["segment_ids"].numpy().tolist() == [[0] * 4 + [1] * 2 + [0] * 3, [0] * 4 + [1] * 5]
    assert rows["padding_mask"].numpy().sum(1).tolist() == [6, 9]
    assert not graph.rows(parts, num_segments=1)["segment_ids"].numpy().any()
