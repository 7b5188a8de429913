"""Commands of stages, and records of runs that are whole, unfinished or damaged."""

import json
import shlex

from tasks.ablation.stage import Stage, record_of, scored_record


def test_a_command_can_be_typed_in_a_shell():
    stage = Stage("a", "tasks.glue.finetune", ("--method=Our BERT", "--x=it's"))
    assert shlex.split(stage.command) == ["python", "-m", "tasks.glue.finetune", "--method=Our BERT", "--x=it's"]


def test_a_record_that_is_missing_or_damaged_is_empty(tmp_path):
    assert record_of(tmp_path) == {}
    (tmp_path / "run.json").write_text("[1]")
    assert record_of(tmp_path) == {}
    (tmp_path / "run.json").write_text("{")
    assert record_of(tmp_path) == {}


def test_only_dev_scores_finish_a_fine_tuning_run(tmp_path, write_record):
    write_record(tmp_path, {})
    assert scored_record(tmp_path) == {}
    write_record(tmp_path, {"f1": 1.0})
    assert scored_record(tmp_path)["scores"] == {"dev": {"f1": 1.0}}


def test_a_sweep_counts_with_its_chosen_run(tmp_path, write_record):
    write_record(tmp_path, {"f1": 9.0})
    write_record(tmp_path / "rate_1", {"f1": 1.0})
    write_record(tmp_path / "rate_2", {"f1": 2.0})
    (tmp_path / "sweep.json").write_text(json.dumps({"trials": []}))
    assert scored_record(tmp_path) == {}
    (tmp_path / "sweep.json").write_text(json.dumps({"trials": [], "folder": "rate_2"}))
    assert scored_record(tmp_path)["scores"]["dev"] == {"f1": 2.0}
