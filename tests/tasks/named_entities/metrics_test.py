"""Scores of entities against counts by hand, and flat ones against seqeval."""

import numpy as np
import pytest

from tasks.named_entities.metrics import flat_score, score

GOLD = [[(0, 4, "A"), (1, 2, "B"), (6, 7, "A")], [(0, 1, "B")], []]
FOUND = [[(0, 4, "A"), (1, 2, "A"), (5, 7, "A")], [(0, 1, "B")], [(3, 4, "B")]]


def test_scores_are_shares_of_spans_with_their_label():
    tables = score(GOLD, FOUND)
    assert list(tables) == ["all", "outermost", "A", "B"]
    assert tables["all"] == pytest.approx(
        {"precision": 40.0, "recall": 50.0, "f1": 400 / 9, "gold": 4, "predicted": 5, "correct": 2}
    )
    assert [tables["outermost"][key] for key in ("gold", "predicted", "correct")] == [3, 4, 2]
    assert [tables["A"][key] for key in ("gold", "predicted", "correct")] == [2, 3, 1]
    assert [tables["B"][key] for key in ("gold", "predicted", "correct")] == [2, 2, 1]
    assert "outermost" not in score([GOLD[1]], [FOUND[1]])
    assert score([[]], [[]])["all"]["f1"] == 0.0


def test_flat_scores_are_those_of_seqeval_and_ours():
    rng = np.random.default_rng(0)

    def draw():
        places = np.sort(rng.choice(20, 6, replace=False)).reshape(3, 2).tolist()
        return [(start, end, str(rng.choice(["A", "B"]))) for start, end in places]

    gold = [draw() for _ in range(30)]
    found = [[one for one in (entities if rng.random() < 0.5 else draw())] for entities in gold]
    expected = score(gold, found)["all"]
    assert 20 < expected["f1"] < 90
    assert flat_score(gold, found, [20] * 30) == pytest.approx(
        {key: expected[key] for key in ("precision", "recall", "f1")}
    )
