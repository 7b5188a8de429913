"""Tests of the program that asks a saved model."""

import io
import json
import sys

import keras
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer, answer, program
from spanbert_keras.program import InputError

CONTEXT = "w3 w4\n w5 w6 w7 \u00e9 w8"


@pytest.fixture(scope="module")
def model_path(toy_tokenizer, tmp_path_factory):
    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    path = tmp_path_factory.mktemp("answer") / "reader.keras"
    SpanBertQuestionAnswerer(encoder, max_question_pieces=6, no_answer_threshold=1e9).save(path)
    return path


@pytest.fixture
def ask(model_path, tmp_path):
    def run(*flags, context=CONTEXT):
        (tmp_path / "text.txt").write_bytes(context.encode() if isinstance(context, str) else context)
        always = [f"--model={model_path}", "--question=w1 w2", f"--context_file={tmp_path / 'text.txt'}"]
        answer.main(program.parse(answer.Config, [*always, *flags]))

    return run


def test_json_lines_hold_answers_with_their_places(ask, capsys):
    ask("--n_best=3", "--json")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(found) == 3 and found[0]["score"] >= found[1]["score"] >= found[2]["score"]
    for one in found:  # "no answer" may be among them
        assert one["text"] == ("" if one["start"] is None else CONTEXT[one["start"] : one["end"]])


def test_the_text_may_be_given_itself(ask, model_path, capsys):
    ask("--json")
    answer.main(
        program.parse(answer.Config, [f"--model={model_path}", "--question=w1 w2", f"--context={CONTEXT}", "--json"])
    )
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    with pytest.raises(InputError, match="has no words"):
        answer.main(program.parse(answer.Config, [f"--model={model_path}", "--question=w1", "--context="]))


def test_unlikely_answers_are_not_shown(ask, capsys):
    ask("--json", "--n_best=3")
    best, second, _ = map(json.loads, capsys.readouterr().out.splitlines())
    ask("--json", "--n_best=3", f"--min_score={second['score']}")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [best, second]
    ask("--min_score=1")
    assert "(no answer)" in capsys.readouterr().out


def test_a_line_shows_an_answer_in_its_context(ask, capsys):
    ask()
    [line] = capsys.readouterr().out.splitlines()
    assert "(characters " in line and "[w" in line


def test_a_missing_answer_is_shown():
    assert answer._formatted(program_answer(None), CONTEXT) == "0.250  (no answer)"


def program_answer(start):
    from spanbert_keras import Answer

    return Answer("", start, None, 0.25, 3.0)


def test_the_text_may_come_from_standard_input(ask, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"w9 w10")))
    ask("--context_file=-", "--json")
    assert json.loads(capsys.readouterr().out)["text"] in ("w9", "w10", "w9 w10")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_decides_the_encoding_and_is_not_part_of_the_text(ask, capsys, encoding):
    ask("--json")
    expected = capsys.readouterr().out
    ask("--json", context=CONTEXT.encode(encoding))
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    "flags, context, sentence",
    [
        (["--model=no.keras"], CONTEXT, "--model=no.keras is not there"),
        (["--context_file=none.txt"], CONTEXT, "--context_file=none.txt cannot be read: No such file"),
        ([], b"PK\x03\x04\x14\x00", r"text.txt is an archive \(zip[^)]*\)\. Expected: UTF-8, or UTF-16 with a"),
        ([], b"\x1f\x8b\x08", "is compressed with gzip. Expected: UTF-8, or UTF-16"),
        ([], b"caf\xe9", "is not UTF-8 text. Received: byte 0xe9 at byte 3"),
        ([], "\x00\x01", "has no words"),
        (["--question=  "], CONTEXT, "Question 0 has no words"),
        (["--n_best=0"], CONTEXT, "--n_best must be positive"),
    ],
)
def test_bad_input_is_one_sentence(ask, flags, context, sentence):
    with pytest.raises(InputError, match=sentence):
        ask(*flags, context=context)


def test_another_kind_of_file_is_rejected(ask, tmp_path, toy_tokenizer):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(InputError, match="is not a complete .keras file"):
        ask(f"--model={tmp_path / 'text.keras'}")
    SpanBertEncoder(64, 1, 2, 8, 12, tokenizer=toy_tokenizer).save(tmp_path / "encoder.keras")
    with pytest.raises(InputError, match="holds a SpanBertEncoder. Expected: a SpanBertQuestionAnswerer"):
        ask(f"--model={tmp_path / 'encoder.keras'}")
