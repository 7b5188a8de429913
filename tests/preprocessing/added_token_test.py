"""Tests of added tokens: what they are made of, and what a tokenizer with some does, saves and masks."""

import keras
import numpy as np
import pytest
import tokenizers

from spanbert_keras import SpanBertEncoder, SpanBertTokenizer, SpanMasker
from spanbert_keras.preprocessing.added_token import AddedToken

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "foo", "##d", "x", "covid", "-", "19", "cafe", "café"]
ADDED = ("[E1]", {"content": "covid-19", "special": False}, {"content": "##y", "single_word": True})


@pytest.fixture
def tokenizer():
    return SpanBertTokenizer(PIECES, added_tokens=[{"content": "[E1]", "special": True}, *ADDED[1:]])


def test_a_str_a_mapping_and_the_librarys_own_token_are_equivalent():
    library = tokenizers.AddedToken("[E1]", normalized=True)
    assert AddedToken.of("[E1]") == AddedToken.of({"content": "[E1]"}) == AddedToken.of(library)
    assert AddedToken.of("[E1]").normalized is True
    assert AddedToken("[E1]", special=True).normalized is False
    assert AddedToken.of(AddedToken.of("x").to_dict()) == AddedToken.of("x")


@pytest.mark.parametrize(
    "wrong", [3, {}, {"content": ""}, {"content": " "}, {"content": "a", "b": 1}, {"content": "a", "special": "yes"}]
)
def test_anything_else_is_one_sentence(wrong):
    with pytest.raises(ValueError, match="An added token .* Received: "):
        SpanBertTokenizer(PIECES, added_tokens=[wrong])


def test_tokens_that_the_vocabulary_lacks_are_appended(tokenizer):
    assert tokenizer.get_vocabulary() == [*PIECES, "[E1]", "covid-19", "##y"]
    assert tokenizer.token_to_id("[E1]") == 13 and tokenizer.vocabulary_size() == 16
    assert [token["word_piece"] for token in tokenizer.added_tokens] == [False, False, False]
    assert tokenizer("[E1]food covid-19[E1] ##y") == [13, 5, 6, 14, 13, 15]
    assert SpanBertTokenizer(PIECES, added_tokens=["foo"]).added_tokens[0]["word_piece"] is True


def test_offsets_of_an_added_token_are_those_of_the_text(tokenizer):
    text = "x[E1] covid-19"
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert ids == [7, 13, 14] and [text[s:e] for s, e in offsets] == ["x", "[E1]", "covid-19"]


def test_a_token_outside_the_base_vocabulary_is_not_a_word_piece():
    alone = {"content": "food", "single_word": True}
    assert SpanBertTokenizer(PIECES, added_tokens=[alone])("food foods") == [13, 1]
    assert SpanBertTokenizer([*PIECES, "food", "##s"], added_tokens=[alone])("food foods") == [13, 13, 14]


def test_a_literal_special_piece_stays_ordinary_text(tokenizer):
    assert tokenizer("[MASK] [E1]") == [1, 1, 1, 13]
    assert tokenizer("[MASK] [E1]", special_tokens_in_text=True) == [4, 13]


def test_special_ones_are_neither_masked_nor_drawn(tokenizer):
    assert tokenizer.special_tokens[5:] == ["[E1]"] and tokenizer.special_token_ids[5:] == [13]
    assert 13 not in tokenizer.ordinary_token_ids() and 14 in tokenizer.ordinary_token_ids()
    assert tokenizer.word_starts().tolist()[12:] == [True, True, True, True]
    rows = np.array([[2, *[13, 7] * 15, 3]] * 8)
    masked = SpanMasker(tokenizer=tokenizer)(
        {"token_ids": rows, "padding_mask": np.ones_like(rows)}, seed=np.array([1, 2])
    )
    weights = np.asarray(masked["mask_weights"]) > 0
    assert weights.sum() > 8 and set(np.asarray(masked["mask_ids"])[weights]) == {7}
    assert tokenizer.detokenize([13, 7, 14], skip_special_tokens=True) == "x covid-19"


@pytest.mark.parametrize("generations", [1, 2, 3])
def test_models_and_presets_keep_every_setting(tokenizer, tmp_path, generations):
    settings = {"strip_accents": True, "split_chinese_characters": False, "clean_text": False}
    tokenizer = SpanBertTokenizer(PIECES, added_tokens=tokenizer.added_tokens, **settings)
    model = SpanBertEncoder(16, 1, 2, 8, 8, tokenizer=tokenizer)
    text = "[E1]food covid-19 café 日本 \u200bx"
    for number in range(generations):
        model.save(tmp_path / f"{number}.keras")
        model = keras.saving.load_model(tmp_path / f"{number}.keras")
    model.save_to_preset(str(tmp_path / "preset"))
    preset = SpanBertEncoder.from_preset(str(tmp_path / "preset")).tokenizer
    alone = SpanBertTokenizer.from_preset(tmp_path / "preset")
    for loaded in (model.tokenizer, preset, alone):
        assert loaded(text) == tokenizer(text) == [13, 5, 6, 14, 11, 1, 1]
        assert loaded.fingerprint() == tokenizer.fingerprint() and loaded.added_tokens == tokenizer.added_tokens


def test_an_ordinary_tokenizers_configuration_is_that_of_earlier_versions():
    config = SpanBertTokenizer(PIECES).get_config()
    assert not {"strip_accents", "split_chinese_characters", "clean_text", "added_tokens"} & config.keys()
    # Recorded before there were further settings: shards name their tokenizer by it.
    assert (
        SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"])
        .fingerprint()
        .startswith("1399145beb14f8f4")
    )


@pytest.mark.parametrize(
    "change",
    [
        {"strip_accents": True},
        {"split_chinese_characters": False},
        {"clean_text": False},
        {"added_tokens": ["foo"]},
        {"added_tokens": [{"content": "foo", "lstrip": True}]},
    ],
)
def test_settings_make_another_fingerprint(change):
    prints = {SpanBertTokenizer(PIECES, **settings).fingerprint() for settings in ({}, change, {"lowercase": True})}
    assert len(prints) == 3


def test_ragged_batches_in_tf_data_have_the_same_ids(tokenizer):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    vocabulary = [*PIECES[:5], "[E1]", *PIECES[5:]]
    amid = SpanBertTokenizer(vocabulary, added_tokens=[{"content": "[E1]", "word_piece": False}])
    texts = ["[E1]foo", "", "x [E1]"]
    for one in (tokenizer, amid):
        batch = next(iter(tf.data.Dataset.from_tensor_slices(texts).batch(3).map(one)))
        assert batch.to_list() == one(texts) and one("[E1]") == [one.token_to_id("[E1]")]
