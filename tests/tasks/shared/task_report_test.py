"""Tests of a task's report: tables of published and measured rows, notes, and the paper's figures."""

from tasks.shared.task_report import BASELINES, SPANBERT, Figure, ResultTable, TaskReport, published_figures


def test_a_table_has_the_published_rows_first_and_none_without_figures():
    table = ResultTable("T", ["", "A"], {"p": ["1.0"], "q": ["-"]}, {"m": ["2.0"], "n": ["-"]})
    assert table.rows == {"p": ["1.0"], "m": ["2.0"]}
    assert table.markdown() == "|  | A |\n| --- | --- |\n| p | 1.0 |\n| m | 2.0 |"


def test_a_report_leaves_empty_tables_out_and_ends_with_its_notes():
    one = ResultTable("One", ["", "A"], {}, {"m": ["2.0"]}, ["b: dev, 1 run (m)", "a: test, 2 runs (m)"])
    report = TaskReport([one, ResultTable("Two", ["", "B"], {}, {})], {})
    assert report.notes == ["a: test, 2 runs (m)", "b: dev, 1 run (m)"]
    text = report.markdown()
    assert text == "One\n\n|  | A |\n| --- | --- |\n| m | 2.0 |\n\nMeasured: a: test, 2 runs (m); b: dev, 1 run (m)."


def test_published_figures_are_those_of_the_papers_four_models():
    rows = {name: {"X": 1.0, "Y": None} for name in (*BASELINES, SPANBERT, "Human (paper)")}
    assert published_figures(rows, True) == {name: {"X": Figure(1.0, "test")} for name in (*BASELINES, SPANBERT)}
    assert published_figures(rows, False) == {}
