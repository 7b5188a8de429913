"""Files of labelled examples: the scores of a model and of its export, and messages about bad files."""

import gzip
import json

import keras
import numpy as np
import pytest

from spanbert_keras import (
    SpanBertEncoder,
    SpanBertQuestionAnswerer,
    SpanBertRelationExtractor,
    SpanBertTextClassifier,
)
from spanbert_keras.errors import InputError
from spanbert_keras.labelled_file import LabelledFile, answer_scores
from tasks.question_answering.data import Example
from tasks.question_answering.metrics import squad2_scores, squad_scores

TEXTS = [f"w{i} w{2 * i}" for i in range(21)]


@pytest.fixture(scope="module")
def encoder(toy_tokenizer, randomize):
    keras.utils.set_random_seed(0)
    made = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
    randomize(made)
    return made


@pytest.fixture
def write(tmp_path):
    def write(records, name="dev.jsonl"):
        (tmp_path / name).write_text("\n".join(map(json.dumps, records)) + "\n\n", encoding="utf-8")
        return LabelledFile(str(tmp_path / name))

    return write


def zeros(model):
    """Returns a function like that of an export, whose outputs are 0 at each token, or for each class."""
    shape = {"logits": (len(getattr(model, "labels", ())) or 1,)}

    def run(batch):
        names = ("logits",) if hasattr(model, "labels") else ("start_logits", "end_logits")
        rows, length = batch["token_ids"].shape
        return {name: np.zeros((rows, *shape.get(name, (length,))), np.float32) for name in names}

    return run


def test_the_accuracy_of_a_classifier_and_of_its_export(encoder, randomize, write):
    model = SpanBertTextClassifier(encoder, labels=["a", "b"])
    randomize(model.head)
    named = [one.label for one in model.classify(TEXTS)]
    labels = [label if i % 3 else "a" for i, label in enumerate(named)]
    file = write([{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=True)])
    right = 100 * np.mean([a == b for a, b in zip(named, labels, strict=True)])
    of_a = 100 * labels.count("a") / len(labels)
    assert file.scorer(model)(model.compute_rows) == {"accuracy": pytest.approx(right)}
    assert file.scorer(model)(zeros(model)) == {"accuracy": pytest.approx(of_a)}
    (sentence,) = file.comparison(model)(zeros(model))
    expected = f"accuracy {right:.2f} in the model, {of_a:.2f} in int8 ({of_a - right:+.2f})."
    assert sentence.startswith("On the 21 examples of ") and sentence.endswith(expected)


def test_pairs_several_labels_and_numbers_are_scored(encoder, randomize, write):
    tagger = SpanBertTextClassifier(encoder, labels=["a", "b"], problem_type="multi_label", takes_pairs=True)
    randomize(tagger.head)
    pairs = list(zip(TEXTS, TEXTS[::-1], strict=True))
    found = [list(one.labels) for one in tagger.classify(pairs)]
    found[0] = ["a"] if found[0] != ["a"] else []
    file = write([{"text": pair, "label": labels} for pair, labels in zip(pairs, found, strict=True)])
    assert file.scorer(tagger)(tagger.compute_rows) == {"accuracy": pytest.approx(100 * 20 / 21)}
    numbers = SpanBertTextClassifier(encoder)
    scores = [one.score for one in numbers.classify(TEXTS)]
    file = write([{"text": text, "label": score + 0.5} for text, score in zip(TEXTS, scores, strict=True)])
    scored = file.scorer(numbers)(numbers.compute_rows)
    assert scored == {"root mean squared error": pytest.approx(0.5, abs=1e-5)}


def test_the_accuracy_of_an_extractor(encoder, randomize, write):
    model = SpanBertRelationExtractor(encoder, ["no", "yes"], markers={"SUBJ-PERSON": "w30", "OBJ-CITY": "w31"})
    randomize(model.head)
    names = {"subject": (0, 1), "object": (2, 3), "subject_type": "PERSON", "object_type": "CITY"}
    records = [{"tokens": [f"w{i}", "w1", f"w{i + 3}"], **names} for i in range(9)]
    labels = [model.extract(record["tokens"], **names).label for record in records]
    labels[4] = {"no": "yes", "yes": "no"}[labels[4]]
    file = write([record | {"label": label} for record, label in zip(records, labels, strict=True)])
    assert file.scorer(model)(model.compute_rows) == {"accuracy": pytest.approx(100 * 8 / 9)}


def test_exact_match_and_f1_of_a_reader(encoder, randomize, write):
    model = SpanBertQuestionAnswerer(encoder, max_question_pieces=4, stride=4)
    randomize(model)
    contexts = [f"w{i} w{i + 1} w{i + 2} w{i + 3} " * 8 for i in range(9)]
    found = model.answer("w1 w2", contexts)
    starts = [0 if i % 2 else answer.start for i, answer in enumerate(found)]
    texts = [context[start : start + 9].strip() for start, context in zip(starts, contexts, strict=True)]
    records = [
        {"question": "w1 w2", "context": context, "answers": {"text": [text], "answer_start": [start]}}
        for context, text, start in zip(contexts, texts, starts, strict=True)
    ]
    scores = write(records).scorer(model)(model.compute_rows)
    expected = official(squad_scores, [answer.text for answer in found], [[text] for text in texts])
    assert scores == pytest.approx(expected) and 0 < scores["F1"] < 100


def official(scores, found, gold):
    """Returns what a script of SQuAD says of answers; `gold` holds [""] for a question without an answer."""
    examples = [Example(str(i), "Q?", "A context.", tuple(filter(None, one)), (), "") for i, one in enumerate(gold)]
    scored = scores(examples, {str(i): text for i, text in enumerate(found)})
    return {"exact match": scored.get("exact_match", scored.get("exact")), "F1": scored["f1"]}


WITH_ANSWER = [
    ("The Cat's hat!", ["cats hat", "dog"]),
    ("the red hat", ["a hat"]),
    ("", ["hat"]),
    ("a the", ["the"]),
    ("The", ["a"]),
    ("hat hat red", ["hat red red", "hat hat"]),
]


def test_answers_are_scored_by_the_rules_of_squad():
    for found, gold in WITH_ANSWER:
        assert answer_scores([found], [gold]) == pytest.approx(official(squad_scores, [found], [gold])), found
    for found in ("", "the", "hat"):
        assert answer_scores([found], [[""]]) == official(squad2_scores, [found], [[""]]), found
    assert answer_scores(["The"], [["a"]]) == {"exact match": 100.0, "F1": 0.0}
    assert answer_scores(["The", ""], [["a"], [""]]) == {"exact match": 100.0, "F1": 50.0}


def test_gzipped_files_are_read(encoder, tmp_path):
    (tmp_path / "dev.jsonl.gz").write_bytes(gzip.compress(b'\xef\xbb\xbf{"text": "w1", "label": "a"}\r\n'))
    assert LabelledFile(str(tmp_path / "dev.jsonl.gz")).records == [{"text": "w1", "label": "a"}]


def test_files_that_cannot_be_used_are_rejected_in_one_sentence(encoder, write, tmp_path):
    model = SpanBertTextClassifier(encoder, labels=["a", "b"])
    with pytest.raises(InputError, match=r"--calibrate=.*nowhere.jsonl cannot be read"):
        LabelledFile(str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(InputError, match=r"--calibrate=.*dev.jsonl holds no example. Expected: JSON lines with labels"):
        write([])
    with pytest.raises(InputError, match=r"dev.jsonl, line 2 is not a JSON object.*Received: '\[1\]'"):
        write([{"text": "w1", "label": "a"}, [1]])
    with pytest.raises(
        InputError, match=r'dev.jsonl, line 2 has no "label". Expected: {"text": "...", "label": "..."}'
    ):
        write([{"text": "w1", "label": "a"}, {"text": "w2"}]).scorer(model)
    with pytest.raises(InputError, match=r"dev.jsonl cannot be used: The label of example 0 is unknown.*Received: 'c'"):
        write([{"text": "w1", "label": "c"}]).scorer(model)
    with pytest.raises(InputError, match=r"dev.jsonl cannot be used: Text 0 must be a str"):
        write([{"sentence": "w1", "label": "a"}]).scorer(model)
    with pytest.raises(InputError, match="Received: a SpanBertEncoder; leave out --calibrate"):
        write([{"text": "w1", "label": "a"}]).scorer(encoder)
    reader = SpanBertQuestionAnswerer(encoder, max_question_pieces=4, stride=4)
    with pytest.raises(InputError, match='line 1 has no "answers". Expected: {"question": "...", "context": "..."'):
        write([{"question": "w1", "context": "w2"}]).scorer(reader)
    with pytest.raises(InputError, match="cannot be used: .*does not stand in its context"):
        write([{"question": "w1", "context": "w2", "answers": {"text": ["w3"], "answer_start": [0]}}]).scorer(reader)
