"""Tests of Table 4 and of the table for Re-TACRED: published rows, means over seeds, test before dev."""

import json

import pytest

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.relation_extraction import report
from tasks.shared.task_report import BASELINES, SPANBERT, Figure
from tests.markdown_rows import row_of

# Joshi et al., 2020, Table 4, as printed: P, R, F1.
TABLE_4 = {
    "BERT_EM, Soares et al., 2019": "- - 70.1",
    "BERT_EM+MTB*, Soares et al., 2019": "- - 71.5",
    "Google BERT": "69.1 63.9 66.4",
    "Our BERT": "67.8 67.2 67.5",
    "Our BERT-1seq": "72.4 67.9 70.1",
    "SpanBERT": "70.8 70.9 70.8",
}


def scores(precision, recall, f1, **more):
    return {"precision": precision, "recall": recall, "f1": f1, "accuracy": 99.0, "examples": 7, **more}


@pytest.fixture
def write_run(tmp_path):
    """Function that writes a finished run."""

    def write(folder, dataset="TACRED", method="M", mode="ner", **splits):
        path = tmp_path / "runs" / folder
        path.mkdir(parents=True)
        flags = {
            "method": method,
            "encoder": "e",
            "dataset": dataset,
            "dev_file": "some/dev.json",
            "feature_mode": mode,
        }
        flags |= {"seed": len(list(tmp_path.rglob("run.json")))}
        if mode is None:
            del flags["feature_mode"]
        (path / "run.json").write_text(json.dumps({"flags": flags, "scores": splits}))

    return write


def section(text, title):
    return text[text.index(f"{title}\n") :].split("\n\n")[1]


def test_the_published_rows_are_the_papers_table(write_run, tmp_path):
    write_run("a", dev=scores(1.0, 2.0, 3.0))
    text = report.report(tmp_path).markdown()
    table = section(text, "Table 4: TACRED")
    for name, figures in TABLE_4.items():
        assert row_of(table, f"{name} (paper)") == figures.split()
    assert table.count("(paper)") == 6 and row_of(table, "M") == ["1.0", "2.0", "3.0"]
    assert row_of(section(text, "Re-TACRED"), "SpanBERT (Stoica et al., 2021)") == ["-", "-", "85.3"]
    bare = report.report(tmp_path, published=False).markdown()
    assert "paper" not in bare and "Re-TACRED" not in bare


def test_the_published_figures_agree_with_each_other():
    for precision, recall, f1 in report.PUBLISHED["TACRED"].values():
        if precision is not None:
            assert 2 * precision * recall / (precision + recall) == pytest.approx(f1, abs=0.06)


def test_seeds_are_averaged_and_test_counts_before_dev(write_run, tmp_path):
    for data in ("TACRED", "Re-TACRED"):
        write_run(f"{data}/seed_1", data, dev=scores(1.0, 1.0, 1.0), test=scores(60.0, 50.0, 54.0))
        write_run(f"{data}/seed_2", data, dev=scores(1.0, 1.0, 1.0), test=scores(62.0, 54.0, 57.0))
    found = report.report(tmp_path)
    for title in ("Table 4: TACRED", "Re-TACRED"):
        assert row_of(section(found.markdown(), title), "M") == ["61.0", "52.0", "55.5"]
    assert found.notes == [f"{d}: test, 2 runs, standard deviation 2.1 (M)" for d in ("Re-TACRED", "TACRED")]
    assert found.figures["M"] == {"TACRED": Figure(55.5, "test")}
    assert found.figures.keys() == {*BASELINES, SPANBERT, "M"}
    assert found.figures["Our BERT-1seq (paper)"] == {"TACRED": Figure(70.1, "test")}


def test_other_data_has_a_table_with_semevals_score(write_run, tmp_path):
    write_run("a", dataset="SemEval", dev=scores(1.0, 2.0, 3.0, macro_f1=83.1))
    write_run("b", dataset=None, dev=scores(4.0, 5.0, 6.0))
    text = report.report(tmp_path, published=False).markdown()
    assert "Other data" in text and "| F1 | macro F1 |" in text
    assert row_of(text, "M, SemEval") == ["1.0", "2.0", "3.0", "83.1"]
    assert row_of(text, "M, dev.json") == ["4.0", "5.0", "6.0", "-"]


def test_modes_have_their_own_rows_and_runs_of_other_tasks_none(write_run, tmp_path):
    write_run("a", dev=scores(1.0, 2.0, 3.0))
    write_run("b", dev=scores(4.0, 5.0, 6.0), mode="text")
    write_run("c", dev=scores(7.0, 8.0, 9.0), mode=None)
    found = report.report(tmp_path, published=False)
    assert found.figures.keys() == {"M (feature_mode=ner)", "M (feature_mode=text)"}
    assert row_of(found.markdown(), "M (feature_mode=text)") == ["4.0", "5.0", "6.0"]


def test_the_program_writes_the_tables_and_rejects_an_empty_folder(write_run, tmp_path):
    flags = [f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'table4.md'}"]
    with pytest.raises(InputError, match="holds no finished relation extraction run"):
        report.main(program.parse(report.Config, flags))
    write_run("a", dev=scores(1.0, 2.0, 3.0))
    report.main(program.parse(report.Config, flags))
    text = (tmp_path / "table4.md").read_text(encoding="utf-8")
    assert row_of(text, "M") == ["1.0", "2.0", "3.0"] and "Measured: TACRED: dev, 1 run (M)." in text
