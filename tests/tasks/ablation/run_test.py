"""The program: jobs that are printed, failures, and tables of finished runs."""

import json
import shlex

import pytest

from spanbert_keras import program
from spanbert_keras.errors import InputError
from tasks.ablation import run
from tasks.ablation.config import Config
from tasks.ablation.stage import Stage


def test_printed_jobs_name_what_they_wait_for(make_plan, capsys):
    run.print_jobs(make_plan("--tables=7", "--embedded_tasks", "--seeds=1"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("# shards; after: nothing") and lines[1].endswith("# pretrain/span_2seq; after: shards")
    assert len(lines) == 1 + 3 + 1 + 9
    assert all(shlex.split(line.partition("  # ")[0])[:2] == ["python", "-m"] for line in lines)


def test_finished_jobs_are_not_printed(make_plan, capsys, write_record, tmp_path):
    plan = make_plan("--tables=7", "--embedded_tasks", "--seeds=1")
    write_record(plan.pretraining_folder("span_2seq", 1), {}, finished_steps=20)
    run.print_jobs(plan)
    printed = capsys.readouterr().out
    assert "# pretrain/span_2seq;" not in printed
    assert "# finetune/span_2seq/next_sentences_(embedded)/seed_42; after: tasks" in printed


def test_a_failed_stage_is_named_at_the_end_and_the_tables_are_written(make_plan, write_record, monkeypatch, tmp_path):
    plan = make_plan("--tables=7", "--embedded_tasks", "--seeds=1")
    stages = [
        Stage(one.name, "no_such_program", (), one.after, lambda fails="span_1seq/missing" in one.name: not fails)
        for one in plan.stages
    ]
    monkeypatch.setattr(type(plan), "stages", stages)
    for row, score in (("span_2seq", 50.0), ("span_1seq", 60.0)):
        write_record(tmp_path / "out" / "finetune" / row / "next_sentences_(embedded)" / "seed_42", {"score": score})
    with pytest.raises(
        InputError, match=r"1 of 14 stages failed, and their cells are empty:\s+finetune/span_1seq/missing"
    ):
        run.main(plan.config)
    table = (tmp_path / "out" / "table7.md").read_text()
    assert "| Geometric spans, 1seq | - | - | 60.0 | +10.0 (one run) |" in table
    assert (tmp_path / "out" / "ablation.json").is_file() and (tmp_path / "out" / "table7.png").is_file()


@pytest.mark.slow
def test_a_whole_ablation_is_run_and_not_run_again(tmp_path):
    (tmp_path / "recipe.flags").write_text(
        "--flagfile=configs/ablation_tiny_pretraining.flags\n--steps=40\n--warmup_steps=5\n--evaluate_every=20\n--eval_rows=32\n"
    )
    flags = [
        "--flagfile=configs/ablation_tiny.flags",
        f"--pretrain_recipe={tmp_path / 'recipe.flags'}",
        f"--output_dir={tmp_path / 'out'}",
        "--rows=named_entity_2seq,span_1seq_sbo",
        "--tasks=Repeated words (embedded)",
        "--seeds=1",
        "--step=20",
    ]
    config = program.parse(Config, flags)
    run.main(config)
    results = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert results["rows"] == ["named_entity_2seq", "span_1seq_sbo"]
    assert [len(row[0]) for row in results["values"]] == [1, 1]
    for name in ("table6.png", "table7.png", "curves.png", "table6.md"):
        assert (tmp_path / "out" / name).stat().st_size > 100
    for row, segments in (("named_entity_2seq", "1"), ("span_1seq_sbo", "2")):
        assert (tmp_path / "out" / "pretrain" / row / f"heldout_span_{segments}seq").is_dir()
    logs = {path: path.read_bytes() for path in (tmp_path / "out" / "logs").rglob("*.log")}
    assert len(logs) == 7  # shards, annotation, two pre-trainings, tasks, two fine-tuning runs
    run.main(config)
    assert {path: path.read_bytes() for path in (tmp_path / "out" / "logs").rglob("*.log")} == logs
