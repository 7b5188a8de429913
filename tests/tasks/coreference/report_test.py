"""Tests of Table 3: the paper's rows, means over seeds, test before dev."""

import json

import pytest

from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.coreference import report
from tasks.shared.task_report import BASELINES, SPANBERT, Figure
from tests.markdown_rows import row_of

# Joshi et al., 2020, Table 3, as printed: P, R, F1 of the three metrics, and the average F1.
TABLE_3 = {
    "Lee et al., 2018": "81.4 79.5 80.4 72.2 69.5 70.8 68.2 67.1 67.6 73.0",
    "Google BERT": "84.9 82.5 83.7 76.7 74.2 75.4 74.6 70.1 72.3 77.1",
    "Our BERT": "85.1 83.5 84.3 77.3 75.5 76.4 75.0 71.9 73.9 78.3",
    "Our BERT-1seq": "85.5 84.1 84.8 77.8 76.7 77.2 75.3 73.5 74.4 78.8",
    "SpanBERT": "85.8 84.8 85.3 78.3 77.9 78.1 76.4 74.2 75.3 79.6",
}
COLUMNS = [f"{metric}_{part}" for metric in ("muc", "b_cubed", "ceaf") for part in ("precision", "recall", "f1")]


def scores(first, average):
    """Returns the scores of a run: numbers from `first` on, in the order of the columns."""
    found = {name: first + place for place, name in enumerate(COLUMNS)}
    return found | {"mentions_f1": 99.0, "average_f1": average, "documents": 3}


@pytest.fixture
def write_run(tmp_path):
    """Function that writes a finished run."""

    def write(folder, dataset="OntoNotes", method="M", rate=1e-5, **splits):
        path = tmp_path / "runs" / folder
        path.mkdir(parents=True)
        flags = {
            "method": method,
            "encoder": "e",
            "dataset": dataset,
            "train_file": ["x"],
            "dev_file": "some/dev.conll",
        }
        flags |= {"learning_rate": rate, "seed": len(list(tmp_path.rglob("run.json")))}
        (path / "run.json").write_text(json.dumps({"flags": flags, "scores": splits}))

    return write


def test_the_published_rows_are_the_papers_table(write_run, tmp_path):
    write_run("a", dev=scores(1.0, 50.0))
    text = report.report(tmp_path).markdown()
    for name, figures in TABLE_3.items():
        assert row_of(text, f"{name} (paper)") == figures.split()
    assert text.count("(paper)") == 5 and text.startswith("Table 3: OntoNotes\n\n")
    [head] = [line for line in text.splitlines() if line.startswith("|  |")]
    assert [cell.strip() for cell in head.split("|")[2:-1]] == [
        *("MUC P", "MUC R", "MUC F1", "B³ P", "B³ R", "B³ F1", "CEAF-φ4 P", "CEAF-φ4 R", "CEAF-φ4 F1", "average F1")
    ]
    assert "paper" not in report.report(tmp_path, published=False).markdown()


def test_the_published_figures_agree_with_each_other_but_for_one_that_the_paper_misprints():
    wrong = []
    for name, row in report.PUBLISHED.items():
        for place, metric in enumerate(("MUC", "B³", "CEAF")):
            precision, recall, f1 = row[3 * place : 3 * place + 3]
            if abs(2 * precision * recall / (precision + recall) - f1) > 0.1:
                wrong.append((name, metric))
        assert sum(row[2:9:3]) / 3 == pytest.approx(row[9], abs=0.11)
    assert wrong == [("Our BERT (paper)", "CEAF")]


def test_seeds_are_averaged_and_test_counts_before_dev(write_run, tmp_path):
    write_run("one/seed_1", dev=scores(1.0, 10.0), test=scores(20.0, 60.0))
    write_run("one/seed_2", dev=scores(1.0, 10.0), test=scores(30.0, 63.0))
    write_run("one/seed_3", dev=scores(1.0, 10.0))  # not scored on test yet
    write_run("unfinished")
    found = report.report(tmp_path, published=False)
    assert row_of(found.markdown(), "M") == [*(f"{25.0 + place:.1f}" for place in range(9)), "61.5"]
    assert found.notes == ["OntoNotes: test, 2 runs, standard deviation 2.1 (M)"]
    assert found.figures == {"M": {"OntoNotes": Figure(61.5, "test")}}


def test_other_data_has_a_table_of_its_own_and_no_figure(write_run, tmp_path):
    write_run("a", dataset="LitBank", dev=scores(1.0, 50.0))
    write_run("b", dataset=None, dev=scores(2.0, 40.0))
    found = report.report(tmp_path)
    text = found.markdown()
    assert row_of(text, "M, LitBank")[-2:] == ["9.0", "50.0"] and row_of(text, "M, dev.conll")[-1] == "40.0"
    assert "Other data" in text and row_of(text, "M") == []
    assert found.figures.keys() == {*BASELINES, SPANBERT}
    assert found.figures["Our BERT (paper)"] == {"OntoNotes": Figure(78.3, "test")}


def test_runs_with_other_settings_have_their_own_rows(write_run, tmp_path):
    write_run("a", dev=scores(1.0, 50.0))
    write_run("b", dev=scores(1.0, 60.0), rate=2e-5)
    text = report.report(tmp_path).markdown()
    assert row_of(text, "M (learning_rate=1e-05)")[-1] == "50.0"
    assert row_of(text, "M (learning_rate=2e-05)")[-1] == "60.0"


def test_runs_of_other_tasks_are_left_out(write_run, tmp_path):
    write_run("a", dev={"f1": 1.0, "exact_match": 2.0})
    assert report.report(tmp_path).notes == []


def test_the_program_writes_the_table_and_rejects_an_empty_folder(write_run, tmp_path):
    flags = [f"--runs={tmp_path / 'runs'}", f"--output={tmp_path / 'table3.md'}"]
    with pytest.raises(InputError, match="holds no finished coreference run"):
        report.main(program.parse(report.Config, flags))
    write_run("a", dev=scores(1.0, 50.0))
    report.main(program.parse(report.Config, [*flags, "--nopublished"]))
    text = (tmp_path / "table3.md").read_text(encoding="utf-8")
    assert row_of(text, "M")[-1] == "50.0" and "Measured: OntoNotes: dev, 1 run (M)." in text and "paper" not in text
