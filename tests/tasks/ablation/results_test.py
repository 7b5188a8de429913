"""Scores gathered from runs, cells and differences of the tables, and pre-trainings that cannot be compared."""

import json
import math

import numpy as np
import pytest

from spanbert_keras.errors import InputError
from tasks.ablation.results import Results, cell, check_alike, difference, gather, markdown
from tasks.shared.ablation_tables import PUBLISHED, UNTRAINED, read_ablation

VALUES = {
    ("span_2seq", "SQuAD 2.0"): [84.0, 85.0, 86.0],
    ("span_1seq", "SQuAD 2.0"): [86.0, 86.0, 86.0],
    ("span_2seq", "LitBank"): [60.0, 62.0],
    ("span_1seq", "LitBank"): [61.0, 61.5],
    ("span_1seq_sbo", "LitBank"): [70.0],
}
RESULTS = Results(["span_2seq", "span_1seq", "span_1seq_sbo"], ["SQuAD 2.0", "LitBank"], VALUES)


def test_a_cell_has_the_mean_and_the_standard_deviation():
    assert cell(RESULTS, "span_2seq", "SQuAD 2.0") == "85.0 ± 1.0"
    assert cell(RESULTS, "span_1seq_sbo", "LitBank") == "70.0"
    assert cell(RESULTS, "span_1seq_sbo", "SQuAD 2.0") == "-"


def test_a_difference_below_two_standard_errors_is_marked():
    gap = (86.0 - 85.0 + 61.25 - 61.0) / 2
    squares = 1.0 / 3 + 0.0 + 2.0 / 2 + 0.125 / 2
    assert abs(gap) < 2 * math.sqrt(squares) / 2
    assert difference(RESULTS, "span_2seq", "span_1seq") == "~ +0.6"
    far = Results(RESULTS.rows, RESULTS.tasks, VALUES | {("span_1seq", "SQuAD 2.0"): [90.0, 90.0, 90.0]})
    assert difference(far, "span_2seq", "span_1seq") == "+2.6"
    assert difference(RESULTS, "span_2seq", "span_1seq_sbo") == "+9.0 (one run)"
    assert difference(RESULTS, "span_1seq_sbo", "span_1seq_sbo") == "+0.0 (one run)"
    assert difference(Results(["a", "b"], ["t"], {}), "a", "b") == ""
    glue = {("span_2seq", "GLUE average"): [1.0, 2.0], ("span_1seq", "GLUE average"): [50.0, 60.0]}
    averaged = Results(RESULTS.rows, [*RESULTS.tasks, "GLUE average"], VALUES | glue)
    assert difference(averaged, "span_2seq", "span_1seq") == "~ +0.6"


def test_with_several_pre_trainings_the_runs_from_one_encoder_count_as_one():
    tasks, seeds = ["a", "b"], [1, 1, 2, 2]
    values = {("x", "a"): [1.0, 1.4, 3.0, 3.4], ("x", "b"): [1.0, 1.0, 3.0, 3.0]}
    values |= {("y", "a"): [4.0, 4.0, 6.0, 6.0], ("y", "b"): [4.0, 4.0, 6.0, 6.0]}
    encoders = dict.fromkeys(values, seeds)
    found = Results(["x", "y"], tasks, values, encoders)
    draws = np.asarray([(1.2 + 1.0) / 2, (3.2 + 3.0) / 2])  # the mean over tasks from each encoder
    assert found.squared_error("x", tasks) == pytest.approx(draws.var(ddof=1) / 2)
    assert found.squared_error("y", tasks) == pytest.approx(1.0)
    assert difference(found, "x", "y") == "+2.9"
    assert Results(["x", "y"], tasks, values).squared_error("y", tasks) == pytest.approx(2 * (4 / 3) / 4 / 4)
    assert "of pre-training seeds" in markdown(found, "own")
    few = found.encoders | {("x", "b"): [1, 1, 1, 1]}
    assert difference(Results(["x", "y"], tasks, values, few), "x", "y") == "+2.9 (one pre-training)"


def test_rows_outside_of_tables_6_and_7_have_titles():
    rows = ["subword_1seq", "google_bert", UNTRAINED]
    found = Results(rows, ["LitBank"], {(row, "LitBank"): [1.0] for row in rows})
    titles = [line.split("|")[1].strip() for line in markdown(found, "own").splitlines()[4:7]]
    assert titles == ["Subword tokens, 1seq", "Google BERT", "Initial encoder"]


def test_a_row_whose_cells_are_all_empty_stays():
    lines = markdown(Results(RESULTS.rows, ["LitBank"], {("span_2seq", "LitBank"): [1.0]}), "7").splitlines()
    assert "| Geometric spans, 1seq | - |  |" in lines


def test_a_table_has_the_papers_figures_under_each_row():
    lines = markdown(RESULTS, "7").splitlines()
    assert lines[0] == "Table 7: auxiliary objectives"
    assert lines[2] == "|  | SQuAD 2.0 | LitBank | difference |"
    assert lines[4] == "| Geometric spans, 2seq + NSP | 85.0 ± 1.0 | 61.0 ± 1.4 |  |"
    assert lines[5] == f"| Geometric spans, 2seq + NSP (paper) | {PUBLISHED['span_2seq'][0]} | - |  |"
    assert lines[6] == "| Geometric spans, 1seq | 86.0 ± 0.0 | 61.2 ± 0.4 | ~ +0.6 |"
    assert "runs per cell: 1 to 3." in lines[-1]
    own = Results(RESULTS.rows, ["LitBank"], VALUES)
    assert "(paper) |" not in markdown(own, "7")


def test_results_are_gathered_from_finished_runs_and_read_again(make_plan, write_record, tmp_path):
    (tmp_path / "dev").touch()
    task = f"{tmp_path / 'task.flags'} --train_file={tmp_path / 'dev'} --dev_file={tmp_path / 'dev'}"
    flags = [f"--coreference=LitBank:{task}", f"--question_answering=NewsQA:{task}", "--tables=7", "--seeds=2"]
    plan = make_plan(*flags)
    folder = tmp_path / "out" / "finetune"
    write_record(folder / "span_2seq" / "litbank" / "seed_42", {"average_f1": 60.0})
    write_record(folder / "span_2seq" / "litbank" / "seed_43", {"average_f1": 62.0})
    write_record(folder / "span_1seq" / "newsqa" / "seed_42", {"f1": 70.0})
    found = gather(plan)
    assert found.tasks == ["NewsQA", "LitBank"]
    assert found.values["span_2seq", "LitBank"] == [60.0, 62.0] and found.values["span_1seq", "NewsQA"] == [70.0]
    (tmp_path / "ablation.json").write_text(json.dumps(found.to_json()))
    again = read_ablation(tmp_path / "ablation.json")
    assert again.cell("span_2seq", "LitBank") == "61.0 ± 1.4" and again.cell("span_1seq", "LitBank") == "-"


@pytest.fixture
def write_pretraining(tmp_path):
    def write(row, **changes):
        folder = tmp_path / "out" / "pretrain" / row
        folder.mkdir(parents=True)
        flags = {"steps": 20, "scheme": row, "output_dir": row, "segments": 1, "log_every": 5}
        facts = {"corpus_fingerprint": "a"}
        facts |= changes.pop("facts", {})
        record = {"flags": flags | changes, "facts": facts}
        (folder / "run.json").write_text(json.dumps(record))

    return write


def test_pre_trainings_that_differ_in_flags_of_the_tables_alone_are_compared(make_plan, write_pretraining):
    write_pretraining("span_2seq", segments=2)
    write_pretraining("span_1seq", log_every=7)
    write_pretraining("named_entity_2seq", segments=2, facts={"annotation": "entities", "annotation_fingerprint": "b"})
    check_alike(make_plan())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": 30}, "steps is 20 in the first and 30 in the second"),
        ({"weight_decay": 0.3}, "weight_decay is None in the first and 0.3"),
        ({"facts": {"corpus_fingerprint": "b"}}, "corpus_f"),
    ],
)
def test_pre_trainings_with_another_budget_or_text_are_rejected(make_plan, write_pretraining, changes, sentence):
    write_pretraining("span_2seq")
    write_pretraining("span_1seq", **changes)
    with pytest.raises(InputError, match=f"span_2seq and .*span_1seq cannot be compared: {sentence}"):
        check_alike(make_plan())
