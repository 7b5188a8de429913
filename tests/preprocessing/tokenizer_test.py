"""Tests of the tokenizer: its contract, saving, tf.data, and equality with BERT's on real text."""

import gzip
import json

import keras
import numpy as np
import pytest
from tokenizers import BertWordPieceTokenizer

from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer

VOCABULARY = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b", "[", "]", "MASK", "é", "e"]


@pytest.fixture
def tokenizer():
    return SpanBertTokenizer(VOCABULARY)


def test_a_str_gives_a_list_and_a_list_gives_lists(tokenizer):
    assert tokenizer("ab a") == [6, 7, 6]
    assert tokenizer.tokenize(["ab", "", "a a a"]) == [[6, 7], [], [6, 6, 6]]
    assert tokenizer(np.array(["ab", "x"])) == [[6, 7], [2]]
    assert tokenizer([]) == []
    assert tokenizer(b"ab") == [6, 7]


def test_anything_but_text_is_rejected(tokenizer):
    with pytest.raises(ValueError, match="Received: int"):
        tokenizer.tokenize([1])


def test_a_call_overrides_the_setting_of_special_tokens(tokenizer):
    marked = SpanBertTokenizer(VOCABULARY, special_tokens_in_text=True)
    assert tokenizer("[MASK]") == marked("[MASK]", special_tokens_in_text=False) == [8, 10, 9]
    assert marked("[MASK]") == tokenizer("[MASK]", special_tokens_in_text=True) == [5]
    assert tokenizer.encode_with_offsets("a [MASK]", special_tokens_in_text=True) == ([6, 5], [(0, 1), (2, 8)])


def test_offsets_slice_the_text_as_given(tokenizer):
    uncased = SpanBertTokenizer(VOCABULARY, lowercase=True)
    text = "  AB\u200b É \U0001d504"
    ids, offsets = uncased.encode_with_offsets(text)
    assert ids == [6, 7, 12, 2]
    assert [text[s:e] for s, e in offsets] == ["A", "B", "É", "\U0001d504"]
    assert tokenizer.encode_with_offsets(["ab", ""]) == ([[6, 7], []], [[(0, 1), (1, 2)], []])


def test_detokenize_gives_the_normalized_text(tokenizer):
    assert tokenizer.detokenize([3, 6, 7, 6, 4]) == "[CLS] ab a [SEP]"
    assert tokenizer.detokenize([3, 6, 7, 4], skip_special_tokens=True) == "ab"
    assert tokenizer.detokenize(np.array([[6, 7], [6, 6]])) == ["ab", "a a"]
    assert tokenizer.detokenize([[6], [], [7]]) == ["a", "", "##b"]
    assert tokenizer.detokenize([]) == ""
    assert tokenizer.detokenize(keras.ops.convert_to_tensor([6, 7])) == "ab"


@pytest.mark.parametrize("wrong", [-1, 13])
def test_an_id_outside_of_the_vocabulary_is_an_error(tokenizer, wrong):
    with pytest.raises(ValueError, match=rf"\[0, 13\).*{wrong}"):
        tokenizer.detokenize([6, wrong])
    with pytest.raises(ValueError, match=rf"\[0, 13\).*{wrong}"):
        tokenizer.id_to_token(wrong)


def test_words_are_not_accepted_as_ids(tokenizer):
    with pytest.raises(ValueError, match="Ids must be a list of int or a batch of lists. Received: 'a'"):
        tokenizer.detokenize(("a", "b"))


def test_the_vocabulary_can_be_asked(tokenizer):
    assert tokenizer.get_vocabulary() == VOCABULARY and tokenizer.vocabulary_size() == 13
    assert tokenizer.token_to_id("##b") == 7 and tokenizer.id_to_token(7) == "##b"
    with pytest.raises(ValueError, match="'zebra'"):
        tokenizer.token_to_id("zebra")
    assert tokenizer.special_token_ids == [0, 2, 3, 4, 5]
    named = [getattr(tokenizer, f"{name}_token_id") for name in ("pad", "unk", "cls", "sep", "mask")]
    assert named == tokenizer.special_token_ids
    assert np.flatnonzero(~tokenizer.word_starts()).tolist() == [7] and tokenizer.word_starts().dtype == bool
    ordinary = tokenizer.ordinary_token_ids()
    assert ordinary.dtype == np.int32 and ordinary.tolist() == [6, 7, 8, 9, 10, 11, 12]


def test_fingerprints_distinguish_tokenizers(tokenizer):
    assert tokenizer.fingerprint() == SpanBertTokenizer(list(VOCABULARY)).fingerprint()
    assert tokenizer.fingerprint() != SpanBertTokenizer(VOCABULARY, lowercase=True).fingerprint()


def test_a_vocabulary_file_is_as_good_as_a_list(tokenizer, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    for path in (tmp_path / "vocab.txt", str(tmp_path / "vocab.txt")):
        assert SpanBertTokenizer(path).fingerprint() == tokenizer.fingerprint()


def test_an_unusable_vocabulary_file_is_named_with_what_it_lacks(tmp_path):
    (tmp_path / "words.txt").write_text("\n".join(p for p in VOCABULARY if p != "[MASK]"), encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.txt lacks \[MASK\]"):
        SpanBertTokenizer(tmp_path / "words.txt")


USES = {
    "tokenize": lambda t: t("a"),
    "encode_with_offsets": lambda t: t.encode_with_offsets("a"),
    "detokenize": lambda t: t.detokenize([1]),
    "vocabulary_size": lambda t: t.vocabulary_size(),
    "get_vocabulary": lambda t: t.get_vocabulary(),
    "token_to_id": lambda t: t.token_to_id("a"),
    "id_to_token": lambda t: t.id_to_token(1),
    "mask_token_id": lambda t: t.mask_token_id,
    "special_token_ids": lambda t: t.special_token_ids,
    "word_starts": lambda t: t.word_starts(),
    "fingerprint": lambda t: t.fingerprint(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_every_use_without_a_vocabulary_raises(use):
    tokenizer = SpanBertTokenizer()
    assert not tokenizer.has_vocabulary
    with pytest.raises(ValueError, match="has no vocabulary"):
        use(tokenizer)


@keras.saving.register_keras_serializable(package="spanbert_keras_tests")
class Holder(keras.Model):
    """A model with a tokenizer as attribute."""

    def __init__(self, tokenizer, **kwargs):
        super().__init__(**kwargs)
        self.tokenizer = tokenizer
        self.dense = keras.layers.Dense(3)

    def build(self, shape):
        self.dense.build(shape)
        self.built = True

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return {**super().get_config(), "tokenizer": keras.saving.serialize_keras_object(self.tokenizer)}

    @classmethod
    def from_config(cls, config):
        config["tokenizer"] = keras.saving.deserialize_keras_object(config["tokenizer"])
        return cls(**config)


def saved_and_loaded(tokenizer, folder):
    model = Holder(tokenizer)
    model(np.zeros((2, 5), "float32"))
    model.save(folder / "holder.keras")
    return keras.saving.load_model(folder / "holder.keras").tokenizer


def test_the_vocabulary_is_an_asset_of_a_saved_model(tmp_path):
    tokenizer = SpanBertTokenizer(VOCABULARY, lowercase=True, special_tokens_in_text=True)
    assert "##b" not in json.dumps(tokenizer.get_config()) and "vocabulary" not in tokenizer.get_config()
    loaded = saved_and_loaded(tokenizer, tmp_path)
    assert loaded.get_vocabulary() == VOCABULARY and loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded("É [MASK]") == [12, 5]


def test_a_model_saved_without_vocabulary_loads_and_raises_when_used(tmp_path):
    loaded = saved_and_loaded(SpanBertTokenizer(), tmp_path)
    with pytest.raises(ValueError, match="has no vocabulary"):
        loaded("a")


def test_a_preset_directory_contains_the_tokenizer(tmp_path):
    SpanBertTokenizer(VOCABULARY, lowercase=True).save_to_preset(str(tmp_path))
    assert (tmp_path / "assets" / "tokenizer" / "vocab.txt").read_text(encoding="utf-8").split("\n")[5] == "[MASK]"
    loaded = SpanBertTokenizer.from_preset(str(tmp_path), special_tokens_in_text=True)
    assert loaded.lowercase and loaded("É [MASK]") == [12, 5]


def test_a_directory_without_tokenizer_is_not_a_preset(tmp_path):
    with pytest.raises(InputError, match=r"holds no tokenizer.*tokenizer\.json"):
        SpanBertTokenizer.from_preset(tmp_path)


def test_strings_in_tf_data_give_int32_tensors(tokenizer):
    tf = pytest.importorskip("tensorflow")
    texts = tf.data.Dataset.from_tensor_slices(["ab a", "é", ""])
    assert [row.numpy().tolist() for row in texts.map(tokenizer)] == [[6, 7, 6], [11], []]
    (batch,) = texts.batch(3).map(tokenizer.tokenize)
    assert batch.dtype == tf.int32 and batch.to_list() == [[6, 7, 6], [11], []]
    assert tokenizer.detokenize(batch) == ["ab a", "é", ""]
    assert tokenizer(tf.constant(["ab"])) == [[6, 7]]


def test_a_matrix_of_strings_is_rejected_in_tf_data(tokenizer):
    tf = pytest.importorskip("tensorflow")
    with pytest.raises(ValueError, match=r"shape \(\) or \(B,\)"):
        tf.data.Dataset.from_tensors([["a", "b"]]).map(tokenizer)


def test_all_300_hard_strings_equal_berts_pieces(data_folder):
    cases = [json.loads(line) for line in (data_folder / "vocab/wordpiece_fixture.jsonl").open(encoding="utf-8")]
    assert len(cases) == 300
    texts = [case["text"] for case in cases]
    for kind in ("cased", "uncased"):
        tokenizer = SpanBertTokenizer(data_folder / f"vocab/bert-base-{kind}-vocab.txt", lowercase=kind == "uncased")
        ids = tokenizer.tokenize(texts, special_tokens_in_text=True)
        assert [[tokenizer.id_to_token(i) for i in row] for row in ids] == [case[kind] for case in cases]
        offsets_ids, offsets = tokenizer.encode_with_offsets(texts, special_tokens_in_text=True)
        assert offsets_ids == ids
        for text, spans in zip(texts, offsets, strict=True):
            assert all(0 <= start < end <= len(text) for start, end in spans)
        if kind == "cased":
            assert ids == [case["cased_ids"] for case in cases]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cased", "uncased"])
def test_every_line_of_the_books_equals_the_librarys_tokenizer(data_folder, kind):
    path = str(data_folder / f"vocab/bert-base-{kind}-vocab.txt")
    lowercase = kind == "uncased"
    tokenizer = SpanBertTokenizer(path, lowercase=lowercase)
    library = BertWordPieceTokenizer.from_file(path, lowercase=lowercase)
    lines = 0
    with gzip.open(data_folder / "text/books.jsonl.gz", "rt", encoding="utf-8") as file:
        for row in file:
            texts = json.loads(row)["text"].split("\n")
            expected = [encoding.ids for encoding in library.encode_batch(texts, add_special_tokens=False)]
            assert tokenizer.tokenize(texts) == expected
            lines += len(texts)
    assert lines > 100_000


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"config": 3}', '{"config": {"lowercase_": true}}', "[" * 99_999, '{"config": {"name": 3}}']
    + [f'{{"config": {{"added_tokens": {tokens}}}}}' for tokens in ("3", "[3]", '[""]', '[{"content": 1}]')],
)
def test_a_damaged_file_of_a_preset_gives_one_sentence(tmp_path, content):
    SpanBertTokenizer(VOCABULARY).save_to_preset(str(tmp_path))
    (tmp_path / "checksums.json").unlink()
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"tokenizer\.json (cannot be used|holds no settings of a tokenizer)"):
        SpanBertTokenizer.from_preset(tmp_path)


def test_a_flag_of_an_added_token_may_be_null(tmp_path):
    tokens = [{"content": "[E]", "special": None, "normalized": None, "lstrip": None}]
    assert SpanBertTokenizer(VOCABULARY, added_tokens=tokens).tokenize("[E]") == [len(VOCABULARY)]
