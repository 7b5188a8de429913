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

    def resolve(self, documents, mentions, batch_size, singletons, min_score):
        found = [d.clusters if d.name.endswith(("0", "2")) else () for d in documents]
        return [spanbert_keras.ResolvedDocument(None, d.tokens, (), c) for d, c in zip(documents, found, strict=True)]


def test_scores_are_reported_by_genre_and_by_length(tmp_path):
    documents = [document(0), document(1, genre="bc"), document(2, words=900)]
    found = predictions.predict(Resolver(), documents)
    tables = predictions.score_by(documents, found)
    assert list(tables) == ["all documents", "genre: bc", "genre: nw", "words: 500 at most", "words: 1000 at most"]
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


def test_files_are_read_with_sentences_about_left_out_documents(documents_file):
    records = [{"name": "nothing", "tokens": []}, {"tokens": ["a"]}, {"tokens": ["a"], "clusters": [[[0, 9]]]}]
    path = str(documents_file(records=records))
    with pytest.raises(InputError, match="--skip_bad_examples"):
        predictions.read(path, False)
    file = predictions.read(path, True)
    assert [d.tokens for d in file.documents] == [("a",)] and len(file.left_out) == 2
    assert any("'nothing' has no words" in sentence for sentence in file.left_out)


def test_a_document_without_words_is_in_the_predictions_as_in_the_gold_file(documents_file, tmp_path):
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
        ("a", 5, found[0]),
        ("b", 0, ()),
        ("c", 5, found[1]),
    ]


def test_a_copy_of_a_conll_key_keeps_its_header_and_other_columns(tmp_path):
    rows = [f"nw/a\t0\t{i}\t{word}\t_\t_\t_\t_\t_\t_\t_\t_\t" for i, word in enumerate("a b c".split())]
    key = "\n".join(
        ["#begin document (nw/a); part 0", rows[0] + "(0", rows[1] + "0)", rows[2] + "(0)", "#end document", ""]
    )
    (tmp_path / "key").write_text(key)
    file = predictions.read(str(tmp_path / "key"), False)
    predictions.write(tmp_path, file.everything, [[((0, 1), (2, 3))]], key=file.key)
    expected = key.replace("\t(0\n", "\t(0)\n").replace("\t0)\n", "\t-\n")
    assert (tmp_path / "predictions.conll").read_text() == expected


def test_the_meaning_of_columns_is_logged(tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "key").write_text("#begin document (nw/a); part 0\nnw/a 0 0 Ann (0)\nnw/a 0 1 ran -\n#end document\n")
    predictions.read(str(tmp_path / "key"), False)
    assert "5 columns, not CoNLL-2012's 12 or more: the word is taken from column 4" in caplog.text


@pytest.mark.parametrize("number, is_logged", [(1, True), (2, False)])
def test_a_model_that_links_no_mentions_is_reported(caplog, number, is_logged):
    predictions.predict(Resolver(), [document(1), document(number)])
    assert ("The model links no mentions: none of the 2 documents has a chain" in caplog.text) == is_logged
