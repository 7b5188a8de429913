"""Tests of predictions: tables by genre and length, and the file for the official scorer."""

import spanbert_keras
from tasks.coreference import predictions
from tests.tasks.coreference.conftest import record


def document(number, **settings):
    one = record(number, **settings)
    return spanbert_keras.Document(
        one["tokens"], one["sentences"], one["speakers"], one["genre"], one["clusters"], one["name"]
    )


class Resolver:
    """Finds every chain of the documents whose number is even, and nothing else."""

    def resolve(self, documents, batch_size):
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
