"""A tiny encoder and small files of questions about words w0 to w44."""

import gzip
import json

import numpy as np
import pytest

CONTEXT = "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10"


@pytest.fixture(scope="session")
def encoder_path(toy_tokenizer, tmp_path_factory):
    """Path of a saved encoder of 64 pieces, width 12, at most 24 tokens per row."""
    import keras

    from spanbert_keras import SpanBertEncoder

    keras.utils.set_random_seed(1)
    encoder = SpanBertEncoder(
        vocabulary_size=64,
        num_layers=1,
        num_heads=2,
        hidden_dim=12,
        intermediate_dim=20,
        max_sequence_length=24,
        dropout=0.1,
        tokenizer=toy_tokenizer,
    )
    path = tmp_path_factory.mktemp("encoder") / "encoder.keras"
    encoder.save(path)
    return path


@pytest.fixture
def reader(encoder_path, randomize):
    """A reader with random weights that may give no answer."""
    import keras

    from spanbert_keras import SpanBertQuestionAnswerer

    model = SpanBertQuestionAnswerer(
        keras.saving.load_model(encoder_path),
        stride=5,
        max_question_pieces=8,
        max_answer_pieces=4,
        no_answer_threshold=0.0,
    )
    randomize(model)
    return model


def question(number, answer, impossible=False, start=None, context=CONTEXT):
    """Returns one question of SQuAD's form about a context."""
    answers = (
        [] if impossible else [{"text": answer, "answer_start": context.index(answer) if start is None else start}]
    )
    return {"id": f"q{number}", "question": f"w{number} w0", "answers": answers, "is_impossible": impossible}


@pytest.fixture
def squad_file(tmp_path):
    """Function that writes a file of SQuAD's form: articles with questions, a third of them unanswerable if wanted."""

    def write(name="train.json", articles=3, questions=6, unanswerable=False, first=0):
        found = []
        for article in range(articles):
            words = np.random.default_rng(article + first).permutation(40)[:10]
            context = " ".join(f"w{word}" for word in words)
            qas = [
                question(1000 * (first + article) + i, f"w{words[i % 10]}", unanswerable and i % 3 == 2, None, context)
                for i in range(questions)
            ]
            for one in qas:  # words of the vocabulary
                one["question"] = f"w{int(one['id'][1:]) % 40} w0"
            found.append({"title": f"article {first + article}", "paragraphs": [{"context": context, "qas": qas}]})
        path = tmp_path / name
        path.write_text(json.dumps({"version": "x", "data": found}), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def mrqa_file(tmp_path):
    """Function that writes a file of MRQA's form, one question per context, each answer found twice, unsorted."""

    def write(name="mrqa.jsonl.gz", contexts=8, first=0):
        lines = [{"header": {"dataset": "x", "split": "dev"}}]
        for i in range(first, first + contexts):
            context = f"w{i} w2 w3 [SEP] w{i} w5 w6 w7 w8 w9"
            spans = [[context.rindex(f"w{i} "), context.rindex(f"w{i} ") + len(f"w{i}") - 1], [0, len(f"w{i}") - 1]]
            answers = [{"text": f"w{i}", "char_spans": spans, "token_spans": [[0, 0], [4, 4]]}]
            qas = [{"qid": f"m{i}", "question": f"w{i} w0", "answers": [f"w{i}"], "detected_answers": answers}]
            lines.append({"context": context, "qas": qas})
        path = tmp_path / name
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
        return str(path)

    return write
