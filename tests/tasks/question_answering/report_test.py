"""Tests of the results table: means of runs, test before dev, and the paper's rows."""

import json

import pytest

from spanbert_keras.program import InputError
from tasks.question_answering import report
from tasks.shared.task_report import BASELINES, SPANBERT, Figure
from tests.markdown_rows import row_of


@pytest.fixture
def write_run(tmp_path):
    def write(folder, dataset, method="MiniLM", rate=2e-5, **scores):
        path = tmp_path / folder
        path.mkdir(parents=True)
        flags = {"method": method, "encoder": "e", "dataset": dataset, "train_file": ["x"], "dev_file": "some/dev.json"}
        flags |= {"learning_rate": rate, "seed": len(list(tmp_path.rglob("run.json")))}
        (path / "run.json").write_text(json.dumps({"flags": flags, "scores": scores}))

    return write


def test_the_published_rows_are_the_papers_tables():
    text = report.report_of({("x", "SQuAD 1.1"): report.Result(1.0, 2.0, 1, "dev")}).markdown()
    assert row_of(text, "SpanBERT (paper)") == [
        "88.8",
        "94.6",
        "85.7",
        "88.7",
        "73.6",
        "83.6",
        "84.8",
        "83.0",
        "82.5",
        "81.5",
    ]
    averages = [row_of(text, f"{name} (paper)")[-1] for name in ("Google BERT", "Our BERT", "Our BERT-1seq")]
    assert averages == ["77.3", "78.6", "79.7"]  # as printed; the mean of the first row's figures is 77.24
    assert row_of(text, "Human (paper)") == ["82.3", "91.2", "86.8", "89.4"]
    assert row_of(text, "SpanBERT on dev, 1.2M steps (paper)") == [
        *("-", "-", "-", "86.8"),
        *("74.1", "80.3", "-", "-", "-", "-"),
    ]


def test_a_methods_figures_are_its_f1_with_the_split(write_run, tmp_path):
    write_run("a", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0}, test={"exact_match": 50.0, "f1": 60.0})
    write_run("b", "SQuAD 2.0", dev={"best_exact": 60.0, "best_f1": 70.0})
    write_run("c", "new_wiki", dev={"exact_match": 1.0, "f1": 2.0})
    figures = report.report(tmp_path).figures
    assert figures.pop("MiniLM") == {"NewsQA": Figure(60.0, "test"), "SQuAD 2.0": Figure(70.0, "dev")}
    assert figures.keys() == {*BASELINES, SPANBERT}
    assert figures["Our BERT-1seq (paper)"] == {
        **{"SQuAD 1.1": Figure(93.3), "SQuAD 2.0": Figure(86.6), "NewsQA": Figure(71.9), "TriviaQA": Figure(80.4)},
        **{"SearchQA": Figure(84.0), "HotpotQA": Figure(80.3), "NaturalQuestions": Figure(81.8)},
    }
    assert report.report(tmp_path, published=False).figures.keys() == {"MiniLM"}


def test_seeds_are_averaged_and_test_counts_before_dev(write_run, tmp_path):
    write_run("one/seed_1", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0}, test={"exact_match": 50.0, "f1": 60.0})
    write_run("one/seed_2", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0}, test={"exact_match": 52.0, "f1": 63.0})
    write_run("two", "SQuAD 2.0", dev={"exact": 1.0, "f1": 1.0, "best_exact": 70.04, "best_f1": 71.06})
    write_run("three", None, dev={"exact_match": 5.0, "f1": 6.0})
    write_run("unfinished", "NewsQA")
    results = report.gather(tmp_path)
    assert results["MiniLM", "NewsQA"] == report.Result(51.0, 61.5, 2, "test")
    text = report.report_of(results, published=False).markdown()
    assert row_of(text, "MiniLM") == ["-", "-", "70.0", "71.1", "61.5", "-", "-", "-", "-", "-", "5.0", "6.0"]
    assert "NewsQA: test, 2 runs (MiniLM)" in text and "dev.json EM" in text and "paper" not in text


def test_of_a_sweep_the_chosen_run_alone_counts(write_run, tmp_path):
    write_run("s/rate_2e-05_batch_16", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0})
    write_run("s/rate_5e-05_batch_32", "NewsQA", rate=5e-5, dev={"exact_match": 3.0, "f1": 4.0})
    (tmp_path / "s" / "sweep.db").touch()
    assert report.gather(tmp_path) == {}  # it is not finished
    (tmp_path / "s" / "sweep.json").write_text(json.dumps({"folder": "rate_5e-05_batch_32"}))
    assert report.gather(tmp_path) == {("MiniLM", "NewsQA"): report.Result(3.0, 4.0, 1, "dev")}


def test_runs_with_other_settings_are_not_seeds(write_run, tmp_path):
    write_run("a", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0})
    write_run("b", "NewsQA", rate=5e-5, dev={"exact_match": 3.0, "f1": 4.0})
    assert {method: result.f1 for (method, _), result in report.gather(tmp_path).items()} == {
        "MiniLM (learning_rate=2e-05)": 2.0,
        "MiniLM (learning_rate=5e-05)": 4.0,
    }


def test_a_threshold_fitted_on_dev_is_labelled_and_one_of_other_articles_preferred(write_run, tmp_path):
    best = {"best_exact": 60.0, "best_f1": 70.0}
    write_run("a", "SQuAD 2.0", dev=best)
    write_run("b", "SQuAD 2.0", method="B", dev=best | {"calibrated_exact": 50.0, "calibrated_f1": 55.0})
    results = report.gather(tmp_path)
    assert results["MiniLM", "SQuAD 2.0"] == report.Result(60.0, 70.0, 1, "dev, threshold fitted on it")
    assert results["B", "SQuAD 2.0"] == report.Result(50.0, 55.0, 1, "dev, threshold fitted on other articles")
    assert "SQuAD 2.0: dev, threshold fitted on it, 1 run (MiniLM)" in report.report_of(results).markdown()


def test_a_file_that_is_not_a_record_is_reported_and_left_out(write_run, tmp_path, caplog):
    write_run("a", "NewsQA", dev={"exact_match": 1.0, "f1": 2.0})
    (tmp_path / "run.json").write_text("{")
    assert len(report.gather(tmp_path)) == 1 and "is not a record of a run" in caplog.text


def test_the_program_writes_or_prints_and_rejects_an_empty_folder(write_run, tmp_path, capsys):
    with pytest.raises(InputError, match="holds no finished question-answering run"):
        report.main(report.Config(runs=str(tmp_path)))
    write_run("r", "SQuAD 1.1", dev={"exact_match": 80.0, "f1": 90.0})
    with pytest.raises(InputError, match="--output=.* cannot be written: No such file"):
        report.main(report.Config(runs=str(tmp_path), output=str(tmp_path / "none" / "results.md")))
    report.main(report.Config(runs=str(tmp_path), output=str(tmp_path / "results.md")))
    report.main(report.Config(runs=str(tmp_path)))
    assert (tmp_path / "results.md").read_text() == capsys.readouterr().out
    assert row_of((tmp_path / "results.md").read_text(), "MiniLM")[:2] == ["80.0", "90.0"]
