"""Tests of tokenizers in files: transformers, the tokenizers library and this package read the same from them."""

import json

import pytest
import tokenizers

from spanbert_keras import load_pretrained
from spanbert_keras.conversion.formats.hugging_face import read_hugging_face, write_hugging_face
from spanbert_keras.conversion.formats.own_models import make_tokenizer
from spanbert_keras.conversion.formats.tokenizer_export import write_tokenizer_files
from spanbert_keras.conversion.formats.tokenizer_files import read_tokenizer_files
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from tests.conversion.conftest import ids, ours_of, put_beside, theirs_of
from tests.hard_strings import hard_texts, pieces_of


@pytest.fixture(scope="module")
def texts():
    """300 hard strings."""
    return hard_texts()


@pytest.fixture(scope="module")
def pieces(texts):
    """A vocabulary for them."""
    return pieces_of(texts)


@pytest.mark.parametrize(
    "keeps", [{}, {"lowercase": True}, {"strip_accents": True}, {"split_chinese_characters": False}]
)
@pytest.mark.parametrize("added", [(), ("[E1]", {"content": "Covid-19", "single_word": True, "special": False})])
def test_an_exported_tokenizer_gives_the_same_ids_in_transformers(tmp_path, transformers, texts, pieces, keeps, added):
    ours = SpanBertTokenizer(pieces, **keeps, added_tokens=added)
    write_tokenizer_files(ours, tmp_path, 512)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    theirs, library = (
        theirs_of(transformers, tmp_path),
        tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")),
    )
    assert ids(theirs, texts) == ours(texts)
    assert [found.ids for found in library.encode_batch(texts, add_special_tokens=False)] == ours(texts)
    again = ours_of(tmp_path)
    assert again(texts) == ours(texts) and again.fingerprint() == ours.fingerprint()
    assert read_tokenizer_files(tmp_path).notes == []
    pair = theirs("x", "foo")
    assert pair["input_ids"] == [2, ours.token_to_id("x"), 3, ours.token_to_id("foo"), 3]
    assert pair["token_type_ids"] == [0, 0, 0, 1, 1]


def test_text_that_is_not_cleaned_is_exported_too(tmp_path, transformers, texts, pieces):
    ours = SpanBertTokenizer(pieces, clean_text=False, strip_accents=True)
    write_tokenizer_files(ours, tmp_path, 512)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert ids(theirs_of(transformers, tmp_path), texts) == ours(texts) == ours_of(tmp_path)(texts)
    assert ours(texts) != SpanBertTokenizer(pieces, strip_accents=True)(texts)


def test_added_tokens_among_the_pieces_are_read_but_not_exported(tmp_path, pieces):
    vocabulary = [*pieces[:7], "[E1]", *pieces[7:]]
    whole = {"model": {"type": "WordPiece", "vocab": {p: i for i, p in enumerate(vocabulary) if p != "[E1]"}}}
    whole["added_tokens"] = [{"id": 7, "content": "[E1]", "special": True}]
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole | {"normalizer": {"lowercase": False}}))
    ours = ours_of(tmp_path)
    assert ours("foo[E1] x") == [vocabulary.index("foo"), 7, vocabulary.index("x")]
    assert ours.encode_with_offsets("foo[E1] x") == (ours("foo[E1] x"), [(0, 3), (3, 7), (8, 9)])
    with pytest.raises(InputError, match=r"cannot represent this tokenizer: '\[E1\]' has the id 7"):
        write_tokenizer_files(ours, tmp_path, 512)


def test_rows_of_the_embeddings_beyond_the_added_tokens_are_kept(tmp_path, make_bert, pieces):
    folder, _ = make_bert(kind="BertModel", vocab_size=len(pieces) + 8)
    put_beside(folder, pieces)
    (folder / "added_tokens.json").write_text(json.dumps({"[E1]": len(pieces)}))
    checkpoint = open_source(folder)
    assert checkpoint.vocabulary[len(pieces) :] == ["[E1]", *(f"[unused{i}]" for i in range(7))]
    (tmp_path / "again").mkdir()
    write_hugging_face(checkpoint, tmp_path / "again")
    again = open_source(tmp_path / "again")
    assert again.vocabulary == checkpoint.vocabulary and again.tokenizer_settings == checkpoint.tokenizer_settings


def test_a_vocabulary_file_without_the_added_tokens_gives_the_same_tokenizer(tmp_path, make_bert, pieces):
    folder, _ = make_bert(kind="BertModel", vocab_size=len(pieces) + 1)
    put_beside(folder, pieces)
    (folder / "added_tokens.json").write_text(json.dumps({"[E1]": len(pieces)}))
    checkpoint = open_source(folder, folder / "vocab.txt")
    assert checkpoint.vocabulary[-1] == "[E1]" and make_tokenizer(checkpoint)("[E1]") == [len(pieces)]


def test_a_fine_tuned_classifier_with_added_tokens_gives_the_probabilities_of_transformers(
    tmp_path, transformers, make_bert, pieces
):
    import torch

    folder, model = make_bert(kind="BertForSequenceClassification", vocab_size=len(pieces), max_position_embeddings=32)
    put_beside(folder, pieces)
    theirs = theirs_of(transformers, folder)
    theirs.add_tokens(["covid-19"])
    theirs.add_special_tokens({"additional_special_tokens": ["[E1]", "[/E1]"]})
    model.resize_token_embeddings(len(theirs), mean_resizing=False)
    model.save_pretrained(folder)
    theirs.save_pretrained(folder)
    texts = ["[E1] foo [/E1] co covid-19", "bar", "[E1]x[/E1]"]
    with torch.no_grad():
        expected = model(**theirs(texts, padding=True, return_tensors="pt")).logits.softmax(-1).numpy()
    classifier = load_pretrained(folder)
    found = classifier.classify(texts)
    assert [list(one.scores.values()) for one in found] == [pytest.approx(row, abs=1e-5) for row in expected.tolist()]
    classifier.save(tmp_path / "own.keras")
    checkpoint = open_source(tmp_path / "own.keras")
    assert make_tokenizer(checkpoint)(texts) == ids(theirs, texts)
    assert read_hugging_face(folder).tokenizer_settings == checkpoint.tokenizer_settings
