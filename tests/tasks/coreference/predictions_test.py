"""Tests of predictions: tables by genre and length, and the file for the official scorer."""

import pytest

import spanbert_keras
from spanbert_keras.program import InputError
from tasks.coreference import predictions
from tests.tasks.coreference.conftest import record


def document(number, **settings):
    one = record(number, **settings)
    return spanbert_keras.Document(
        one["tokens"], one["sentences"], one["speakers"], one["genre"], one["clusters"], one["name"]
    )


class Resolver:
    """Finds every chain of the documents whose number is even, and nothing else."""

    def resolve(self, documents, mentions, batch_size, singletons):
        found = [d.clusters if d.name.endswith(("0", "2")) else () for d in documents]
        return [spanbert_keras.ResolvedDocument(None, d.tokens, (), c) for d, c in zip(documents, found, strict=True)]


def test_scores_are_told_by_genre_and_by_length(tmp_path):
    documents = [document(0), document(1, genre="bc"), document(2, words=900)]
    found = predictions.predict(Resolver(), documents)
    tables = predictions.score_by(documents, found)
    assert list(tables) == [
        "all documents", "genre: bc", "genre: nw", "words: 500 at most", "words: 1000 at most"
    ]  # fmt: skip
    assert tables["genre: nw"]["average_f1"] == 100.0 and tables["genre: bc"]["average_f1"] == 0.0
    assert 0.0 < tables["all documents"]["average_f1"] < 100.0
    assert tables["words: 1000 at most"]["documents"] == 1 and tables["words: 500 at most"]["documents"] == 2


def test_the_predictions_are_read_back_from_the_file(tmp_path):
    documents = [document(0), document(1)]
    predictions.write(tmp_path / "dev", documents, predictions.predict(Resolver(), documents))
    back = spanbert_keras.read_conll(tmp_path / "dev" / "predictions.conll").documents
    assert [sorted(map(sorted, d.clusters)) for d in back] == [sorted(map(sorted, documents[0].clusters)), []]
    assert [d.tokens for d in back] == [d.tokens for d in documents]


def test_chains_of_one_are_also_scored_without(tmp_path):
    gold = document(0).with_clusters((((0, 1), (2, 3)), ((4, 5),)))
    found = [[[(0, 1), (2, 3)], [(6, 7)]]]
    tables = predictions.score_by([gold], found)
    assert tables["without chains of one mention"]["average_f1"] == 100.0 > tables["all documents"]["average_f1"]
    assert "without chains of one mention" not in predictions.score_by([document(0)], found)


def test_files_are_read_with_what_was_left_out(documents_file):
    records = [{"name": "nothing", "tokens": []}, {"tokens": ["a"]}, {"tokens": ["a"], "clusters": [[[0, 9]]]}]
    path = str(documents_file(records=records))
    with pytest.raises(InputError, match="--skip_bad_examples"):
        predictions.read(path, False)
    file = predictions.read(path, True)
    assert [d.tokens for d in file.documents] == [("a",)] and len(file.left_out) == 2
    assert any("'nothing' has no words" in sentence for sentence in file.left_out)


def test_a_document_without_words_stands_in_the_predictions_as_in_the_gold_file(documents_file, tmp_path):
    words = ["Ann", "saw", "her", "hat", "."]
    records = [
        {"tokens": tokens, "sentences": [[0, len(tokens)]] if tokens else [], "clusters": [], "name": name}
        for name, tokens in (("a", words), ("b", []), ("c", words))
    ]
    file = predictions.read(str(documents_file("three.jsonl", records=records)), skip_bad=False)
    assert [document.name for document in file.documents] == ["a", "c"] and "'b' has no words" in file.left_out[0]
    found = [(((0, 1), (2, 3)),), (((2, 3), (3, 4)),)]
    predictions.write(tmp_path, file.everything, found)
    written = spanbert_keras.read_documents(tmp_path / "predictions.conll").documents
    assert [(one.name, len(one.tokens), one.clusters) for one in written] == [
        ("a", 5, found[0]), ("b", 0, ()), ("c", 5, found[1]),
    ]  # fmt: skip
