"""What is reported about an export: size, outputs, times of the same row."""

import re
import time

import numpy as np
import pytest

from spanbert_keras import SpanBertQuestionAnswerer, SpanBertTextClassifier
from spanbert_keras.conversion.exports.export_report import export_report

FORM = re.compile(
    r"Its outputs are (.+); its size is ([\d.,]+) MB\. One row of (\d+) tokens takes ([\d.]+) ms; in the Keras model "
    r"([\d.]+) ms\."
)


@pytest.fixture
def given():
    """A list of what the export was given."""
    return []


@pytest.fixture
def run(given):
    def run(inputs):
        given.append(inputs)
        time.sleep(0.02)
        return {"b": None, "a": None}

    return run


def test_size_outputs_and_times(make_pretrainer, tmp_path, run, given):
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "a").write_bytes(b"a" * 1_200_000)
    (tmp_path / "x" / "y" / "b").write_bytes(b"b" * 300_000)
    model = make_pretrainer()
    length = model.encoder.max_sequence_length
    outputs, size, tokens, theirs, ours = FORM.fullmatch(export_report(model, run, tmp_path / "x")).groups()
    assert (outputs, size, tokens) == ("a, b", "1.5", str(length))
    assert 20 <= float(theirs) < 2000 and float(ours) >= 0.0
    assert set(model.input_keys) <= given[0].keys()
    assert given[0]["token_ids"].shape == (1, length) and given[0]["padding_mask"].all()
    assert FORM.fullmatch(export_report(model, run, tmp_path / "x" / "a"))[2] == "1.2"


def test_a_text_is_a_row_of_whole_words(make_encoder, tmp_path, run, given, monkeypatch):
    from spanbert_keras import SpanBertTokenizer

    tokenizer = SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "two", "##s"])
    (tmp_path / "x").write_bytes(b"")
    encoder = make_encoder(vocabulary_size=8, tokenizer=tokenizer)
    tokenized = []
    tokenize = SpanBertTokenizer.tokenize
    monkeypatch.setattr(
        SpanBertTokenizer, "tokenize", lambda self, texts, *rest: tokenized.append(texts) or tokenize(self, texts)
    )
    export_report(encoder, run, tmp_path / "x", strings=True)
    (text,) = given[0]["text"]
    assert len(text.split()) == encoder.max_sequence_length - 2 and set(text.split()) == {"one", "two"}
    assert tokenized and tokenized[0] == [text]
    before = len(tokenized)
    export_report(encoder, run, tmp_path / "x")
    assert len(tokenized) == before


@pytest.mark.parametrize("takes_pairs", [None, True])
def test_models_of_texts_are_timed_with_their_own_texts(make_encoder, tmp_path, run, given, takes_pairs):
    (tmp_path / "x").write_bytes(b"")
    model = SpanBertTextClassifier(make_encoder(), labels=["a", "b"], takes_pairs=takes_pairs)
    export_report(model, run, tmp_path / "x", strings=True)
    texts = [given[0][name][0] for name in ("text", "second_text")]
    assert [len(text.split()) for text in texts] == ([3, 18] if takes_pairs else [22, 18])  # of 24 pieces
    reader = SpanBertQuestionAnswerer(make_encoder())
    asked = []
    reader.read = lambda *texts: asked.append(texts) or []
    export_report(reader, run, tmp_path / "x", strings=True)
    assert [len(column[0].split()) for column in asked[0]] == [3, 18]


def test_an_encoder_without_tokenizer_has_no_text(make_encoder, tmp_path, run, given):
    (tmp_path / "x").write_bytes(b"")
    assert FORM.fullmatch(export_report(make_encoder(tokenizer=None), run, tmp_path / "x"))
    assert "text" not in given[0] and given[0]["token_ids"].dtype == np.int32
