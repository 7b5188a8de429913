"""Tests of the question-answering benchmark, at a size that runs in seconds."""

import json

import pytest

from benchmarks import question_answering
from spanbert_keras.errors import InputError


@pytest.fixture
def config(tmp_path, bert_folder):
    """Twelve questions, and settings for a tiny BERT."""
    context = "The object is a string and the value of an attribute must be a list of names."
    qas = [
        {"id": str(i), "question": "What is it ?", "answers": [{"text": "string", "answer_start": 16}]}
        for i in range(12)
    ]
    path = tmp_path / "data.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}))
    return question_answering.Config(
        encoder=bert_folder,
        data=str(path),
        steps=4,
        batch_size=2,
        max_sequence_length=48,
        turns=2,
        questions=6,
        latency_questions=3,
    )


@pytest.mark.slow
def test_both_sides_are_timed_on_the_same_examples(config, capsys):
    question_answering.main(config)
    out = capsys.readouterr().out
    assert "8 windows, 2 rows per step, 4 different batches" in out
    assert out.count("ours is ") == 4 and out.count("p95") == 2
    assert out.count("steps/s") == 3 and out.count("contexts/s") == 3


@pytest.mark.slow
def test_their_side_answers_as_ours_does_with_equal_heads(config):
    examples = question_answering.examples_of(config)
    ours = question_answering._Ours(config, examples)
    theirs = question_answering._Transformers(config, ours.rows)
    weight, bias = (theirs.model.qa_outputs.weight.detach().numpy(), theirs.model.qa_outputs.bias.detach().numpy())
    ours.reader.answer_head.set_weights([weight.T, bias])
    assert ours.answer(examples[:6]) == theirs.answer(examples[:6]) == theirs.answer(examples[:6], padded=True)


def test_too_few_questions_are_rejected(config):
    import dataclasses

    with pytest.raises(InputError, match="has 12 answerable questions. Expected: 13"):
        question_answering.examples_of(dataclasses.replace(config, questions=13))
