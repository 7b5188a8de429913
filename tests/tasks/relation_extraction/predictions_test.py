"""Tests of predictions: the best label, probabilities, and the files that scorers read."""

import json
import types

import numpy as np

from spanbert_keras import EntityPair
from tasks.relation_extraction import predictions
from tasks.relation_extraction.data import Example

MODEL = types.SimpleNamespace(labels=("no_relation", "per:título", "org:founded"))
LOGITS = np.array([[0.0, 2.0, 1.0], [3.0, 3.0, 1.0], [1e4, -1e4, 2e4]], np.float32)


def test_the_most_probable_label_is_taken_the_first_of_equal_ones():
    assert predictions.labels_of(MODEL, LOGITS) == ["per:título", "no_relation", "org:founded"]


def test_files_are_those_of_the_official_scorer_and_one_with_ids(tmp_path):
    pair = EntityPair(("a", "b"), (0, 1), (1, 2), "X", "Y")
    gold = ["per:título", "org:founded", "org:unseen"]
    examples = [Example(f"é{number}", pair, relation) for number, relation in enumerate(gold)]
    folder = tmp_path / "deep" / "dev"
    predictions.write(folder, MODEL, examples, LOGITS)
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert set(texts) == {"predictions.txt", "gold.txt", "predictions.jsonl"}
    assert texts["predictions.txt"] == "per:título\nno_relation\norg:founded\n"
    assert texts["gold.txt"] == "per:título\norg:founded\norg:unseen\n"
    rows = [json.loads(line) for line in texts["predictions.jsonl"].splitlines()]
    assert rows[1] == {"id": "é1", "relation": "no_relation", "gold": "org:founded"} and len(rows) == 3
