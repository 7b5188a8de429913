"""The data sets of Python's documentation: true answers, no shared documents, files that the programs read."""

import json
import random

import pytest

from spanbert_keras import program
from spanbert_keras.data.documents.read_documents import read_documents
from tasks.ablation import embedded_tasks
from tasks.ablation.column import embedded_columns
from tasks.glue import finetune as classification
from tasks.question_answering import data as question_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks")
    config = embedded_tasks.Config(output_dir=str(path), train_examples=40, dev_examples=10, documents=10)
    embedded_tasks.main(config)
    return path


def test_answers_are_what_the_question_lacks(folder):
    examples = question_data.read(str(folder / "train_questions.json"), False).examples
    assert len(examples) == 40
    for example in examples:
        ((begin, end),) = example.spans
        answer = example.context[begin:end]
        assert example.question.replace("what", answer, 1)[:-1] in example.context or "what" in answer


def test_no_paragraph_is_in_both_splits(folder):
    train, dev = embedded_tasks.split_documents()
    assert len(train) > 3 * len(dev) > 0
    contexts = [
        {one.context for one in question_data.read(str(folder / f"{split}_questions.json"), False).examples}
        for split in ("train", "dev")
    ]
    assert not contexts[0] & contexts[1]


def test_half_of_the_pairs_follow_each_other(folder):
    rows = [line.split("\t") for line in (folder / "dev_pairs.tsv").read_text().splitlines()]
    assert rows[0] == ["sentence1", "sentence2", "label"] and len(rows) == 11
    assert [row[2] for row in rows[1:]] == ["other", "next"] * 5


def test_mentions_are_repeated_words(folder):
    documents = read_documents(folder / "train_mentions.jsonl").documents
    assert len(documents) == 10 and sum(len(document.clusters) for document in documents) > 10
    for line in (folder / "train_mentions.jsonl").read_text().splitlines():
        record = json.loads(line)
        for cluster in record["clusters"]:
            words = {record["tokens"][begin].lower() for begin, _ in cluster}
            assert len(words) == 1 and len(cluster) > 1


def test_the_same_files_are_made_again(folder, tmp_path):
    embedded_tasks.main(
        embedded_tasks.Config(output_dir=str(tmp_path), train_examples=40, dev_examples=10, documents=10)
    )
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_columns_have_flags_that_the_programs_take(folder):
    (column,) = (one for one in embedded_columns(folder) if one.program == "classification")
    program.parse(classification.Config, [*column.arguments, "--encoder=x", "--output_dir=y"])
    assert len(list(embedded_tasks.pairs([["A b c. D e f."]], 2, random.Random(1)))) == 3
