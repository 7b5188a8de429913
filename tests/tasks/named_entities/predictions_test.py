"""Files of predictions hold what was found, also characters outside of ASCII, and nested entities in columns."""

import json
from types import SimpleNamespace

from spanbert_keras import Entity
from tasks.named_entities import data, metrics, predictions


def test_files_can_be_read_again(tmp_path):
    examples = [
        data.Example("a", ("caf\u00e9", "of", "Rome", "Bob"), (), ((0, 3), (3, 4))),
        data.Example("b", ("no",), (), ((0, 1),)),
    ]
    found = [[Entity("", "FAC", 0, 3, 0.5), Entity("", "LOC", 2, 3, 0.25), Entity("", "PER", 3, 4, 1.0)], []]
    predictions.write(tmp_path, examples, found, 1)
    again = data.read(tmp_path / "predictions.tsv")
    assert [one.text for one in again.examples] == [one.text for one in examples]
    assert again.examples[0].sentences == examples[0].sentences and again.examples[1].entities == ()
    assert again.examples[0].entities == ((0, 3, "FAC"), (2, 3, "LOC"), (3, 4, "PER"))
    assert data.read(tmp_path / "predictions.jsonl").examples[0].entities == again.examples[0].entities
    line = json.loads((tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert line["entities"][1] == {"start": 2, "end": 3, "label": "LOC", "text": "", "score": 0.25}


def test_flat_entities_of_tokens_are_scored_by_seqeval_and_others_by_spans(monkeypatch):
    of_tokens = data.Example("a", ("a", "b", "c"), ((0, 2, "X"),), ((0, 3),))
    of_text = data.Example("a", "a b", ((0, 3, "X"),))
    inner = data.Example("a", ("a", "b", "c"), ((0, 2, "X"), (1, 2, "X")), ((0, 3),))
    found = [[Entity("", "X", 0, 2, 1.0), Entity("", "X", 2, 3, 1.0)]]
    table = predictions.score(SimpleNamespace(nested=False), [of_tokens], found)["all"]
    assert (table["precision"], table["recall"], table["correct"]) == (50.0, 100.0, 1)
    monkeypatch.setattr(metrics, "flat_score", lambda *given: {"f1": "seqeval"})
    for nested, example, is_seqeval in (
        (False, of_tokens, True),
        (True, of_tokens, False),
        (False, of_text, False),
        (False, inner, False),
    ):
        scores = predictions.score(SimpleNamespace(nested=nested), [example], found)["all"]
        assert (scores["f1"] == "seqeval") == is_seqeval


def test_entities_across_the_end_of_a_sentence_are_left_out():
    example = data.Example("a", ("a", "b", "c", "d"), (), ((0, 2), (2, 4)))
    found = [Entity("", "X", 0, 2, 1.0), Entity("", "X", 1, 3, 1.0), Entity("", "Y", 3, 4, 1.0)]
    assert predictions.inside_sentences(example, found) == [found[0], found[2]]
    assert predictions.inside_sentences(data.Example("a", "a b", ()), found) == found
