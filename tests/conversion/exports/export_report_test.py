"""What is reported about an export: size, outputs, times of the same row."""

import re

import numpy as np
import pytest

from spanbert_keras import SpanBertQuestionAnswerer, SpanBertTextClassifier
from spanbert_keras.conversion.exports import export_report as report
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
def clock(monkeypatch):
    """A clock that only moves when a test moves it: `clock.seconds`."""

    class Clock:
        seconds = 0.0

    monkeypatch.setattr(report.time, "perf_counter", lambda: Clock.seconds)
    return Clock


@pytest.fixture
def run(given, clock):
    """An export whose first two runs take a minute, and the next ones 12, 22, ... ms."""

    def run(inputs):
        clock.seconds += 0.002 + 0.01 * (len(given) - 1) if len(given) > 1 else 60.0
        given.append(inputs)
        return {"b": None, "a": None}

    return run


def test_size_outputs_and_times(make_pretrainer, tmp_path, run, given, clock, monkeypatch):
    (tmp_path / "x" / "y").mkdir(parents=True)
    (tmp_path / "x" / "a").write_bytes(b"a" * 1_200_000)
    (tmp_path / "x" / "y" / "b").write_bytes(b"b" * 300_000)
    model = make_pretrainer()
    computed = []

    def compute_rows(inputs):
        computed.append(inputs)
        clock.seconds += 0.001 * 4 ** len(computed)

    monkeypatch.setattr(model, "compute_rows", compute_rows)
    length = model.encoder.max_sequence_length
    outputs, size, tokens, theirs, ours = FORM.fullmatch(export_report(model, run, tmp_path / "x")).groups()
    assert (outputs, size, tokens) == ("a, b", "1.5", str(length))
    # The medians of five after the first, which may compile.
    assert (theirs, ours) == ("32.0", "256.0")
    assert computed == [given[0]] * 6
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
def test_models_of_texts_are_timed_with_their_own_texts(make_encoder, tmp_path, run, given, monkeypatch, takes_pairs):
    (tmp_path / "x").write_bytes(b"")
    model = SpanBertTextClassifier(make_encoder(), labels=["a", "b"], takes_pairs=takes_pairs)
    export_report(model, run, tmp_path / "x", strings=True)
    texts = [given[0][name][0] for name in ("text", "second_text")]
    assert [len(text.split()) for text in texts] == ([3, 18] if takes_pairs else [22, 18])  # of 24 pieces
    reader = SpanBertQuestionAnswerer(make_encoder())
    asked = []
    answer = reader.answer
    monkeypatch.setattr(reader, "answer", lambda *texts: asked.append((texts, answer(*texts))))
    export_report(reader, run, tmp_path / "x", strings=True)
    assert [len(column[0].split()) for column in asked[0][0]] == [3, 18] and len(asked[0][1]) == 1


def test_an_encoder_without_tokenizer_has_no_text(make_encoder, tmp_path, run, given):
    (tmp_path / "x").write_bytes(b"")
    assert FORM.fullmatch(export_report(make_encoder(tokenizer=None), run, tmp_path / "x"))
    assert "text" not in given[0] and given[0]["token_ids"].dtype == np.int32
