"""Scores of entities beside `transformers`, at a size that runs in seconds: targets are those of outermost entities."""

import json

import numpy as np
import pytest

from benchmarks import entity_scores
from benchmarks.shared.transformers_tagger import IGNORED

SENTENCE = [("The", "B-A", "O"), ("name", "I-A", "O"), ("of", "I-A", "O"), ("list", "I-A", "B-B"), ("is", "O", "O")]


@pytest.fixture
def config(tmp_path, bert_folder):
    for part in ("train", "dev"):
        lines = ["\t".join(row) for row in SENTENCE] + ["", "value\tB-B\tO", "and\tO\tO", "", "# document b"]
        (tmp_path / f"{part}.tsv").write_text("\n".join(["# document a", *lines, "a\tO\tO"]) + "\n")
    return entity_scores.Config(
        encoder=bert_folder,
        train_file=str(tmp_path / "train.tsv"),
        dev_file=str(tmp_path / "dev.tsv"),
        output_dir=str(tmp_path / "out"),
        seeds=1,
        epochs=1,
        batch_size=2,
        max_sequence_length=16,
        max_span_width=4,
    )


@pytest.mark.slow
def test_targets_that_are_predicted_give_the_score_of_outermost_entities(config):
    sides = entity_scores._Sides(config)
    rows = sides.model.preprocessor.rows([example.text for example in sides.task.dev])
    targets = sides.targets(rows, sides.task.dev)
    tags = [sides.tags[one] for target in targets for one in target.tolist() if one != IGNORED]
    assert tags[:5] == ["B-A", "I-A", "I-A", "I-A", "O"] and len(tags) == sum(map(len, rows.word_texts))
    scores = sides.scores(rows, [np.where(target == IGNORED, 0, target) for target in targets])
    gold = [entity for example in sides.task.dev for entity in example.entities]
    outer = [one for one in gold if one[2] == "A" or one[0] != 3]
    assert scores["outermost_f1"] == 100.0
    assert scores["f1"] == pytest.approx(200 * len(outer) / (len(gold) + len(outer)))


@pytest.mark.slow
def test_both_sides_run_once_and_the_table_has_them(config, capsys, tmp_path):
    entity_scores.main(config)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert sorted(results) == ["ours, 0", "settings", "transformers, 0"]
    before = (tmp_path / "out" / "results.json").read_bytes()
    entity_scores.main(config)
    assert (tmp_path / "out" / "results.json").read_bytes() == before
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["ours", "transformers"]
